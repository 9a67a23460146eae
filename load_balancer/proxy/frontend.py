"""A client's connection: one request after the other, each answered by a server or by us.

F1  One request at a time; what is pipelined behind it waits, unparsed, and beyond 64 KiB in the client's own kernel.
F2  A body up to 1 MiB is here as a whole before a server is chosen: a slow sender never holds one.
F3  After an error in the client's bytes nothing more of them is read as HTTP.
F4  What a deadline that passed means depends on who was waited for.

States: idle -> head -> (body) -> exchange -> idle …, streaming where a body is larger than F2; any -> lingering -> gone.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Final, cast

from load_balancer.access_log.lines import Outcome
from load_balancer.http1 import upgrades
from load_balancer.http1.events import Body, End, Framing, Rejected, Request, RequestEvent, Reserved
from load_balancer.http1.headers import client_lines, request_opening
from load_balancer.http1.requests import RequestParser
from load_balancer.proxy.admission import UNKNOWN, Source, Verdict
from load_balancer.proxy.answering import Answering
from load_balancer.proxy.backends import Frontend
from load_balancer.proxy.balancer import Balancer
from load_balancer.proxy.bodies import CollectedBody
from load_balancer.proxy.bound import BoundExchange
from load_balancer.proxy.endings import own_authority, reset
from load_balancer.proxy.exchange import Exchange
from load_balancer.proxy.phases import WANTS_EVENTS, Phase
from load_balancer.proxy.replies import own_reply
from load_balancer.proxy.switching import BoundSwitchingExchange, SwitchingExchange
from load_balancer.proxy.tunnels import Tunnel

log = logging.getLogger(__name__)

PIPELINED_BYTES_MAX: Final = 65_536  # F1
# Asked for with every request; an enum's member is found more slowly.
_IDLE: Final = Phase.IDLE
_EXCHANGE: Final = Phase.EXCHANGE
_STREAMING: Final = Phase.STREAMING
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Client(Answering):
    """One connection, as HTTP sees it."""

    __slots__ = (
        "_advancing",
        "_body",
        "_client_lines",
        "_exchange",
        "_parser",
        "_served",
        "_source",
        "_spare",
        "_upstream_paused",
    )

    def __init__(self, balancer: Balancer) -> None:
        super().__init__(balancer)
        self._parser = RequestParser(balancer.options.body_bytes_max, balancer.heads)
        self._source = UNKNOWN
        self._exchange: Exchange | None = None
        self._spare: Exchange | None = None  # one that ended well, for the next request
        self._body: CollectedBody | None = None
        self._served = 0
        self._client_lines = b""
        self._advancing = False
        self._upstream_paused = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        balancer = self._balancer
        peer = transport.get_extra_info("peername")
        self._open(cast("asyncio.Transport", transport), balancer.admission.source(peer[0]) if peer else UNKNOWN)
        match balancer.entered(self, self._source):
            case Verdict.CLOSE:
                self._transport.abort()
            case Verdict.TOO_MANY:
                self._refuse(503, "too many connections")
            case Verdict.TOO_MANY_FROM_PLACE:
                self._refuse(429, "too many connections from one address")

    def take_over(self, before: Frontend, transport: asyncio.Transport, source: Source) -> None:
        """In place of ``connection_made``, for a client that has entered, and is secret now."""
        self._open(transport, source)
        self._balancer.replaced(before, self)

    def _open(self, transport: asyncio.Transport, source: Source) -> None:
        self._transport = transport  # uvloop's is one without inheriting from it
        self._source, self._address = source, source.address
        options, scheme = self._balancer.options, b"https" if self.over_tls() else b"http"
        self._client_lines = client_lines(source.address, scheme, forwarded=options.forwarded)
        self._set_deadline(options.timeouts.http_request_seconds)

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase is _IDLE and not self._write_paused:
            request = self._parser.take_whole(data)
            if request is not None:
                self._begin(request)
                return
        if phase is Phase.LINGER:
            self._lingered(data)
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
        self._balancer.left(self, self._source)
        self._forget_body()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.tell_outcome(Outcome.CLIENT_GONE)
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
            self._set_deadline(self._balancer.options.timeouts.http_request_seconds)

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
            if request.reserved is Reserved.UPGRADE:
                self._begin_upgrade(request)
                return
        if request.complete:
            self._phase = _EXCHANGE
            self._dispatch(request, complete=True)
            return
        self._phase = Phase.BODY
        self._body = CollectedBody(balancer.body_memory)
        self._set_deadline(balancer.options.timeouts.client_seconds)
        if request.expects_continue and not self._parser.waiting_bytes:
            self._transport.write(_CONTINUE)

    def _begin_upgrade(self, request: Request) -> None:
        """What may not be asked for is not; the rest of the request is served (upgrades.G1)."""
        if request.fields.facts.upgrade in self._balancer.options.upgrade:
            refused = upgrades.refusal(request)
            if refused is not None:
                reply = self._problem(refused.status, refused.reason)
                self._send_own(reply._replace(extra=reply.extra + refused.extra), keep_alive=self.may_keep_alive())
                return
            request = self._request = upgrades.asking(request)
            self._spare = None  # it takes one of another kind
        self._phase = Phase.EXCHANGE
        self._dispatch(request, complete=True)

    def _take_body(self, data: bytes) -> None:
        self.deadline += len(data) / self._balancer.options.limits.body_bytes_per_second_min
        if self._phase is Phase.STREAMING and self._exchange is not None:
            self._exchange.more(data)
            return
        body, request = self._body, self._request
        assert body is not None and request is not None  # noqa: S101, PT018 - its head came before
        body.add(data)
        if body.too_much:
            self._refuse(503, "too many large requests at once")
        elif body.large:
            self._phase = Phase.STREAMING
            self._dispatch(request, complete=False)

    def _end_of_body(self) -> None:
        if self._phase is Phase.STREAMING and self._exchange is not None:
            self._phase = Phase.EXCHANGE
            self._exchange.end()
            self.await_server(monotonic())
        elif self._request is not None:
            self._phase = Phase.EXCHANGE
            self._dispatch(self._request, complete=True)

    def _dispatch(self, request: Request, *, complete: bool) -> None:
        if not request.host:
            host = own_authority(self._transport)
            request = request._replace(opening=request_opening(request.method, request.target, host, request.fields))
        exchange = self._spare
        if exchange is None:
            exchange = self._kind(request)(self._balancer, self, self._client_lines)
        self._exchange, self._spare = exchange, None
        body = b"" if self._body is None else self._body.take()
        exchange.start(request, self._request_id, body, complete=complete)

    def _kind(self, request: Request) -> type[Exchange]:
        if request.reserved is Reserved.SWITCH:
            return BoundSwitchingExchange if self._balancer.cookie else SwitchingExchange
        return BoundExchange if self._balancer.cookie else Exchange

    def _rejected(self, rejected: Rejected) -> None:
        """F3. No byte of the request is logged, for it may hold anything."""
        log.info("refused a request from %s: %d %s", self._address.decode("ascii"), rejected.status, rejected.reason)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()
        self._refuse(rejected.status, rejected.reason, not_dispatched=exchange is None, request=rejected.request)

    def switch(self, early: bytes, server: asyncio.Transport, ended: Callable[[Tunnel], None]) -> None:
        balancer, source = self._balancer, self._source
        self._phase = Phase.GONE
        self._exchange = self._spare = None
        self._read_on(wanted=True)

        def over(tunnel: Tunnel) -> None:
            balancer.tunnel_ended(tunnel, source)
            ended(tunnel)

        tunnel = Tunnel(self._transport, server, balancer.options.timeouts, over)
        balancer.tunnel_begun(self, tunnel)
        waiting = self._parser.take_waiting()
        tunnel.begin(waiting, early, client_stalled=self._write_paused, client_finished=self._eof)

    # Answers.

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def over_tls(self) -> bool:
        return self._transport.get_extra_info("sslcontext") is not None

    def await_server(self, now: float) -> None:
        if self._phase is _EXCHANGE and not self._write_paused:
            self.deadline = now + self._balancer.options.timeouts.server_seconds

    def await_room(self, now: float) -> None:
        self.deadline = now + self._balancer.options.timeouts.queue_seconds

    def may_keep_alive(self) -> bool:
        request = self._request
        return (
            request is not None
            and request.keep_alive
            and self._served < self._balancer.requests_max
            and not self._balancer.draining
            and self._phase is not _STREAMING
        )

    def request_paused(self, *, paused: bool) -> None:
        self._upstream_paused = paused
        if paused:
            self._regulate_reading()
            return
        if self._phase is Phase.STREAMING:  # it could not send while it was not read
            self._set_deadline(self._balancer.options.timeouts.client_seconds)
        self._advance()

    def exchange_done(self, now: float, *, keep_alive: bool) -> None:
        self._exchange, self._spare = None, self._exchange
        self._upstream_paused = False
        if keep_alive:
            self._next_request(now)
        else:
            self._end()

    def exchange_failed(self, status: int, reason: str, *, not_dispatched: bool) -> None:
        started = 0.0 if self._exchange is None else self._exchange.started
        self._exchange = None
        self._upstream_paused = False
        reply = self._problem(status, reason, not_dispatched=not_dispatched)
        self._send_own(reply, keep_alive=self.may_keep_alive(), started=started)

    def exchange_cut(self, framing: Framing) -> None:
        """An answer whose end is the connection's end must end in a reset, else it looks whole."""
        self._exchange = None
        self._phase = Phase.GONE
        if framing is Framing.CLOSE:
            reset(self._transport)
        else:
            self._transport.close()

    # Between requests, and the end.

    def _next_request(self, now: float) -> None:
        self._phase = _IDLE
        self._request = None
        if self._body is not None:
            self._forget_body()
        if not self._write_paused:
            self.deadline = now + self._balancer.options.timeouts.keep_alive_seconds
        if self._parser.waiting_bytes or self._eof or self._reading_paused:
            self._advance()

    def _end(self) -> None:
        self._spare = None
        self._forget_body()
        self._linger()

    def _forget_body(self) -> None:
        if self._body is not None:
            self._body.forget()
            self._body = None

    def _regulate_reading(self) -> None:
        """F1 and X4: stop reading what cannot be used yet; go on when it can."""
        usable = not (self._upstream_paused or self._parser.waiting_bytes > PIPELINED_BYTES_MAX)
        self._read_on(wanted=usable or self._phase is Phase.LINGER)

    def drain(self) -> None:
        """End an idle connection now; a busy one ends after its answer (``may_keep_alive``)."""
        if self._phase is Phase.IDLE:
            self._end()

    def deadline_passed(self, now: float) -> None:
        """F4."""
        if self._write_paused or self._phase is Phase.LINGER:
            self._stalled(now)
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
