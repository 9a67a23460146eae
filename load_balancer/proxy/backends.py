"""A server with its connections and its traffic, and who is told what happens to one."""

import asyncio
from typing import Protocol

from load_balancer.balancing.members import Server
from load_balancer.balancing.servers import CheckResult
from load_balancer.options import ServerAddress
from load_balancer.proxy.upstream import Pool
from load_balancer.stats.counters import Traffic
from load_balancer.stats.figures import ServerRates


class Backend(Server):
    """One server: what the balancing knows of it, and address, idle connections, traffic."""

    __slots__ = ("address", "cookie_bytes", "hurry", "name_bytes", "pool", "rates", "traffic")

    def __init__(self, server: ServerAddress, now: float) -> None:
        super().__init__(server.name, server.options, now)
        self.cookie_bytes = self.cookie.encode("ascii")
        self.name_bytes = server.name.encode("ascii")
        self.address = server.address
        self.pool = Pool()
        self.traffic = Traffic()
        self.rates = ServerRates(now)
        self.hurry = asyncio.Event()  # set: its next check is due


class Ticket(Protocol):
    """A request that is with a server, or waits for one."""

    def server_down(self) -> None:
        """The server was just taken down."""

    def placed(self, backend: Backend) -> None:
        """It waited; now it is with this server."""

    def turned_away(self) -> None:
        """It waited; now there is nothing to wait for."""


class Witness(Protocol):
    """Whoever tells other processes of the same group what this one finds (workers/)."""

    def checked(self, backend: Backend, result: CheckResult) -> None:
        """A check was made here."""

    def seen(self, backend: Backend) -> None:
        """Requests here found a server in another state, or gave a reason for a check."""


class Frontend(Protocol):
    """A client's connection, as far as the balancer looks after it."""

    deadline: float

    def deadline_passed(self, now: float) -> None:
        """Its time is over."""

    def drain(self) -> None:
        """End it as soon as nothing is under way."""
