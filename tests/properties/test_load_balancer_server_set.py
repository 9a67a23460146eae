"""Laws of the server set, for any order of events: who is chosen, who waits, who comes in (server_set.G1 to G6)."""

import dataclasses
import os
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from load_balancer.balancing.algorithms import ALGORITHMS
from load_balancer.balancing.members import Observe, OnError, Server, ServerOptions
from load_balancer.balancing.placements import Placement, Refusal, SetRules
from load_balancer.balancing.server_set import ServerSet
from load_balancer.balancing.servers import Admin, Operation, Rules, Sign

EXAMPLES = int(os.environ.get("LOAD_BALANCER_EXAMPLES", "60"))
SEEDS = int(os.environ.get("LOAD_BALANCER_SEEDS", "20"))
NAMES = st.sampled_from(["a", "b", "c", "d"])
PLACES = st.integers(0, 100)
OPTIONS = st.builds(
    ServerOptions,
    weight=st.sampled_from([1, 1, 3, 0]),
    maxconn=st.sampled_from([1, 1, 2, 0]),
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
        for name in ("a", "b"):
            self.carry_out(self.set.add(Server(name, ServerOptions(maxconn=1), self.now), self.now, cold=False))
            self.carry_out(self.set.observe(self.set.servers[name], Sign.PASSED, "", self.now))

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

    def some_server(self, place: int) -> Server | None:
        servers = list(self.set.servers.values())
        return servers[place % len(servers)] if servers else None

    @rule(name=NAMES, options=OPTIONS, cold=st.booleans())
    def add_or_set_options(self, name: str, options: ServerOptions, cold: bool) -> None:
        if name in self.set.servers:
            self.carry_out(self.set.set_options(name, options, self.now))
        else:
            self.carry_out(self.set.add(Server(name, options, self.now), self.now, cold=cold))

    @rule(place=PLACES)
    def remove(self, place: int) -> None:
        server = self.some_server(place)
        if server is not None and len(self.set.servers) > 1:
            self.carry_out(self.set.remove(server.name, self.now))
            assert not server.in_use
            assert not server.queue

    @rule(place=PLACES, weight=st.sampled_from([0, 1, 5, 256]))
    def weigh(self, place: int, weight: int) -> None:
        server = self.some_server(place)
        if server is not None:
            options = dataclasses.replace(server.options, weight=weight)
            self.carry_out(self.set.set_options(server.name, options, self.now))

    @rule(place=PLACES, admin=st.sampled_from([Admin.READY, Admin.READY, Admin.DRAIN, Admin.MAINT]))
    def administer(self, place: int, admin: Admin) -> None:
        server = self.some_server(place)
        if server is not None:
            self.carry_out(self.set.set_state(server.name, admin, self.now))

    @rule(place=PLACES, sign=st.sampled_from([*[Sign.PASSED] * 6, *Sign]), times=st.integers(1, 3))
    def observe(self, place: int, sign: Sign, times: int) -> None:
        server = self.some_server(place)
        for _ in range(times if server else 0):
            assert server is not None
            self.carry_out(self.set.observe(server, sign, sign.value, self.now))

    @rule(place=PLACES, status=st.sampled_from([200, 500, 501]), times=st.integers(1, 3))
    def answer(self, place: int, status: int, times: int) -> None:
        """G6: what requests meet never takes the last server, nor more than half."""
        server = self.some_server(place)
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

    @rule(avoid=st.sets(NAMES, max_size=2), times=st.integers(1, 5))
    def ask(self, avoid: set[str], times: int) -> None:
        for _ in range(times):
            self.tickets += 1
            free = {server.name for server in self.set.servers.values() if server.in_use and not server.full}
            server = self.set.assign(self.tickets, tuple(avoid))
            assert (server is not None) == bool(free)
            if server is not None:
                assert server.name in (free - avoid or free)
                self.check_load(server, free - avoid or free)
                self.where[self.tickets] = server
                continue
            refusal = self.set.enter(self.tickets)
            in_use = any(server.in_use for server in self.set.servers.values())
            assert (refusal is Refusal.NO_SERVER) == (not in_use)
            if refusal is None:
                self.where[self.tickets] = None

    def check_load(self, chosen: Server, candidates: set[str]) -> None:
        """Least connections: before the request came, none had fewer for its weight."""
        if self.set.rules.algorithm == "leastconn":
            others = [self.set.servers[name] for name in candidates if name != chosen.name]
            load = (len(chosen.serving) - 1) / chosen.effective_weight
            assert all(load <= len(other.serving) / other.effective_weight for other in others)

    @rule(place=PLACES, waits_anyway=st.booleans())
    def ask_bound(self, place: int, waits_anyway: bool) -> None:
        named = self.some_server(place)
        server = None if named is None else self.set.bound(named.cookie.encode())
        assert server is (named if named is not None and named.keeps_clients else None)
        if server is None or (server.full and not waits_anyway):
            return
        self.tickets += 1
        if self.set.assign_bound(self.tickets, server):
            self.where[self.tickets] = server
        elif self.set.enter(self.tickets, server) is None:
            self.where[self.tickets] = None

    @rule(place=PLACES, twice=st.booleans())
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
        backups = backups if self.set.rules.allbackups else backups[:1]
        away = [server for server in servers if server.health.word == "AWAY" and server.weight > 0]
        expected = active or backups or away
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
            assert min(1, row.maxconn) <= row.limit <= row.maxconn  # M3
            assert row.weight / 100 <= row.effective_weight <= row.weight
            assert row.down_seconds >= 0


Events.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
TestAnyOrderOfEvents = Events.TestCase


def check_while_playing(seed: int, steps: int) -> None:
    """Busy times: mostly requests that come and end, now and then a change; the same for the same seed."""
    dice = Random(seed)
    events = Events()
    events.begin(algorithm=dice.choice(sorted(ALGORITHMS)), seed=seed, allbackups=dice.random() < 0.5)

    def options() -> ServerOptions:
        maxconn = dice.choice([0, 1, 1, 2, 3])
        return ServerOptions(
            weight=dice.choice([0, 1, 1, 1, 3, 7]),
            maxconn=maxconn,
            maxqueue=dice.choice([0, 0, 2]),
            slowstart_seconds=dice.choice([0.0, 4.0]),
            backup=dice.random() < 0.2,
            check=dice.random() < 0.7,
            observe=dice.choice([Observe.NONE, Observe.LAYER7]),
            error_limit=2,
            on_error=dice.choice(list(OnError)),
        )

    def place() -> int:
        return dice.randrange(100)

    moves: list[tuple[int, Callable[[], None]]] = [
        (30, lambda: events.ask(avoid=set(dice.sample("abcd", dice.choice([0, 0, 0, 1, 2]))), times=1)),
        (12, lambda: events.ask_bound(place=place(), waits_anyway=True)),
        (33, lambda: events.end(place=place(), twice=dice.random() < 0.1)),
        (3, lambda: events.add_or_set_options(name=dice.choice("abcd"), options=options(), cold=dice.random() < 0.5)),
        (1, lambda: events.remove(place=place())),
        (2, lambda: events.weigh(place=place(), weight=dice.choice([0, 1, 5, 256]))),
        (3, lambda: events.administer(place=place(), admin=dice.choice([*[Admin.READY] * 4, *Admin]))),
        (8, lambda: events.observe(place=place(), sign=dice.choice([*[Sign.PASSED] * 8, *Sign]), times=2)),
        (4, lambda: events.answer(place=place(), status=dice.choice([200, 500, 500]), times=2)),
        (4, lambda: events.pass_time(seconds=dice.choice([0.1, 1.0, 3.0]))),
    ]
    for move in dice.choices([move for _, move in moves], [weight for weight, _ in moves], k=steps):
        move()
        events.only_those_are_in_use_that_may_be()
        events.each_request_is_in_one_place()
        events.nobody_waits_without_a_reason()
        events.the_snapshot_tells_what_is()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_in_busy_times_no_law_is_broken(seed: int) -> None:
    """G1 to G6, for more requests at a time than the shortest example needs."""
    check_while_playing(seed, 500)
