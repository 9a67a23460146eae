"""Laws of the server set, for any order of events: who is chosen, who waits, who comes in (server_set.G1 to G6)."""

import os
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from load_balancer.balancing.algorithms import ALGORITHMS
from load_balancer.balancing.members import Observe, OnError, Server, ServerOptions
from load_balancer.balancing.server_set import Placement, Refusal, ServerSet, SetRules
from load_balancer.balancing.servers import Admin, Operation, Rules, Sign

EXAMPLES = int(os.environ.get("LOAD_BALANCER_EXAMPLES", "150"))
NAMES = st.sampled_from(["a", "b", "c", "d"])
OPTIONS = st.builds(
    ServerOptions,
    weight=st.sampled_from([0, 1, 1, 3]),
    maxconn=st.sampled_from([0, 1, 1, 2]),
    maxqueue=st.sampled_from([0, 1, 3]),
    slowstart_seconds=st.sampled_from([0.0, 4.0]),
    backup=st.sampled_from([False, False, True]),
    check=st.sampled_from([True, True, False]),
    observe=st.sampled_from([Observe.NONE, Observe.LAYER7]),
    error_limit=st.just(2),
    on_error=st.sampled_from(list(OnError)),
)


class Events(RuleBasedStateMachine):
    """Plays events against a set, carries out its placements, and keeps its own account of where each request is."""

    @initialize(algorithm=st.sampled_from(sorted(ALGORITHMS)), seed=st.integers(0, 99), allbackups=st.booleans())
    def begin(self, algorithm: str, seed: int, allbackups: bool) -> None:
        rules = SetRules(algorithm, Rules(fall=2, rise=2), allbackups, ejected_share_max=0.5)
        self.set: ServerSet[Server] = ServerSet(rules, Random(seed))
        self.now = 0.0
        self.tickets = 0
        self.where: dict[int, Server | None] = {}  # None: in line
        self.bound_to: dict[int, str] = {}

    def carry_out(self, placements: list[Placement[Server]]) -> None:
        """G3: whoever comes in at a server from the line came before all that are still in it."""
        last: dict[str, int] = {}
        for ticket, server in placements:
            assert isinstance(ticket, int)
            assert self.where[ticket] is None
            if server is None:
                del self.where[ticket]
                continue
            assert last.get(server.name, 0) < ticket
            last[server.name] = ticket
            self.where[ticket] = server
            assert ticket in server.serving
            assert not server.limit or len(server.serving) <= server.limit  # G2
            assert server.in_use or server.keeps_clients

    def chosen_server(self, name: str) -> Server | None:
        return self.set.servers.get(name)

    @rule(name=NAMES, options=OPTIONS, cold=st.booleans())
    def add_or_set_options(self, name: str, options: ServerOptions, cold: bool) -> None:
        if name in self.set.servers:
            self.carry_out(self.set.set_options(name, options, self.now))
        else:
            self.carry_out(self.set.add(Server(name, options, self.now), self.now, cold=cold))

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        if name in self.set.servers:
            server = self.set.servers[name]
            self.carry_out(self.set.remove(name, self.now))
            assert not server.in_use
            assert not server.queue

    @rule(name=NAMES, weight=st.sampled_from([0, 1, 5, 256]))
    def weigh(self, name: str, weight: int) -> None:
        if name in self.set.servers:
            self.carry_out(self.set.set_weight(name, weight, self.now))

    @rule(name=NAMES, admin=st.sampled_from([Admin.READY, Admin.READY, Admin.DRAIN, Admin.MAINT]))
    def administer(self, name: str, admin: Admin) -> None:
        if name in self.set.servers:
            self.carry_out(self.set.set_state(name, admin, self.now))

    @rule(name=NAMES, sign=st.sampled_from([Sign.PASSED, Sign.PASSED, Sign.PASSED, *Sign]), times=st.integers(1, 3))
    def observe(self, name: str, sign: Sign, times: int) -> None:
        server = self.chosen_server(name)
        for _ in range(times if server else 0):
            assert server is not None
            self.carry_out(self.set.observe(server, sign, sign.value, self.now))

    @rule(name=NAMES, status=st.sampled_from([200, 500, 501]), times=st.integers(1, 3))
    def answer(self, name: str, status: int, times: int) -> None:
        """G6: what requests meet never takes the last server, nor more than half."""
        server = self.chosen_server(name)
        for _ in range(times if server else 0):
            assert server is not None
            before, others = server.health.operation, [other for other in self.set.servers.values() if other.in_use]
            self.carry_out(self.set.answered(server, status, self.now))
            if server.health.operation is not before:
                assert any(other is not server for other in others) or not server.in_use
                counted = [other for other in self.set.servers.values() if other.health.admin is not Admin.MAINT]
                assert sum(other.health.operation is not Operation.UP for other in counted) <= len(counted) / 2

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.set.advance(self.now))

    @rule(avoid=st.sets(NAMES, max_size=2), times=st.integers(1, 4))
    def ask(self, avoid: set[str], times: int) -> None:
        for _ in range(times):
            self.tickets += 1
            free = {server.name for server in self.set.servers.values() if server.in_use and not server.full}
            server = self.set.assign(self.tickets, tuple(avoid))
            assert (server is not None) == bool(free)
            if server is not None:
                assert server.name in (free - avoid or free)
                self.where[self.tickets] = server
                continue
            refusal = self.set.enter(self.tickets)
            in_use = any(server.in_use for server in self.set.servers.values())
            assert (refusal is Refusal.NO_SERVER) == (not in_use)
            if refusal is None:
                self.where[self.tickets] = None

    @rule(name=NAMES)
    def ask_bound(self, name: str) -> None:
        server = self.set.bound(name.encode())
        if server is None:
            return
        self.tickets += 1
        if self.set.assign_bound(self.tickets, server):
            self.where[self.tickets] = server
        elif self.set.enter(self.tickets, server) is None:
            self.where[self.tickets] = None

    @rule(place=st.integers(0, 1_000), twice=st.booleans())
    def end(self, place: int, twice: bool) -> None:
        """G5."""
        if self.where:
            ticket = sorted(self.where)[place % len(self.where)]
            server = self.where.pop(ticket)
            for _ in range(1 + twice):
                if server is None:
                    self.set.withdraw(ticket)
                else:
                    self.carry_out(self.set.leave(server, ticket))

    @invariant()
    def only_those_are_in_use_that_may_be(self) -> None:
        """G1."""
        servers = list(self.set.servers.values())
        active = [server for server in servers if server.usable and not server.options.backup]
        backups = [server for server in servers if server.usable and server.options.backup]
        expected = active or (backups if self.set.rules.allbackups else backups[:1])
        assert [server for server in servers if server.in_use] == expected

    @invariant()
    def each_request_is_in_one_place(self) -> None:
        """G5."""
        waiting = [*self.set.line, *(ticket for server in self.set.servers.values() for ticket in server.queue)]
        assert sorted(map(str, waiting)) == sorted(str(ticket) for ticket, server in self.where.items() if not server)
        for server in self.set.servers.values():
            assert server.serving == {ticket for ticket, at in self.where.items() if at is server}

    @invariant()
    def nobody_waits_without_a_reason(self) -> None:
        """G3, G4."""
        in_use = [server for server in self.set.servers.values() if server.in_use]
        if self.set.line:
            assert in_use
            assert all(server.full for server in in_use)
        for server in self.set.servers.values():
            assert not server.queue or (server.full and server.keeps_clients)

    @invariant()
    def the_snapshot_tells_what_is(self) -> None:
        for row in self.set.snapshot(self.now):
            server = self.set.servers[row.name]
            assert (row.serving, row.queued, row.in_use) == (len(server.serving), len(server.queue), server.in_use)
            assert row.serving <= row.serving_max
            assert row.down_seconds >= 0


Events.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
TestAnyOrderOfEvents = Events.TestCase
