"""One request and its answer. How it comes to a server is dispatch.py's.

X1  Bytes of a request go to a second server only as retries.py allows; what was heard is never asked again.
X2  The client gets a clean end only if the server's answer was complete; else its connection is cut.
X3  Whatever ends an exchange takes it off its server's list, once, and gives the server's connection back or drops it.
X4  While a side does not read, the other side is not read either.

States: choosing (-> in line) -> connecting -> waiting for the answer -> passing it on -> over.
"""

from time import monotonic
from typing import Final

from load_balancer.access_log.lines import CLIENT_CLOSED, Outcome
from load_balancer.balancing.placements import Refusal
from load_balancer.balancing.retries import Progress, Step
from load_balancer.http1.events import Framing, Received, Request, Response
from load_balancer.http1.headers import (
    LAST_CHUNK,
    chunk,
    connection_line,
    response_ending,
    response_framing,
)
from load_balancer.proxy.balancer import Balancer
from load_balancer.proxy.dispatch import Dispatch
from load_balancer.proxy.downstream import Downstream

# Asked for with every request; an enum's member is found more slowly.
_LENGTH: Final = Framing.LENGTH
_CHUNKED: Final = Framing.CHUNKED
_CLOSE: Final = Framing.CLOSE


class Exchange(Dispatch):
    """A request whose head (and body, or the first part of it) is here; ``start`` it, then feed it what comes.

    One whose answer was complete may be started again, for the next request of its client: nothing of it is left.
    """

    __slots__ = ("_body_bytes", "_framing", "_head_bytes", "_keep_alive", "_reusable", "_status", "_written", "started")

    def __init__(self, balancer: Balancer, client: Downstream, client_lines: bytes) -> None:
        """``client_lines``: what every request of this client tells about it (headers.client_lines)."""
        super().__init__(balancer, client, client_lines)
        self._status = 0
        self._reusable = False
        self._framing = Framing.NONE
        self._written = False
        self._keep_alive = False
        self._head_bytes = self._body_bytes = 0  # of the answer, as it goes to the client
        self.started = 0.0

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
        self.started = now = monotonic()
        self._balancer.budget.deposit()
        self._place(now)

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

    def tell_outcome(self, outcome: Outcome) -> None:
        """To the access log, of an answer that is not complete."""
        if self._balancer.access_log is None:
            return
        server = self._tried[-1] if self._tried else "-"
        if self._backend is not None:
            server = self._backend.name
        status, size = (self._status, self._body_bytes) if self._written else (CLIENT_CLOSED, 0)
        self._client.answered(server.encode("ascii"), status, size, self.started, outcome)

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
        if response is None:
            head = b""
            self._body_bytes += len(data)
        else:
            head = self._begin_response(response)
            self._head_bytes = len(head)
            self._body_bytes = len(data)
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
        backend.traffic.answered(self._status, now - self.started, self._head_bytes + self._body_bytes)
        if self._balancer.access_log is not None:
            self._client.answered(backend.name_bytes, self._status, self._body_bytes, self.started, Outcome.COMPLETE)
        upstream.release(now, reusable=self._reusable and self._complete and backend.health.eligible)
        servers = self._balancer.servers
        if servers.attentive:
            if backend.observed:
                self._balancer.answered(backend, self._status)
            self._balancer.carry_out(servers.leave(backend, self))
        else:
            backend.serving.discard(self)
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

    def _cut(self) -> None:
        self._balancer.own.truncated += 1
        self.tell_outcome(Outcome.CUT)
        self._client.exchange_cut(self._framing)
