"""Requests of clients that are bound to servers by a cookie (http1/cookies.py), where the balancer has one.

C1  A request of a client that is bound goes to that server, or stands in its line, as long as that is possible.
C2  An answer binds its client to the server that gave it, unless it is bound to that one already.
"""

from load_balancer.http1 import cookies
from load_balancer.http1.events import Request, Response
from load_balancer.proxy.exchange import Exchange


class BoundExchange(Exchange):
    """An exchange that takes the cookie out of the request and puts it into the answer."""

    __slots__ = ("_cookie",)

    _cookie: bytes | None  # which server the client is bound to, by its own word

    def start(self, request: Request, request_id: bytes, body: bytes = b"", *, complete: bool = True) -> None:
        self._cookie, request = cookies.take(request, self._balancer.cookie)
        super().start(request, request_id, body, complete=complete)

    def _place(self, now: float) -> None:
        """C1; one that was tried already is not bound to any more."""
        servers = self._balancer.servers
        bound = None if self._cookie is None else servers.bound(self._cookie, self._tried)
        if bound is None:
            super()._place(now)
        elif servers.assign_bound(self, bound):
            self._begin(bound, now)
        elif servers.enter(self, bound) is None:
            self._wait(now)
        else:
            super()._place(now)

    def _begin_response(self, response: Response) -> bytes:
        """C2."""
        backend, name = self._backend, self._balancer.cookie
        assert backend is not None  # noqa: S101 - an answer came
        response = cookies.without(response, name)
        head = super()._begin_response(response)
        if self._cookie == backend.cookie_bytes:
            return head
        lines = cookies.setting_lines(response, name, backend.cookie_bytes, secure=self._client.over_tls())
        return b"%b%b\r\n" % (head[:-2], lines)
