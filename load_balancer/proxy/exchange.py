"""One request on its way to a server and back.

X1  Bytes of a request go to a second server only as retries.py allows; what was heard is never asked again.
X2  The client gets a clean end only if the server's answer was complete; else its connection is cut.
X3  Whatever ends an exchange takes it off its server's list, once, and gives the server's connection back or drops it.
X4  While a side does not read, the other side is not read either.
X5  How a request ends says nothing about its server's health, else one poisonous request could take all servers out:
    only checks and refused connections do (a connection that is not made in time may be a burst in a short backlog),
    unless the server is observed; then the server set takes care that never all are taken out (server_set.G6).
X6  A request that waits for a server takes no body from its client meanwhile, and waits ``queue_seconds`` at most.

States: choosing (-> in line) -> connecting -> waiting for the answer -> passing it on -> over.
"""

import asyncio
import logging
from time import monotonic
from typing import Final

from load_balancer.balancing.retries import REPEATABLE, Progress, Step, next_step
from load_balancer.balancing.server_set import Refusal
from load_balancer.balancing.servers import Sign
from load_balancer.http1.events import Framing, Received, Request, Response
from load_balancer.http1.headers import (
    LAST_CHUNK,
    chunk,
    connection_line,
    request_ending,
    response_ending,
    response_framing,
)
from load_balancer.http1.traces import NUMBER_DIGITS
from load_balancer.proxy.balancer import Backend, Balancer
from load_balancer.proxy.downstream import Downstream
from load_balancer.proxy.replies import FAILURES
from load_balancer.proxy.upstream import CannotConnectError, Upstream, connect

log = logging.getLogger(__name__)

# Asked for with every request; an enum's member is found more slowly.
_LENGTH: Final = Framing.LENGTH
_CHUNKED: Final = Framing.CHUNKED
_CLOSE: Final = Framing.CLOSE
_NUMBER_AT: Final = -NUMBER_DIGITS  # where a request's number begins in its id
_NO_BODY: Final = (b"\r\n\r\n", b"")


class Exchange:
    """A request whose head (and body, or the first part of it) is here; ``start`` it, then feed it what comes.

    One whose answer was complete may be started again, for the next request of its client: nothing of it is left.
    """

    __slots__ = (
        "_attempts",
        "_backend",
        "_balancer",
        "_body",
        "_client",
        "_client_lines",
        "_complete",
        "_connecting",
        "_framing",
        "_in_line",
        "_keep_alive",
        "_request",
        "_request_id",
        "_resends",
        "_reusable",
        "_started",
        "_status",
        "_tried",
        "_upstream",
        "_written",
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
        self._status = 0
        self._reusable = False
        self._framing = Framing.NONE
        self._written = False
        self._keep_alive = False
        self._started = 0.0

    # From the client's side.

    def start(self, request: Request, request_id: bytes, body: bytes = b"", *, complete: bool = True) -> None:
        """Choose a server and send. Not ``complete``: the rest of the body follows by ``more`` and ``end``."""
        self._request = request
        self._request_id = request_id
        self._body = body
        self._complete = complete
        self._written = False
        if self._tried:
            self._tried = ()
            self._attempts = self._resends = 0
        self._started = now = monotonic()
        self._balancer.budget.deposit()
        self._dispatch(now)

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
            self._client.await_server(monotonic())

    def abandon(self) -> None:
        """The client is gone, or must not get an answer: whatever the server does with it is its own affair."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._upstream is not None:
            self._upstream.drop()
        self._leave()

    def timed_out(self) -> None:
        """The server had its time, or nobody had room in time."""
        if self._in_line:
            self._leave()
            self._unplaced(Refusal.TOO_LATE)
            return
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

    def received(self, received: Received) -> None:
        """Pass an answer on, piece by piece. All that came at once goes out at once, in one chunk if in any."""
        response, data, ended, broken = received
        if broken is not None:
            self._broken(broken)
            return
        head = b"" if response is None else self._begin_response(response)
        if self._framing is _CHUNKED:
            data = b"".join((head, chunk(data) if data else b"", LAST_CHUNK if ended else b""))
        elif head:
            data = head + data
        if data:
            self._written = True
            self._client.write(data)
        if ended:
            self._finish()
        else:
            self._client.await_server(monotonic())

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
            self._after_failure(Progress.SENT)
            return
        self._note_failure(backend, "no answer", reason)
        self._after_failure(Progress.ANSWERED if heard else Progress.SENT)

    def upstream_paused(self, *, paused: bool) -> None:
        self._client.request_paused(paused=paused)

    # How it goes on.

    def _dispatch(self, now: float) -> None:
        """To the server whose turn it is; one that was tried already only where there is no other."""
        backend = self._balancer.servers.assign(self, self._tried)
        if backend is None:
            self._stand_in_line(now)
        else:
            self._begin(backend, now)

    def _begin(self, backend: Backend, now: float) -> None:
        self._backend = backend
        if self._tried:
            self._balancer.tried_again(self._tried[-1], backend)
        # What was sent in vain on an idle connection must not meet a second one that is just as dead.
        upstream = None if self._resends else backend.pool.take(now, repeatable=self._request.method in REPEATABLE)
        if upstream is not None:
            self._send(backend, upstream, now)
        else:
            self._client.await_server(now)
            self._connecting = self._balancer.loop.create_task(self._connect(backend))

    def _stand_in_line(self, now: float) -> None:
        """X6."""
        refusal = self._balancer.servers.enter(self)
        if refusal is not None:
            self._unplaced(refusal)
            return
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
        ending, body = _NO_BODY if request.framing is Framing.NONE else self._ending_and_body(request)
        request_id = self._request_id
        if request.fields.facts.trace:
            data = b"".join((request.opening, self._client_lines, request_id, ending, body))
        else:
            number = request_id[_NUMBER_AT:]
            before, between, behind = self._balancer.trace_parts
            data = b"".join(
                (request.opening, self._client_lines, request_id, before, number, between, number, behind, ending, body)
            )
        backend.traffic.requests += 1
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

    def _begin_response(self, response: Response) -> bytes:
        """The head that the client gets."""
        upstream, backend, minor = self._upstream, self._backend, self._request.minor
        assert upstream is not None and backend is not None  # noqa: S101, PT018 - an answer came
        framing = response.framing
        if framing is not _LENGTH:
            framing = response_framing(response, minor)
        self._framing = framing
        self._status = response.status
        self._reusable = response.reusable
        self._keep_alive = keep_alive = self._complete and framing is not _CLOSE and self._client.may_keep_alive()
        return upstream.opening(response, framing, backend.name_bytes) + response_ending(
            b"" if keep_alive and minor else connection_line(keep_alive=keep_alive, client_minor=minor),
            self._request_id,
            None if response.fields.facts.dated else self._balancer.date(),
        )

    def _finish(self) -> None:
        upstream, backend = self._upstream, self._backend
        assert upstream is not None and backend is not None  # noqa: S101, PT018 - an answer came
        now = monotonic()
        self._backend = self._upstream = None
        self._body = b""
        del self._request  # between two requests a client holds no head in memory
        backend.traffic.answered(self._status, now - self._started)
        if backend.observed:
            self._balancer.answered(backend, self._status)
        upstream.release(now, reusable=self._reusable and self._complete and backend.health.eligible)
        placements = self._balancer.servers.leave(backend, self)
        if placements:
            self._balancer.carry_out(placements)
        self._client.exchange_done(now, keep_alive=self._keep_alive)

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

    def _note_failure(self, backend: Backend | None, kind: str, reason: str, *, connected: bool = True) -> None:
        """X5."""
        if backend is not None:
            backend.traffic.failures[kind] += 1
            log.warning("server %s: %s: %s", backend.name, kind, reason)
            self._balancer.failed(backend, reason, connected=connected)

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

    def _after_failure(self, progress: Progress) -> None:
        step = self._next_step(progress)
        if step is not Step.RESEND:
            self._give_up(step)
            return
        if progress is Progress.SENT:
            self._resends += 1
            self._balancer.own.resends += 1
            self._balancer.budget.withdraw()
        self._dispatch(monotonic())

    def _give_up(self, step: Step) -> None:
        status, reason = FAILURES[step]
        self._client.exchange_failed(status, reason, not_dispatched=step is Step.UNAVAILABLE)

    def _leave(self) -> None:
        """X3, for a server that did not answer, or not well."""
        backend, self._backend = self._backend, None
        self._upstream = None
        if backend is not None:
            self._tried += (backend.name,)
            self._balancer.carry_out(self._balancer.servers.leave(backend, self) or ())
        elif self._in_line:
            self._in_line = False
            self._balancer.servers.withdraw(self)
