"""What all connections of one balancer share: the servers with their states, the turn, the counters.

L1  Every change of a server goes through a method here, which carries out what the server set decides: one log line,
    idle connections ended, requests that waited placed.
L2  A server that may not be chosen keeps no idle connections.
L3  When a server goes down, what waits there without a byte of an answer is told, and may go elsewhere (retries.Y2).
"""

import asyncio
import dataclasses
import logging
import os
import time
from collections.abc import Iterable
from email.utils import formatdate
from typing import cast

from load_balancer.access_log.writer import AccessLog
from load_balancer.balancing.members import ServerOptions, ServerRow
from load_balancer.balancing.placements import Placement, SetRules
from load_balancer.balancing.retries import RetryBudget
from load_balancer.balancing.server_set import ServerSet
from load_balancer.balancing.servers import Admin, CheckResult, Health, Operation, Sign
from load_balancer.http1.request_heads import RequestHeads
from load_balancer.http1.traces import numbers, trace_parts
from load_balancer.options import Address, Options, ServerAddress
from load_balancer.proxy.admission import Admission, Source, Verdict
from load_balancer.proxy.backends import Backend, Frontend, Ticket, Witness
from load_balancer.proxy.bodies import BodyMemory
from load_balancer.proxy.certificates import Certificate
from load_balancer.proxy.tunnels import Tunnel
from load_balancer.proxy.upstream import Pool
from load_balancer.stats.counters import Own
from load_balancer.stats.events import Event, Events
from load_balancer.stats.figures import AccessLogFigures, Figures, ServerFigures
from load_balancer.stats.rates import Rate
from settings.tls import FileFault

log = logging.getLogger(__name__)


class Balancer:
    """The shared state of one process."""

    def __init__(self, options: Options, loop: asyncio.AbstractEventLoop) -> None:
        self.options = options
        self.loop = loop
        self.own = Own()
        self.cookie = options.cookie.encode("ascii")  # none: clients are not bound to servers
        self.budget = RetryBudget(options.retry)
        self.clients: set[Frontend] = set()
        self.tunnels: set[Tunnel] = set()  # of these
        limits = options.limits
        self.admission = Admission(options.connections_max, limits.connections_per_address_max, limits.exempt_networks)
        self.heads = RequestHeads(limits.head)
        self.certificate = None if options.tls is None else Certificate(options.tls)  # raises FileFault
        self.requests_max = limits.requests_per_connection_max
        self.draining = False
        self.witness: Witness | None = None
        self.access_log: AccessLog | None = None
        self.body_memory = BodyMemory()
        now = time.monotonic()
        self.servers: ServerSet[Backend] = ServerSet(_rules(options))
        self.events = Events()
        self._started = now
        self._connection_rate, self._request_rate = Rate(now), Rate(now)
        self.changed = asyncio.Event()  # set: a server came or went
        for server in options.servers:
            self.servers.add(Backend(server, now), now, cold=False)
            self.servers.set_state(server.name, server.state, now)
        self._id_prefix = os.urandom(6).hex().encode("ascii")
        self._next_number = numbers().__next__
        self.trace_parts = trace_parts(os.urandom(18))
        self._date = b""
        self._date_second = 0

    @property
    def backends(self) -> dict[str, Backend]:
        """The servers by name."""
        return self.servers.servers

    # Clients.

    def entered(self, client: Frontend, source: Source) -> Verdict:
        """A client has connected; ``left`` when its connection has ended, whatever the verdict."""
        own = self.own
        self.clients.add(client)
        own.connections += 1
        own.connections_most = max(own.connections_most, len(self.clients))
        verdict = self.admission.enter(source, len(self.clients))
        if verdict is not Verdict.WELCOME:
            own.connections_refused += 1
        return verdict

    def replaced(self, before: Frontend, after: Frontend) -> None:
        """The same client, one layer further up."""
        self.clients.discard(before)
        self.clients.add(after)

    def left(self, client: Frontend, source: Source) -> None:
        self.clients.discard(client)
        self.admission.leave(source)

    def tunnel_begun(self, client: Frontend, tunnel: Tunnel) -> None:
        """In the client's place; ``tunnel_ended`` when it is over."""
        self.replaced(client, tunnel)
        self.tunnels.add(tunnel)
        self.own.tunnels += 1

    def tunnel_ended(self, tunnel: Tunnel, source: Source) -> None:
        self.tunnels.discard(tunnel)
        self.left(tunnel, source)

    # What an operator does.

    def add(self, server: ServerAddress) -> Backend:
        """Take in a server; ValueError if one of its name is here. It gets requests once it has passed a check."""
        now = time.monotonic()
        backend = Backend(server, now)
        placements = [*self.servers.add(backend, now), *self.servers.set_state(server.name, server.state, now)]
        log.info("server %s at %s was added", server.name, server.address)
        self.note(server.name, "", backend.health.word, f"added at {server.address}")
        self.changed.set()
        self.carry_out(placements)
        return backend

    def remove(self, name: str) -> None:
        """Forget a server; KeyError if there is none. What is with it is still answered."""
        backend = self.backends[name]
        placements = self.servers.remove(name, time.monotonic())
        log.info("server %s was removed", name)
        self.note(name, backend.health.word, "", "removed by an operator")
        backend.pool.close()
        self.changed.set()
        self.carry_out(placements)

    def set_options(self, name: str, options: ServerOptions) -> None:
        """What is to hold for it now; raises KeyError."""
        placements = self.servers.set_options(name, options, time.monotonic())
        self.backends[name].cookie_bytes = self.backends[name].cookie.encode("ascii")
        self.carry_out(placements)

    def move(self, backend: Backend, address: Address) -> None:
        """It is reached elsewhere now; what is with it ends where it is. Its state stays until a check, soon, tells more."""
        before, backend.address = backend.address, address
        backend.pool.close()
        backend.pool = Pool()
        backend.hurried = True
        backend.hurry.set()
        log.info("server %s is at %s now, was at %s", backend.name, address, before)
        word = backend.health.word
        self.note(backend.name, word, word, f"moved from {before} to {address}")

    def read_certificate_again(self) -> None:
        """For connections from now on; one that cannot be used changes nothing, and an event says why."""
        if self.certificate is None:
            return
        try:
            self.certificate.read_again()
        except FileFault as fault:
            log.error("the certificate is not read again: %s", fault)
            self.note("certificate", "", "REFUSED", str(fault))

    def configure(self, options: Options) -> None:
        """Checks, times, repeats and the way of choosing as these have them; all else stays."""
        self.options = dataclasses.replace(
            self.options,
            algorithm=options.algorithm,
            allbackups=options.allbackups,
            ejected_share_max=options.ejected_share_max,
            retry=options.retry,
            check=options.check,
            timeouts=options.timeouts,
        )
        self.budget.follow(options.retry)
        self.carry_out(self.servers.set_rules(_rules(self.options), time.monotonic()))

    def configured(self) -> tuple[ServerAddress, ...]:
        """All servers with what holds for them, as another balancer could begin with them."""
        return tuple(
            ServerAddress(backend.name, backend.address, backend.options, backend.health.admin)
            for backend in self.backends.values()
        )

    def administer(self, backend: Backend, admin: Admin) -> None:
        """Set it to ready, drain or maint."""
        before = backend.health
        placements = self.servers.set_state(backend.name, admin, time.monotonic())
        log.info("server %s: %s", backend.name, backend.health.reason)
        self._follow(backend, before, placements)

    def snapshot(self) -> tuple[ServerRow, ...]:
        """All servers as they are now."""
        return self.servers.snapshot(time.monotonic())

    # What checks and requests tell.

    def checked(self, backend: Backend, result: CheckResult) -> None:
        """The outcome of an active check."""
        if result.sign is not Sign.PASSED:
            backend.traffic.failures[result.sign.value] += 1
        self.follow_check(backend, result)
        if self.witness is not None:
            self.witness.checked(backend, result)

    def follow_check(self, backend: Backend, result: CheckResult) -> None:
        """The outcome of a check, wherever it was made."""
        before = backend.health
        self._follow(backend, before, self.servers.checked(backend, result, time.monotonic()))

    def adopt(self, backend: Backend, health: Health) -> None:
        """The state that another process of the group found it in; what an operator decided of it stays."""
        before, health = backend.health, health._replace(admin=backend.health.admin)
        self._follow(backend, before, self.servers.adopt(backend, health, time.monotonic()))

    def observe(self, backend: Backend, sign: Sign, reason: str) -> None:
        """Take in one sign of a server's health."""
        backend.traffic.failures[sign.value] += 1
        before = backend.health
        self._follow(backend, before, self.servers.observe(backend, sign, reason, time.monotonic()))
        self._report(backend, before)

    def answered(self, backend: Backend, status: int) -> None:
        """A request to a server that is observed was answered."""
        before = backend.health
        self._follow(backend, before, self.servers.answered(backend, status, time.monotonic()))
        self._report(backend, before)

    def failed(self, backend: Backend, reason: str, *, connected: bool) -> None:
        """A request found no connection, or (``connected``) no usable answer."""
        before = backend.health
        self._follow(backend, before, self.servers.failed(backend, reason, time.monotonic(), connected=connected))
        self._report(backend, before)

    def _report(self, backend: Backend, before: Health) -> None:
        if self.witness is not None and (backend.hurried or backend.health.operation is not before.operation):
            self.witness.seen(backend)

    def tried_again(self, before: str, backend: Backend) -> None:
        """A request that failed at a server is sent once more: to the same one, or away from it (HAProxy counts both)."""
        if before == backend.name:
            backend.tally.retries += 1
        elif before in self.backends:
            self.backends[before].tally.redispatches += 1

    def _follow(self, backend: Backend, before: Health, placements: Iterable[Placement[Backend]]) -> None:
        """L1, L3."""
        health = backend.health
        if health.word != before.word:
            self.note(backend.name, before.word, health.word, health.reason)
        if backend.hurried:
            backend.hurry.set()
        if health.operation is not before.operation:
            level = logging.INFO if health.operation is Operation.UP else logging.WARNING
            log.log(level, "server %s is %s: %s", backend.name, health.operation.value, health.reason)
        if not health.eligible:
            backend.pool.drop_all()
        self.carry_out(placements)
        if health.operation is Operation.DOWN and before.operation is not Operation.DOWN:
            for ticket in tuple(backend.serving):
                cast("Ticket", ticket).server_down()

    def note(self, server: str, before: str, after: str, reason: str) -> None:
        """One event."""
        ready, count = self.ready_servers, len(self.backends)
        self.events.add(Event(time.time(), server, before, after, reason, ready, count))

    @staticmethod
    def carry_out(placements: Iterable[Placement[Backend]]) -> None:
        """Tell requests that waited where they go now."""
        for ticket, server in placements:
            if server is None:
                cast("Ticket", ticket).turned_away()
            else:
                cast("Ticket", ticket).placed(server)

    @property
    def ready_servers(self) -> int:
        return sum(backend.usable for backend in self.backends.values())

    def next_request_id(self) -> bytes:
        """Unique among all balancers: a random prefix of this process, and a number that tells nobody how many there were."""
        return b"%b-%012x" % (self._id_prefix, self._next_number())

    def date(self) -> bytes:
        """The Date field's value, made once a second."""
        second = int(time.time())
        if second != self._date_second:
            self._date_second = second
            self._date = formatdate(second, usegmt=True).encode("ascii")
        return self._date

    def sweep(self, now: float) -> None:
        """End what has waited too long; called several times a second."""
        for client in [client for client in self.clients if client.deadline <= now]:
            client.deadline_passed(now)
        for backend in self.backends.values():
            backend.pool.drop_old(now)
            backend.rates.look(now, backend.traffic)
        self._connection_rate.look(now, self.own.connections)
        self._request_rate.look(now, self.requests)
        self.budget.advance(now)
        if self.servers.rising:
            self.carry_out(self.servers.advance(now))

    def drain(self) -> None:
        """Answer what is under way, and nothing more."""
        self.draining = True
        for client in tuple(self.clients):
            client.drain()

    def end(self) -> None:
        """The time for draining is over: tunnels, which need not end by themselves, end now."""
        for tunnel in tuple(self.tunnels):
            tunnel.cut()

    @property
    def requests(self) -> int:
        """All that were answered or are with a server."""
        return sum(self.own.replies.values()) + sum(backend.traffic.requests for backend in self.backends.values())

    def figures(self) -> Figures:
        """Everything that pages tell, as it is now."""
        now, rules, access_log = time.monotonic(), self.options.check.rules, self.access_log
        servers = []
        for row in self.servers.snapshot(now):
            backend = self.backends[row.name]
            servers.append(ServerFigures(row, str(backend.address), backend.traffic, backend.rates, len(backend.pool)))
        return Figures(
            at=time.time(),
            uptime_seconds=now - self._started,
            draining=self.draining,
            algorithm=self.options.algorithm,
            servers=tuple(servers),
            own=self.own,
            connections=len(self.clients),
            tunnels=len(self.tunnels),
            connections_limit=self.options.connections_max,
            waiting=len(self.servers.line),
            waiting_max=self.servers.line_max,
            requests=self.requests,
            connection_rate=self._connection_rate,
            request_rate=self._request_rate,
            check_rise=rules.rise,
            check_fall=rules.fall,
            access_log=None if access_log is None else AccessLogFigures(access_log.written, access_log.dropped),
            events=tuple(self.events.kept),
            transitions=dict(self.events.counted),
        )


def _rules(options: Options) -> SetRules:
    return SetRules(
        algorithm=options.algorithm,
        health=options.check.rules,
        allbackups=options.allbackups,
        ejected_share_max=options.ejected_share_max,
    )
