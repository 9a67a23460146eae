"""Which field lines are passed on, which are added, and how a head is written. Heads are always written, never copied.

W1  Every message leaves with exactly one framing (or none, where it has no body), chosen here.
W2  Hop-by-hop fields and those that Connection nominates end here (RFC 9110 7.6.1).
W3  What a client says about its own address, host or request id is dropped: servers believe only what we say.
W4  A name with an underscore is dropped: CGI and WSGI cannot tell it from the same name with a dash.
"""

from typing import Final, NamedTuple

from load_balancer.http1.events import Framing, Lines, Request, RequestFields, Response, ResponseFields

PSEUDONYM: Final = b"cds-load-balancer"  # how Via names us (RFC 9110 7.6.3)
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
}
_REQUEST_PREFIXES_DROPPED: Final = (b"proxy-", b"x-forwarded-")
_RESPONSE_DROPPED: Final = _HOP_BY_HOP | {
    b"proxy-authenticate",
    b"proxy-authentication-info",
    b"x-request-id",
    NOT_DISPATCHED.lower(),
    b"via",
}


def request_fields(fields: RequestFields, host: bytes, client_address: bytes) -> bytes:
    """The lines after the request line that are the same for every request with these fields on one connection."""
    kept = [
        b"%b: %b\r\n" % (field.name, field.value)
        for field in fields.all
        if field.key not in _REQUEST_DROPPED
        and field.key not in fields.options
        and not field.key.startswith(_REQUEST_PREFIXES_DROPPED)
        and b"_" not in field.key
    ]
    return b"Host: %b\r\n%bX-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: %b\r\nVia: %b\r\n" % (
        host,
        b"".join(kept),
        client_address,
        host,
        _via(fields.all),
    )


def request_head(request: Request, common: bytes, request_id: bytes, length: int | None) -> bytes:
    """A request's head. ``length``: of its body, None for a chunked one; a method without body gets no framing."""
    if request.framing is Framing.NONE:
        framing = b"\r\n"
    elif length is None:
        framing = b"Transfer-Encoding: chunked\r\n\r\n"
    else:
        framing = b"Content-Length: %d\r\n\r\n" % length
    return b"%b %b HTTP/1.1\r\n%bX-Request-Id: %b\r\n%b" % (request.method, request.target, common, request_id, framing)


def response_framing(response: Response, client_minor: int) -> Framing:
    """How the body goes to the client: a chunked or close-delimited one is chunked anew, or closes for HTTP/1.0."""
    if response.framing in (Framing.CHUNKED, Framing.CLOSE):
        return Framing.CHUNKED if client_minor else Framing.CLOSE
    return response.framing


class PassedOn(NamedTuple):
    """The end-to-end lines of a response, and whether Date is among them."""

    lines: bytes
    dated: bool


def response_fields(fields: ResponseFields, server_name: bytes) -> PassedOn:
    """What of a response is passed on, and the name of the server where it did not name itself."""
    kept = []
    served_by = dated = False
    for key, name, value in fields.all:
        if key in _RESPONSE_DROPPED or key in fields.options:
            continue
        served_by = served_by or key == b"x-served-by"
        dated = dated or key == b"date"
        kept.append(b"%b: %b\r\n" % (name, value))
    if not served_by:
        kept.append(b"X-Served-By: %b\r\n" % server_name)
    kept.append(b"Via: %b\r\n" % _via(fields.all))
    return PassedOn(b"".join(kept), dated)


def response_head(
    response: Response, passed_on: PassedOn, *, framing: Framing, request_id: bytes, connection: bytes, date: bytes
) -> bytes:
    """A response's head; ``connection`` is the whole line that we say about the client's connection, or nothing.

    A bodiless answer keeps its Content-Length only where that is allowed to say how long a body would have been.
    """
    if framing is Framing.CHUNKED:
        tail = b"Transfer-Encoding: chunked\r\n"
    elif framing is Framing.LENGTH or (response.fields.length is not None and response.status != 204):
        tail = b"Content-Length: %d\r\n" % response.length
    else:
        tail = b""
    return b"HTTP/1.1 %d %b\r\n%b%b%bX-Request-Id: %b\r\n%b\r\n" % (
        response.status,
        response.reason,
        passed_on.lines,
        b"" if passed_on.dated else b"Date: %b\r\n" % date,
        connection,
        request_id,
        tail,
    )


def chunk(data: bytes) -> bytes:
    """One chunk with its size."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"


def connection_line(*, keep_alive: bool, client_minor: int) -> bytes:
    """What has to be said about the connection: only what differs from the version's default."""
    if not keep_alive:
        return b"Connection: close\r\n"
    return b"" if client_minor else b"Connection: keep-alive\r\n"


def _via(lines: Lines) -> bytes:
    """Via with us behind those that the message came through already."""
    before = [line.value for line in lines if line.key == b"via" and line.value]
    return b", ".join([*before, b"1.1 " + PSEUDONYM])
