"""A second listener in plain HTTP, whose only answer is where TLS is.

J1  Only to hosts that the certificate is for: whatever a client writes into Host, it is not led anywhere else (421).
J2  308: method and body stay what they are. Nothing is said that browsers would keep, for anybody may have said it
    (RFC 6797 7.2).
"""

from collections.abc import Collection

from load_balancer.http1.events import Request
from load_balancer.proxy.frontend import Client
from load_balancer.proxy.replies import Reply, own_reply

HTTPS_PORT = 443


def location(request: Request, names: Collection[str], port: int) -> bytes | None:
    """The same address over TLS; None where the host is none of these names (J1)."""
    host = request.host.lower()
    name, colon, given = host.rpartition(b":")
    if colon and given.isdigit():  # no port in "[::1]"
        host = name
    text = host.decode("ascii").strip("[]")
    if text not in names and "*." + text.partition(".")[2] not in names:
        return None
    return b"https://%b%b%b" % (host, b"" if port == HTTPS_PORT else b":%d" % port, request.target)


class RedirectingClient(Client):
    """One connection of it."""

    __slots__ = ()

    def _begin(self, request: Request) -> None:
        balancer = self._balancer
        self._request, self._request_id = request, balancer.next_request_id()
        self._served += 1
        reply = own_reply(request, None, self._request_id)
        if reply is None:
            reply = self._redirect(request)
        self._send_own(reply, keep_alive=request.complete and self.may_keep_alive())

    def _redirect(self, request: Request) -> Reply:
        balancer, certificate = self._balancer, self._balancer.certificate
        names = frozenset[str]() if certificate is None else certificate.names
        to = location(request, names, balancer.options.listen.port)
        if to is None:
            return self._problem(421, "the certificate is not for this host")
        return Reply(308, b"text/plain; charset=utf-8", b"This shop is at " + to + b"\n", b"Location: %b\r\n" % to)

    def _keeps_to_tls(self) -> bool:
        """J2."""
        return False
