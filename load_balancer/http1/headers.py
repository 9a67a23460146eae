"""Which field lines are passed on, which are added, and how a head is written. Heads are always written, never copied.

A head is written in parts, by what decides them, so that the parts that repeat need not be made again.

W1  Every message leaves with exactly one framing (or none, where it has no body), chosen here.
W2  Hop-by-hop fields and those that Connection nominates end here (RFC 9110 7.6.1).
W3  What a client says about its own address, host or request id is dropped: servers believe only what we say.
W4  A name with an underscore is dropped: CGI and WSGI cannot tell it from the same name with a dash.
W5  Every request belongs to one trace (traces.py): the one that it came with, or a new one.
"""

from collections.abc import Sequence
from typing import Final

from load_balancer.http1.events import Framing, Request, RequestFields, Response
from load_balancer.http1.traces import PARENT, STATE

PSEUDONYM: Final = b"cds-load-balancer"  # how Via names us (RFC 9110 7.6.3)
_OURS: Final = b"1.1 " + PSEUDONYM
NOT_DISPATCHED: Final = b"X-Not-Dispatched"

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"content-length",
    }
)
_REQUEST_DROPPED: Final = _HOP_BY_HOP | {
    b"host",
    b"proxy",
    b"expect",
    b"forwarded",
    b"x-real-ip",
    b"x-request-id",
    b"via",
    PARENT,
    STATE,
}
_REQUEST_PREFIXES_DROPPED: Final = (b"proxy-", b"x-forwarded-")
_RESPONSE_DROPPED: Final = _HOP_BY_HOP | {
    b"proxy-authenticate",
    b"proxy-authentication-info",
    b"x-request-id",
    NOT_DISPATCHED.lower(),
    b"via",
}


def request_passes(key: bytes) -> bool:
    """Whether a request's field of this (lower case) name is passed on (W2, W3, W4)."""
    return key not in _REQUEST_DROPPED and not key.startswith(_REQUEST_PREFIXES_DROPPED) and b"_" not in key


def response_passes(key: bytes) -> bool:
    """Whether a response's field of this (lower case) name is passed on (W2)."""
    return key not in _RESPONSE_DROPPED


def via(before: Sequence[bytes]) -> bytes:
    """Via with us behind those that the message came through already."""
    return b", ".join([*filter(None, before), _OURS]) if before else _OURS


def request_opening(method: bytes, target: bytes, host: bytes, fields: RequestFields) -> bytes:
    """The part of a request's head that its own head decides."""
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%bX-Forwarded-Host: %b\r\nVia: %b\r\n" % (
        method,
        target,
        host,
        fields.kept,
        fields.facts.trace,
        host,
        fields.facts.via,
    )


def client_lines(address: bytes, scheme: bytes, *, forwarded: bool = False) -> bytes:
    """The part of a request's head that is the same for all requests of one connection; the request id follows.

    ``forwarded``: the same in the standard's words, too (RFC 7239; W3 holds for it as well).
    """
    standard = b""
    if forwarded:
        node = b'"[%b]"' % address if b":" in address else address  # 6: an IPv6 address is in brackets, and so quoted
        standard = b"Forwarded: for=%b;proto=%b\r\n" % (node, scheme)
    return b"%bX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Request-Id: " % (standard, address, scheme)


def request_ending(request: Request, length: int | None) -> bytes:
    """The end of a request's head, behind the request id. ``length``: of its body, None for a chunked one (W1)."""
    if request.framing is Framing.NONE:
        return b"\r\n\r\n"
    if length is None:
        return b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    return b"\r\nContent-Length: %d\r\n\r\n" % length


def response_framing(response: Response, client_minor: int) -> Framing:
    """How the body goes to the client: a chunked or close-delimited one is chunked anew, or closes for HTTP/1.0."""
    if response.framing in (Framing.CHUNKED, Framing.CLOSE):
        return Framing.CHUNKED if client_minor else Framing.CLOSE
    return response.framing


def response_opening(response: Response, framing: Framing, server_name: bytes) -> bytes:
    """The part of a response's head that server and framing decide: status line, kept lines, framing.

    A bodiless answer keeps its Content-Length only where that is allowed to say how long a body would have been.
    """
    fields, facts = response.fields, response.fields.facts
    if framing is Framing.CHUNKED:
        tail = b"Transfer-Encoding: chunked\r\n"
    elif framing is Framing.LENGTH or (facts.length is not None and response.status != 204):
        tail = b"Content-Length: %d\r\n" % response.length
    else:
        tail = b""
    return b"HTTP/1.1 %d %b\r\n%b%bVia: %b\r\n%b" % (
        response.status,
        response.reason,
        fields.kept,
        b"" if facts.named else b"X-Served-By: %b\r\n" % server_name,
        facts.via,
        tail,
    )


def response_ending(connection: bytes, request_id: bytes, date: bytes | None) -> bytes:
    """The end of a response's head. ``connection``: the whole line about it, or nothing; ``date``: if it has none."""
    dated = b"" if date is None else b"Date: %b\r\n" % date
    return b"%b%bX-Request-Id: %b\r\n\r\n" % (dated, connection, request_id)


def chunk(data: bytes) -> bytes:
    """One chunk with its size."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"


def connection_line(*, keep_alive: bool, client_minor: int) -> bytes:
    """What has to be said about the connection: only what differs from the version's default."""
    if not keep_alive:
        return b"Connection: close\r\n"
    return b"" if client_minor else b"Connection: keep-alive\r\n"
