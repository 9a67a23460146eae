"""What an exchange asks of the client's connection."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from load_balancer.access_log.lines import Outcome
from load_balancer.http1.events import Framing
from load_balancer.proxy.tunnels import Tunnel


class Downstream(Protocol):
    """The client's connection, as an exchange sees it."""

    def write(self, data: bytes) -> None:
        """Part of the answer."""

    def over_tls(self) -> bool:
        """Whether nobody on its way can read along."""

    def await_server(self, now: float) -> None:
        """From now on the server has its time for the next byte."""

    def await_room(self, now: float) -> None:
        """From now on a server has the time for queues to get room."""

    def may_keep_alive(self) -> bool:
        """Whether the connection can serve another request after this one."""

    def request_paused(self, *, paused: bool) -> None:
        """The server does not read the request's body (or reads it again)."""

    def exchange_done(self, now: float, *, keep_alive: bool) -> None:
        """The answer is complete; this exchange may be started again."""

    def answered(self, server: bytes, status: int, body_bytes: int, started: float, outcome: Outcome) -> None:
        """What the access log is told of an answer; asked for only where there is one."""

    def switch(self, early: bytes, server: asyncio.Transport, ended: Callable[[Tunnel], None]) -> None:
        """From now on it is a tunnel to this connection; ``early``: what came from there already."""

    def exchange_failed(self, status: int, reason: str, *, not_dispatched: bool) -> None:
        """There is no answer; none of it was passed on."""

    def exchange_cut(self, framing: Framing) -> None:
        """The answer was begun and cannot be completed (X2)."""
