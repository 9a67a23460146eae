"""A client's connection as far as we answer ourselves: what no server may see, and what no server answered."""

from abc import abstractmethod
from time import monotonic, time

from load_balancer.access_log.lines import Entry, Outcome
from load_balancer.http1.events import Request
from load_balancer.http1.headers import connection_line
from load_balancer.proxy.balancer import Balancer
from load_balancer.proxy.connection import Connection
from load_balancer.proxy.phases import Phase
from load_balancer.proxy.replies import SERVED_BY, Reply, problem, reply_bytes, wants_html


class Answering(Connection):
    """``_request``: the one that is answered now; None while there is none, or where the client's bytes are none."""

    __slots__ = ("_address", "_request", "_request_id")

    def __init__(self, balancer: Balancer) -> None:
        super().__init__(balancer)
        self._address = b""
        self._request: Request | None = None
        self._request_id = b""

    @abstractmethod
    def _next_request(self, now: float) -> None:
        """The answer is out, and the connection goes on."""

    @abstractmethod
    def _end(self) -> None:
        """The answer is out, and was the last one."""

    def answered(self, server: bytes, status: int, body_bytes: int, started: float, outcome: Outcome) -> None:
        """To the access log, where there is one."""
        access_log, request = self._balancer.access_log, self._request
        if access_log is not None:
            seconds = monotonic() - started if started else 0.0
            size = 0 if request is not None and request.method == b"HEAD" else body_bytes
            access_log.add(
                Entry(time(), self._address, request, self._request_id, status, size, seconds, server, outcome)
            )

    def _keeps_to_tls(self) -> bool:
        """Whether browsers are told to come over TLS only."""
        return self._balancer.options.behind_tls

    def _problem(self, status: int, reason: str, *, not_dispatched: bool = True) -> Reply:
        html = self._request is not None and wants_html(self._request.fields)
        return problem(status, reason, request_id=self._request_id, html=html, not_dispatched=not_dispatched)

    def _refuse(self, status: int, reason: str, *, not_dispatched: bool = True, request: Request | None = None) -> None:
        """An answer to bytes that are no request, or to a ``request`` that is not read to its end."""
        if self._phase in (Phase.IDLE, Phase.HEAD):
            self._request = request
            self._request_id = self._balancer.next_request_id()
        self._send_own(self._problem(status, reason, not_dispatched=not_dispatched), keep_alive=False)

    def _send_own(self, reply: Reply, *, keep_alive: bool, started: float = 0.0) -> None:
        request = self._request
        self.answered(SERVED_BY, reply.status, len(reply.body), started, Outcome.COMPLETE)
        self._balancer.own.replies[reply.status] += 1
        self._transport.write(
            reply_bytes(
                reply,
                connection=connection_line(keep_alive=keep_alive, client_minor=request.minor if request else 1),
                request_id=self._request_id,
                date=self._balancer.date(),
                without_body=request is not None and request.method == b"HEAD",
                behind_tls=self._keeps_to_tls(),
            )
        )
        if keep_alive:
            self._next_request(monotonic())
        else:
            self._end()
