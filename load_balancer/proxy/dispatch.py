"""One request on its way to a server: choosing one, standing in line, connecting, sending, and trying once more.

T1  Bytes of a request go to a second server only as retries.py allows.
T2  A request is counted with one server at a time (server_set.G5); ``_leave`` takes it off, whatever ended it.
T3  A request that stands in line takes no body from its client meanwhile, and waits ``queue_seconds`` at most.
T4  How a request fails says nothing about its server's health, else one poisonous request could take all servers out:
    only checks and refused connections do (a connection that is not made in time may be a burst in a short backlog),
    unless the server is observed; then the server set takes care that never all are taken out (server_set.G6).
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from time import monotonic
from typing import Final

from load_balancer.balancing.placements import Refusal
from load_balancer.balancing.retries import REPEATABLE, Progress, Step, next_step
from load_balancer.balancing.servers import Sign
from load_balancer.http1.events import Framing, Received, Request
from load_balancer.http1.headers import LAST_CHUNK, chunk, request_ending
from load_balancer.http1.traces import NUMBER_DIGITS
from load_balancer.proxy.backends import Backend
from load_balancer.proxy.balancer import Balancer
from load_balancer.proxy.downstream import Downstream
from load_balancer.proxy.replies import FAILURES
from load_balancer.proxy.upstream import CannotConnectError, Upstream, connect

log = logging.getLogger(__name__)

_NONE: Final = Framing.NONE
_LENGTH: Final = Framing.LENGTH  # asked for with every request; an enum's member is found more slowly
_NUMBER_AT: Final = -NUMBER_DIGITS  # where a request's number begins in its id
_NO_BODY: Final = (b"\r\n\r\n", b"")


class Dispatch(ABC):
    """A request and the server that it is with, if any. What comes back is its subclass' affair (exchange.py)."""

    __slots__ = (
        "_attempts",
        "_backend",
        "_balancer",
        "_body",
        "_client",
        "_client_lines",
        "_complete",
        "_connecting",
        "_in_line",
        "_request",
        "_request_id",
        "_resends",
        "_tried",
        "_upstream",
    )

    def __init__(self, balancer: Balancer, client: Downstream, client_lines: bytes) -> None:
        """``client_lines``: what every request of this client tells about it (headers.client_lines)."""
        self._balancer = balancer
        self._client = client
        self._client_lines = client_lines
        self._request: Request
        self._request_id = b""
        self._body = b""
        self._complete = True
        self._attempts = 0
        self._resends = 0
        self._tried: tuple[str, ...] = ()
        self._backend: Backend | None = None
        self._upstream: Upstream | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._in_line = False

    @abstractmethod
    def received(self, received: Received) -> None:
        """Part of the answer came."""

    @abstractmethod
    def upstream_lost(self, reason: str) -> None:
        """The connection ended early."""

    def upstream_paused(self, *, paused: bool) -> None:
        """The server does not read what it is sent, or reads it again."""
        self._client.request_paused(paused=paused)

    def more(self, data: bytes) -> None:
        """A further piece of the request's body."""
        if self._upstream is None:
            self._body += data
        else:
            self._upstream.send_more(self._framed(data))

    def end(self) -> None:
        """The request's body is complete."""
        self._complete = True
        if self._upstream is not None and self._request.framing is Framing.CHUNKED:
            self._upstream.send_more(LAST_CHUNK)

    def _place(self, now: float) -> None:
        """To the server whose turn it is; one that was tried already only where there is no other."""
        backend = self._balancer.servers.assign(self, self._tried)
        if backend is None:
            self._stand_in_line(now)
        else:
            self._begin(backend, now)

    def _begin(self, backend: Backend, now: float) -> None:
        """A server has room for it, and it is counted there."""
        self._backend = backend
        # What was sent in vain on an idle connection must not meet a second one that is just as dead.
        upstream = None if self._resends else backend.pool.take(now, repeatable=self._request.method in REPEATABLE)
        if upstream is not None:
            self._send(backend, upstream, now)
        else:
            self._client.await_server(now)
            self._connecting = self._balancer.loop.create_task(self._connect(backend))

    def _stand_in_line(self, now: float) -> None:
        refusal = self._balancer.servers.enter(self)
        if refusal is None:
            self._wait(now)
        else:
            self._unplaced(refusal)

    def _wait(self, now: float) -> None:
        """T3."""
        self._in_line = True
        if not self._complete:
            self._client.request_paused(paused=True)
        self._client.await_room(now)

    def _unplaced(self, refusal: Refusal) -> None:
        """No server was asked, at least not this time."""
        if self._resends:
            self._give_up(Step.BAD_GATEWAY)
        else:
            self._client.exchange_failed(503, refusal.value, not_dispatched=True)

    # From the server set's side.

    def placed(self, backend: Backend) -> None:
        """It stood in line; a server has room for it now."""
        self._in_line = False
        self._begin(backend, monotonic())
        if not self._complete:
            self._client.request_paused(paused=False)

    def turned_away(self) -> None:
        """It stood in line; no server is left."""
        self._in_line = False
        self._unplaced(Refusal.NO_SERVER)

    async def _connect(self, backend: Backend) -> None:
        address, seconds = backend.address, self._balancer.options.timeouts.connect_seconds
        try:
            upstream = await connect(backend.pool, address.host, address.port, seconds)
        except CannotConnectError as error:
            self._connecting = None
            if error.refused:
                backend.tally.connect_errors += 1
                self._balancer.observe(backend, Sign.REFUSED, error.reason)
            else:
                self._note_failure(backend, "no connection", error.reason, connected=False)
            self._leave()
            self._attempts += 1
            self._after_failure(Progress.NOT_SENT)
        else:
            self._connecting = None
            backend.traffic.connections += 1
            self._send(backend, upstream, monotonic())

    def _send(self, backend: Backend, upstream: Upstream, now: float) -> None:
        request = self._request
        self._upstream = upstream
        ending, body = _NO_BODY if request.framing is _NONE else self._ending_and_body(request)
        request_id = self._request_id
        if request.fields.facts.trace:
            data = b"".join((request.opening, self._client_lines, request_id, ending, body))
        else:
            before, behind = self._balancer.trace_parts
            number = request_id[_NUMBER_AT:]
            data = b"".join((request.opening, self._client_lines, request_id, before, number, behind, ending, body))
        traffic = backend.traffic
        traffic.requests += 1
        traffic.bytes_in += len(data)
        upstream.send(self, data, for_head=request.method == b"HEAD")
        self._client.await_server(now)

    def _ending_and_body(self, request: Request) -> tuple[bytes, bytes]:
        """The end of the head, which tells the framing, and as much of the body as is here."""
        if request.framing is _LENGTH:
            return request_ending(request, request.length), self._body
        if self._complete:
            return request_ending(request, len(self._body)), self._body
        return request_ending(request, None), self._framed(self._body)

    def _framed(self, data: bytes) -> bytes:
        return chunk(data) if self._request.framing is Framing.CHUNKED and data else data

    def _note_failure(self, backend: Backend | None, kind: str, reason: str, *, connected: bool = True) -> None:
        """T4."""
        if backend is not None:
            backend.traffic.failures[kind] += 1
            log.warning("server %s: %s: %s", backend.name, kind, reason)
            self._balancer.failed(backend, reason, connected=connected)

    def _next_step(self, progress: Progress) -> Step:
        return next_step(
            self._request.method,
            progress,
            attempts=self._attempts,
            resends=self._resends,
            affordable=self._balancer.budget.affordable,
            retries=self._balancer.options.retry.retries,
        )

    def _after_failure(self, progress: Progress) -> None:
        step = self._next_step(progress)
        if step is not Step.RESEND:
            self._give_up(step)
            return
        if progress is Progress.SENT:
            self._resends += 1
            self._balancer.own.resends += 1
            self._balancer.budget.withdraw()
        self._place(monotonic())
        if self._backend is not None:
            self._balancer.tried_again(self._tried[-1], self._backend)

    def _give_up(self, step: Step) -> None:
        status, reason = FAILURES[step]
        self._client.exchange_failed(status, reason, not_dispatched=step is Step.UNAVAILABLE)

    def _leave(self) -> None:
        """T2, for a server that did not answer, or not well."""
        backend, self._backend = self._backend, None
        self._upstream = None
        if backend is not None:
            self._tried += (backend.name,)
            self._balancer.carry_out(self._balancer.servers.leave(backend, self))
        elif self._in_line:
            self._in_line = False
            self._balancer.servers.withdraw(self)
