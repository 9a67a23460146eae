"""What all connections of one balancer share: the servers with their states, the turn, the counters.

L1  Every change of a server's state goes through ``observe`` or ``administer``: one log line, one rebuilt choice.
L2  A server that may not be chosen keeps no idle connections.
L3  When a server goes down, what waits there without a byte of an answer is told, and may go elsewhere (retries.Y2).
"""

import asyncio
import logging
import os
import time
from collections.abc import Collection
from email.utils import formatdate
from typing import Protocol

from load_balancer.balancing.algorithms import ALGORITHMS
from load_balancer.balancing.retries import RetryBudget
from load_balancer.balancing.servers import Admin, Operation, Sign, administer, initial, observe
from load_balancer.http1.traces import next_number, trace_parts
from load_balancer.options import Options, ServerAddress
from load_balancer.proxy.bodies import BodyMemory
from load_balancer.proxy.upstream import Pool
from load_balancer.stats.counters import Own, Traffic
from load_balancer.stats.prometheus import Line, render

log = logging.getLogger(__name__)


class Waiting(Protocol):
    """A request that is with a server."""

    def server_down(self) -> None:
        """The server was just taken down."""


class Frontend(Protocol):
    """A client's connection, as far as the balancer looks after it."""

    deadline: float

    def deadline_passed(self, now: float) -> None:
        """Its time is over."""

    def drain(self) -> None:
        """End it as soon as nothing is under way."""


class Backend:
    """One server: address, state, idle connections, what is with it, what it did."""

    def __init__(self, server: ServerAddress, now: float) -> None:
        self.name = server.name
        self.name_bytes = server.name.encode("ascii")
        self.address = server.address
        self.health = initial(now)
        self.pool = Pool()
        self.traffic = Traffic()
        self.waiting: set[Waiting] = set()


class Balancer:
    """The shared state of one process."""

    def __init__(self, options: Options, loop: asyncio.AbstractEventLoop) -> None:
        self.options = options
        self.loop = loop
        self.own = Own()
        self.budget = RetryBudget()
        self.clients: set[Frontend] = set()
        self.draining = False
        self.body_memory = BodyMemory()
        now = time.monotonic()
        self.backends = {server.name: Backend(server, now) for server in options.servers}
        self._algorithm = ALGORITHMS[options.algorithm]()
        self._id_prefix = os.urandom(6).hex().encode("ascii")
        self._number = 0
        self.trace_parts = trace_parts(os.urandom(10))
        self._date = b""
        self._date_second = 0

    def choose(self, avoid: Collection[str]) -> Backend | None:
        """The server whose turn it is; None if none is ready."""
        name = self._algorithm.choose(avoid)
        return None if name is None else self.backends[name]

    def observe(self, backend: Backend, sign: Sign, reason: str) -> None:
        """Take in one sign of a server's health (L1)."""
        if sign is not Sign.PASSED:
            backend.traffic.failures[sign.value] += 1
        if backend.health.admin is Admin.MAINT:
            return
        before = backend.health
        backend.health = observe(before, sign, reason, self.options.check.rules, time.monotonic())
        if backend.health.operation is before.operation:
            return
        level = logging.INFO if backend.health.operation is Operation.UP else logging.WARNING
        log.log(level, "server %s is %s: %s", backend.name, backend.health.operation.value, reason)
        self._rebuild(backend)
        if backend.health.operation is Operation.DOWN:
            for waiting in tuple(backend.waiting):
                waiting.server_down()

    def administer(self, backend: Backend, admin: Admin) -> None:
        """An operator's decision (L1)."""
        backend.health = administer(backend.health, admin, time.monotonic())
        log.info("server %s: %s", backend.name, backend.health.reason)
        self._rebuild(backend)

    def _rebuild(self, changed: Backend) -> None:
        eligible = {name for name, backend in self.backends.items() if backend.health.eligible}
        self._algorithm.change(tuple(self.backends), eligible)
        if not changed.health.eligible:
            changed.pool.drop_all()

    @property
    def ready_servers(self) -> int:
        return sum(backend.health.eligible for backend in self.backends.values())

    def next_request_id(self) -> bytes:
        """Unique among all balancers: a random prefix of this process, and a number that tells nobody how many there were."""
        self._number = number = next_number(self._number)
        return b"%b-%012x" % (self._id_prefix, number)

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

    def drain(self) -> None:
        """Answer what is under way, and nothing more."""
        self.draining = True
        for client in tuple(self.clients):
            client.drain()

    def metrics(self) -> str:
        lines = {
            name: Line(backend.health.word, len(backend.waiting), backend.traffic)
            for name, backend in self.backends.items()
        }
        return render(lines, self.own, len(self.clients))
