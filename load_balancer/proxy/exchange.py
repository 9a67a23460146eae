"""One request on its way to a server and back.

X1  Bytes of a request go to a second server only as retries.py allows; what was heard is never asked again.
X2  The client gets a clean end only if the server's answer was complete; else its connection is cut.
X3  Whatever ends an exchange takes it off its server's list, once, and gives the server's connection back or drops it.
X4  While a side does not read, the other side is not read either.
X5  How a request ends says nothing about its server's health, else one poisonous request could take all servers out:
    only checks and refused connections do. (A connection that is not made in time may be a burst in a short backlog.)

States: choosing -> connecting -> waiting for the answer -> passing it on -> over.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from load_balancer.balancing.retries import REPEATABLE, Progress, Step, next_step
from load_balancer.balancing.servers import Sign
from load_balancer.http1.events import Body, Broken, End, Framing, Request, Response, ResponseEvent
from load_balancer.http1.headers import (
    LAST_CHUNK,
    chunk,
    connection_line,
    request_head,
    response_framing,
    response_head,
)
from load_balancer.proxy.balancer import Backend, Balancer
from load_balancer.proxy.upstream import Upstream

log = logging.getLogger(__name__)

_FAILURES = {
    Step.UNAVAILABLE: (503, "no server could be reached"),
    Step.BAD_GATEWAY: (502, "the server failed before it had answered"),
    Step.GATEWAY_TIMEOUT: (504, "the server did not answer in time"),
}


class Downstream(Protocol):
    """The client's connection, as an exchange sees it."""

    def write(self, data: bytes) -> None:
        """Part of the answer."""

    def await_server(self, seconds: float) -> None:
        """From now on the server has this long for its next byte."""

    def may_keep_alive(self) -> bool:
        """Whether the connection can serve another request after this one."""

    def request_paused(self, *, paused: bool) -> None:
        """The server does not read the request's body (or reads it again)."""

    def exchange_done(self, *, keep_alive: bool) -> None:
        """The answer is complete."""

    def exchange_failed(self, status: int, reason: str, *, not_dispatched: bool) -> None:
        """There is no answer; none of it was passed on."""

    def exchange_cut(self, framing: Framing) -> None:
        """The answer was begun and cannot be completed (X2)."""


class Exchange:
    """A request whose head (and body, or the first part of it) is here; ``start`` it, then feed it what comes."""

    __slots__ = (
        "_attempts",
        "_backend",
        "_balancer",
        "_body",
        "_client",
        "_common",
        "_complete",
        "_connecting",
        "_framing",
        "_keep_alive",
        "_request",
        "_request_id",
        "_resends",
        "_response",
        "_started",
        "_tried",
        "_upstream",
        "_written",
    )

    def __init__(
        self, balancer: Balancer, client: Downstream, request: Request, *, request_id: bytes, common: bytes, body: bytes
    ) -> None:
        self._balancer = balancer
        self._client = client
        self._request = request
        self._request_id = request_id
        self._common = common
        self._body = body
        self._complete = True
        self._attempts = 0
        self._resends = 0
        self._tried: tuple[str, ...] = ()
        self._backend: Backend | None = None
        self._upstream: Upstream | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._response: Response | None = None
        self._framing = Framing.NONE
        self._written = False
        self._keep_alive = False
        self._started = 0.0

    # From the client's side.

    def start(self, *, complete: bool) -> None:
        """Choose a server and send. Not ``complete``: the rest of the body follows by ``more`` and ``end``."""
        self._complete = complete
        self._started = self._balancer.loop.time()
        self._balancer.budget.deposit()
        self._dispatch()

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

    def pause(self, *, paused: bool) -> None:
        """The client does not read the answer (or reads it again) (X4)."""
        if self._upstream is not None and paused:
            self._upstream.pause()
        elif self._upstream is not None:
            self._upstream.resume()
            self._client.await_server(self._balancer.options.timeouts.server_seconds)

    def abandon(self) -> None:
        """The client is gone, or must not get an answer: whatever the server does with it is its own affair."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._upstream is not None:
            self._upstream.drop()
        self._leave()

    def timed_out(self) -> None:
        """The server had its time."""
        backend = self._backend
        self.abandon()
        self._note_failure(backend, "answer too late", "a request was not answered in time")
        if self._written:
            self._cut()
        else:
            self._after_failure(Progress.TIMED_OUT)

    # From the server's side.

    def server_down(self) -> None:
        """The server was taken down: what can be asked elsewhere goes there now, the rest may still be answered."""
        upstream = self._upstream
        if upstream is None or upstream.heard:
            return
        if self._next_step(Progress.SENT) is Step.RESEND:
            upstream.drop()
            self._leave()
            self._after_failure(Progress.SENT)

    def received(self, events: Sequence[ResponseEvent]) -> None:
        """Pass an answer on, piece by piece."""
        head = b""
        pieces: list[bytes] = []
        done = False
        for event in events:
            if isinstance(event, Body):
                pieces.append(event.data)
            elif isinstance(event, Response):
                head = self._begin_response(event)
            elif isinstance(event, End):
                done = True
            elif isinstance(event, Broken):
                self._broken(event.reason)
                return
        data = self._framed_answer(head, pieces, done=done)
        if data:
            self._written = True
            self._client.write(data)
        if done:
            self._finish()
        else:
            self._client.await_server(self._balancer.options.timeouts.server_seconds)

    def upstream_lost(self, reason: str) -> None:
        """The connection ended early."""
        upstream, backend = self._upstream, self._backend
        self._leave()
        if self._written:
            self._note_failure(backend, "answer cut off", reason)
            self._cut()
            return
        heard = upstream is not None and upstream.heard
        if upstream is not None and upstream.requests > 1 and not heard:
            # An idle connection that the server had closed meanwhile says nothing about its health. But it may also be
            # dying: it still accepts a connection and then resets that too, and there is no third try. So another
            # server comes first, and this one, on a new connection, only if it is alone.
            self._after_failure(Progress.SENT, again=backend)
            return
        self._note_failure(backend, "no answer", reason)
        self._after_failure(Progress.ANSWERED if heard else Progress.SENT)

    def upstream_paused(self, *, paused: bool) -> None:
        self._client.request_paused(paused=paused)

    # How it goes on.

    def _dispatch(self, again: Backend | None = None) -> None:
        """To the server whose turn it is; ``again``, which was tried already, only where there is no other."""
        backend = self._balancer.choose(self._tried)
        if backend is None and again is not None and again.health.eligible:
            backend = again
        if backend is None:
            self._give_up(Step.BAD_GATEWAY if self._resends else Step.UNAVAILABLE)
            return
        self._send_to(backend)

    def _send_to(self, backend: Backend) -> None:
        self._backend = backend
        self._tried += (backend.name,)
        backend.waiting.add(self)
        # What was sent in vain on an idle connection must not meet a second one that is just as dead.
        upstream = None if self._resends else backend.pool.take(repeatable=self._request.method in REPEATABLE)
        if upstream is not None:
            self._send(upstream)
        else:
            self._client.await_server(self._balancer.options.timeouts.server_seconds)
            self._connecting = self._balancer.loop.create_task(self._connect(backend))

    async def _connect(self, backend: Backend) -> None:
        seconds = self._balancer.options.timeouts.connect_seconds
        address = backend.address
        try:
            async with asyncio.timeout(seconds):
                _, upstream = await self._balancer.loop.create_connection(
                    lambda: Upstream(backend.pool), address.host, address.port
                )
        except TimeoutError:
            self._connect_failed(backend, f"no connection within {seconds:g} s", refused=False)
        except OSError as error:
            self._connect_failed(
                backend, error.strerror or str(error), refused=isinstance(error, ConnectionRefusedError)
            )
        else:
            self._connecting = None
            backend.traffic.connections += 1
            self._send(upstream)

    def _connect_failed(self, backend: Backend, reason: str, *, refused: bool) -> None:
        self._connecting = None
        self._leave()
        self._attempts += 1
        if refused:
            self._balancer.observe(backend, Sign.REFUSED, reason)
        else:
            self._note_failure(backend, "no connection", reason)
        self._after_failure(Progress.NOT_SENT)

    def _send(self, upstream: Upstream) -> None:
        request = self._request
        self._upstream = upstream
        length = None if request.framing is Framing.CHUNKED and not self._complete else len(self._body)
        if request.framing is Framing.LENGTH:
            length = request.length
        head = request_head(request, self._common, self._request_id, length)
        body = self._framed(self._body) if length is None else self._body
        if self._complete and length is None:
            body += LAST_CHUNK
        if self._backend is not None:
            self._backend.traffic.requests += 1
        upstream.send(self, head + body if body else head, for_head=request.method == b"HEAD")
        self._client.await_server(self._balancer.options.timeouts.server_seconds)

    def _framed(self, data: bytes) -> bytes:
        return chunk(data) if self._request.framing is Framing.CHUNKED and data else data

    def _begin_response(self, response: Response) -> bytes:
        client_minor = self._request.minor
        self._response = response
        self._framing = response_framing(response, client_minor)
        self._keep_alive = self._complete and self._framing is not Framing.CLOSE and self._client.may_keep_alive()
        assert self._upstream is not None and self._backend is not None  # noqa: S101, PT018 - an answer came
        return response_head(
            response,
            self._upstream.passed_on(response.fields, self._backend.name_bytes),
            framing=self._framing,
            request_id=self._request_id,
            connection=connection_line(keep_alive=self._keep_alive, client_minor=client_minor),
            date=self._balancer.date(),
        )

    def _framed_answer(self, head: bytes, pieces: list[bytes], *, done: bool) -> bytes:
        """All that came at once goes out at once: however many chunks the server made of it, the client gets one."""
        if self._framing is not Framing.CHUNKED:
            return b"".join((head, *pieces))
        data = b"".join(pieces)
        return b"".join((head, chunk(data) if data else b"", LAST_CHUNK if done else b""))

    def _finish(self) -> None:
        upstream, backend, response = self._upstream, self._backend, self._response
        assert upstream is not None and backend is not None and response is not None  # noqa: S101, PT018 - as above
        self._leave()
        backend.traffic.answered(response.status, self._balancer.loop.time() - self._started)
        upstream.release(reusable=response.reusable and self._complete and backend.health.eligible)
        self._client.exchange_done(keep_alive=self._keep_alive)

    def _broken(self, reason: str) -> None:
        backend = self._backend
        if self._upstream is not None:
            self._upstream.drop()
        self._leave()
        self._note_failure(backend, "broken answer", reason)
        if self._written:
            self._cut()
        else:
            self._client.exchange_failed(502, reason, not_dispatched=False)

    @staticmethod
    def _note_failure(backend: Backend | None, kind: str, reason: str) -> None:
        """X5: counted and logged, no more."""
        if backend is not None:
            backend.traffic.failures[kind] += 1
            log.warning("server %s: %s: %s", backend.name, kind, reason)

    def _cut(self) -> None:
        self._balancer.own.truncated += 1
        self._client.exchange_cut(self._framing)

    def _next_step(self, progress: Progress) -> Step:
        return next_step(
            self._request.method,
            progress,
            attempts=self._attempts,
            resends=self._resends,
            affordable=self._balancer.budget.affordable,
        )

    def _after_failure(self, progress: Progress, again: Backend | None = None) -> None:
        step = self._next_step(progress)
        if step is not Step.RESEND:
            self._give_up(step)
            return
        if progress is Progress.SENT:
            self._resends += 1
            self._balancer.own.resends += 1
            self._balancer.budget.withdraw()
        self._dispatch(again)

    def _give_up(self, step: Step) -> None:
        status, reason = _FAILURES[step]
        self._client.exchange_failed(status, reason, not_dispatched=step is Step.UNAVAILABLE)

    def _leave(self) -> None:
        """X3."""
        if self._backend is not None:
            self._backend.waiting.discard(self)
        self._backend = None
        self._upstream = None
