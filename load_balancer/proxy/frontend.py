"""A client's connection: one request after the other, each answered by a server or by us.

F1  One request at a time; what is pipelined behind it waits, unparsed, and beyond 64 KiB in the client's own kernel.
F2  A body up to 1 MiB is here as a whole before a server is chosen: a slow sender never holds one.
F3  After an error in the client's bytes nothing more of them is read as HTTP.
F4  Every state has a deadline; there is exactly one at any time.
F5  A connection is closed so that the answer survives: our side ends, then the client has a second to read.

States: idle -> head -> (body) -> exchange -> idle …, streaming where a body is larger than F2; any -> lingering -> gone.
"""

import asyncio
import logging
from typing import Final, cast

from load_balancer.http1.events import Body, End, Framing, Rejected, Request, RequestEvent, RequestFields
from load_balancer.http1.headers import connection_line, request_fields
from load_balancer.http1.requests import RequestParser
from load_balancer.proxy.balancer import Balancer
from load_balancer.proxy.bodies import CollectedBody
from load_balancer.proxy.endings import ReaderPace, own_authority, reset
from load_balancer.proxy.exchange import Exchange
from load_balancer.proxy.phases import WANTS_EVENTS, Phase
from load_balancer.proxy.replies import Reply, own_reply, problem, reply_bytes, wants_html

log = logging.getLogger(__name__)

PIPELINED_BYTES_MAX: Final = 65_536  # F1
REQUESTS_MAX: Final = 1_000  # on one connection, nginx's keepalive_requests
BODY_RATE_BYTES_PER_SECOND_MIN: Final = 16_384  # each byte that arrives buys its sender time at this rate
LINGER_SECONDS: Final = 1.0
LINGER_BYTES_MAX: Final = 262_144
REFUSALS_MAX: Final = 128  # connections beyond the limit that are told so at the same time; further ones just close
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Client(asyncio.Protocol):
    """One connection. ``deadline``: when it has waited long enough, in the loop's time (F4)."""

    __slots__ = (
        "_address",
        "_advancing",
        "_balancer",
        "_body",
        "_common",
        "_common_for",
        "_common_host",
        "_eof",
        "_exchange",
        "_linger_bytes",
        "_loop",
        "_pace",
        "_parser",
        "_phase",
        "_reading_paused",
        "_request",
        "_request_id",
        "_served",
        "_transport",
        "_upstream_paused",
        "_write_paused",
        "deadline",
    )

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._loop = balancer.loop
        self._parser = RequestParser(balancer.options.body_bytes_max)
        self._transport: asyncio.Transport
        self._phase = Phase.IDLE
        self._address = b""
        self._request: Request | None = None
        self._request_id = b""
        self._exchange: Exchange | None = None
        self._body = CollectedBody(balancer.body_memory)
        self._served = 0
        self._common = b""
        self._common_for: RequestFields | None = None
        self._common_host = b""
        self._advancing = False
        self._eof = False
        self._reading_paused = False
        self._write_paused = False
        self._upstream_paused = False
        self._pace = ReaderPace()
        self._linger_bytes = 0
        self.deadline = 0.0

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without inheriting from it
        peer = transport.get_extra_info("peername")
        self._address = peer[0].encode("ascii") if peer else b"unknown"
        balancer = self._balancer
        balancer.clients.add(self)
        balancer.own.connections += 1
        self._set_deadline(balancer.options.timeouts.client_seconds)
        excess = len(balancer.clients) - balancer.options.connections_max
        if balancer.draining or excess > REFUSALS_MAX:
            self._transport.abort()
        elif excess > 0:
            balancer.own.connections_refused += 1
            self._refuse(503, "too many connections")

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase is Phase.LINGER:
            self._linger_bytes += len(data)
            if self._linger_bytes > LINGER_BYTES_MAX:
                self._transport.abort()
            return
        self._parser.feed(data)
        if phase is Phase.EXCHANGE:
            self._regulate_reading()
        else:
            self._advance()

    def eof_received(self) -> bool:
        """The client sends nothing more; it may still read (a half-close), so the transport stays open."""
        self._eof = True
        self._parser.feed_eof()
        if self._phase is Phase.LINGER:
            self._transport.close()
        elif self._phase is not Phase.EXCHANGE:
            self._advance()
        return True

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - how it ended does not matter
        self._phase = Phase.GONE
        self._balancer.clients.discard(self)
        self._body.forget()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()

    def pause_writing(self) -> None:
        self._write_paused = True
        self._pace.begin(self._transport.get_write_buffer_size())
        self._set_deadline(self._balancer.options.timeouts.client_seconds)
        if self._exchange is not None:
            self._exchange.pause(paused=True)

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._exchange is not None:
            self._exchange.pause(paused=False)
        elif self._phase is Phase.IDLE:
            self._set_deadline(self._balancer.options.timeouts.keep_alive_seconds)
            self._advance()

    # Requests.

    def _advance(self) -> None:
        """Take events until more bytes are needed, or a server's answer has to be awaited."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._phase in WANTS_EVENTS and not self._upstream_paused:
                if self._write_paused and self._phase is not Phase.STREAMING:
                    break
                event = self._parser.next_event()
                if event is None:
                    self._await_bytes()
                    break
                self._take(event)
        finally:
            self._advancing = False
        self._regulate_reading()

    def _take(self, event: RequestEvent) -> None:
        if isinstance(event, Request):
            self._begin(event)
        elif isinstance(event, Body):
            self._take_body(event.data)
        elif isinstance(event, End):
            self._end_of_body()
        elif isinstance(event, Rejected):
            self._rejected(event)

    def _await_bytes(self) -> None:
        if self._eof:
            self._transport.close()
        elif self._phase is Phase.IDLE and self._parser.within_message:
            self._phase = Phase.HEAD
            self._set_deadline(self._balancer.options.timeouts.client_seconds)

    def _begin(self, request: Request) -> None:
        balancer = self._balancer
        self._request = request
        self._request_id = balancer.next_request_id()
        self._served += 1
        hosts = balancer.options.hosts
        if request.reserved is not None or hosts is not None:
            reply = own_reply(request, hosts, self._request_id)
            if reply is not None:
                # A body that nobody reads would be taken for the next request: the connection ends with the answer.
                self._send_own(reply, keep_alive=request.complete and self.may_keep_alive())
                return
        if request.complete:
            self._phase = Phase.EXCHANGE
            self._dispatch(complete=True)
            return
        self._phase = Phase.BODY
        self._set_deadline(balancer.options.timeouts.client_seconds)
        if request.expects_continue and not self._parser.waiting_bytes:
            self._transport.write(_CONTINUE)

    def _take_body(self, data: bytes) -> None:
        self.deadline += len(data) / BODY_RATE_BYTES_PER_SECOND_MIN
        if self._phase is Phase.STREAMING and self._exchange is not None:
            self._exchange.more(data)
            return
        self._body.add(data)
        if self._body.too_much:
            self._refuse(503, "too many large requests at once")
        elif self._body.large:
            self._phase = Phase.STREAMING
            self._dispatch(complete=False)

    def _end_of_body(self) -> None:
        if self._phase is Phase.STREAMING and self._exchange is not None:
            self._phase = Phase.EXCHANGE
            self._exchange.end()
            self.await_server(self._balancer.options.timeouts.server_seconds)
        else:
            self._phase = Phase.EXCHANGE
            self._dispatch(complete=True)

    def _dispatch(self, *, complete: bool) -> None:
        request = self._request
        assert request is not None  # noqa: S101 - its head came before its end
        if self._common_for is not request.fields or self._common_host != request.host:
            host = request.host or own_authority(self._transport)
            self._common = request_fields(request.fields, host, self._address)
            self._common_for, self._common_host = request.fields, request.host
        self._exchange = Exchange(
            self._balancer,
            self,
            request,
            request_id=self._request_id,
            common=self._common,
            body=b"" if request.complete else self._body.take(),
        )
        self._exchange.start(complete=complete)

    def _rejected(self, rejected: Rejected) -> None:
        """F3. No byte of the request is logged, for it may hold anything."""
        log.info("refused a request from %s: %d %s", self._address.decode("ascii"), rejected.status, rejected.reason)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()
        self._refuse(rejected.status, rejected.reason, not_dispatched=exchange is None)

    # Answers.

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def await_server(self, seconds: float) -> None:
        if not self._write_paused and self._phase is Phase.EXCHANGE:
            self.deadline = self._loop.time() + seconds

    def may_keep_alive(self) -> bool:
        request = self._request
        return (
            request is not None
            and request.keep_alive
            and self._served < REQUESTS_MAX
            and not self._balancer.draining
            and self._phase is not Phase.STREAMING
        )

    def request_paused(self, *, paused: bool) -> None:
        self._upstream_paused = paused
        if paused:
            self._regulate_reading()
        else:
            self._advance()

    def exchange_done(self, *, keep_alive: bool) -> None:
        self._exchange = None
        self._upstream_paused = False
        if keep_alive:
            self._next_request()
        else:
            self._linger()

    def exchange_failed(self, status: int, reason: str, *, not_dispatched: bool) -> None:
        self._exchange = None
        self._upstream_paused = False
        reply = self._problem(status, reason, not_dispatched=not_dispatched)
        self._send_own(reply, keep_alive=self.may_keep_alive())

    def exchange_cut(self, framing: Framing) -> None:
        """An answer whose end is the connection's end must end in a reset, else it looks whole."""
        self._exchange = None
        self._phase = Phase.GONE
        if framing is Framing.CLOSE:
            reset(self._transport)
        else:
            self._transport.close()

    def _problem(self, status: int, reason: str, *, not_dispatched: bool = True) -> Reply:
        html = self._request is not None and wants_html(self._request.fields)
        return problem(status, reason, request_id=self._request_id, html=html, not_dispatched=not_dispatched)

    def _refuse(self, status: int, reason: str, *, not_dispatched: bool = True) -> None:
        """An answer to bytes that are no request, or to a request that is not read to its end."""
        if self._phase in (Phase.IDLE, Phase.HEAD):
            self._request = None
            self._request_id = self._balancer.next_request_id()
        self._send_own(self._problem(status, reason, not_dispatched=not_dispatched), keep_alive=False)

    def _send_own(self, reply: Reply, *, keep_alive: bool) -> None:
        request = self._request
        self._balancer.own.replies[reply.status] += 1
        self._transport.write(
            reply_bytes(
                reply,
                connection=connection_line(keep_alive=keep_alive, client_minor=request.minor if request else 1),
                request_id=self._request_id,
                date=self._balancer.date(),
                without_body=request is not None and request.method == b"HEAD",
            )
        )
        if keep_alive:
            self._next_request()
        else:
            self._linger()

    # Between requests, and the end.

    def _next_request(self) -> None:
        self._phase = Phase.IDLE
        self._request = None
        self._body.forget()
        if not self._write_paused:
            self._set_deadline(self._balancer.options.timeouts.keep_alive_seconds)
        if self._parser.waiting_bytes or self._eof or self._reading_paused:
            self._advance()

    def _linger(self) -> None:
        """F5."""
        self._phase = Phase.LINGER
        self._body.forget()
        self._pace.begin()
        self._set_deadline(LINGER_SECONDS)
        self._regulate_reading()
        if self._eof or self._transport.is_closing():
            self._transport.close()
        else:
            self._transport.write_eof()

    def _regulate_reading(self) -> None:
        """F1 and X4: stop reading what cannot be used yet; go on when it can."""
        wanted = self._phase is Phase.LINGER or not (
            self._upstream_paused or self._parser.waiting_bytes > PIPELINED_BYTES_MAX
        )
        if wanted != self._reading_paused or self._transport.is_closing():
            return
        self._reading_paused = not wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def drain(self) -> None:
        """End an idle connection now; a busy one ends after its answer (``may_keep_alive``)."""
        if self._phase is Phase.IDLE:
            self._linger()

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = self._loop.time() + seconds

    def deadline_passed(self, now: float) -> None:
        """What it means depends on who was waited for."""
        if self._write_paused or self._phase is Phase.LINGER:
            if self._pace.reads(self._transport):
                self.deadline = now + self._balancer.options.timeouts.client_seconds
            else:
                self._transport.abort()
            return
        match self._phase:
            case Phase.IDLE | Phase.GONE:
                self._transport.abort()
            case Phase.HEAD | Phase.BODY:
                self._refuse(408, "the request was not complete in time")
            case Phase.STREAMING if not self._upstream_paused:
                self._rejected(Rejected(408, "the request was not complete in time"))
            case Phase.EXCHANGE | Phase.STREAMING if self._exchange is not None:
                exchange, self._exchange = self._exchange, None
                exchange.timed_out()
            case _:
                self._transport.abort()
