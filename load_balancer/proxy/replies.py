"""Answers that we make ourselves: a problem document for programs, a small page for browsers.

All of them say whether anything reached a server: with ``X-Not-Dispatched: 1`` a client knows that nothing happened.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

from load_balancer.balancing.retries import Step
from load_balancer.http1.events import Request, RequestFields, Reserved
from load_balancer.http1.headers import NOT_DISPATCHED
from load_balancer.http1.request_heads import METHODS

RETRY_AFTER_SECONDS: Final = 1
_READING: Final = (b"GET", b"HEAD")

_EXPLANATIONS: Final = {
    400: "The request could not be understood.",
    404: "There is nothing at this address.",
    405: "This method is not allowed here.",
    408: "The request took too long to arrive.",
    413: "What was sent is too large. Please send less at once.",
    414: "The address is too long. Please shorten it, or ask for less at once.",
    421: "This host is not served here.",
    426: "This protocol is spoken here in another version.",
    429: "There are too many connections from your address. Nothing was done; please try again in a moment.",
    431: "The request's header is too long. Please send fewer cookies or other fields.",
    502: "The server failed before it had answered. If you sent something, look first whether it was done.",
    503: "No server is ready at the moment. Nothing was done; please try again in a moment.",
    504: "The server did not answer in time. If you sent something, look first whether it was done.",
}
# What a customer may come to see, for whoever reads the shop in Polish. Both stand on the page: a balancer chooses no language.
_IN_POLISH: Final = {
    400: "Nie udało się zrozumieć zapytania.",
    404: "Pod tym adresem nic nie ma.",
    408: "Zapytanie nadchodziło zbyt długo. Sprawdź połączenie i spróbuj ponownie.",
    413: "Wysłane dane są za duże. Wyślij mniej naraz.",
    414: "Adres jest za długi. Skróć go lub zapytaj o mniej naraz.",
    429: "Z Twojego adresu jest zbyt wiele połączeń. Nic się nie zmieniło; spróbuj ponownie za chwilę.",
    431: "Nagłówek zapytania jest za długi. Wyślij mniej ciasteczek lub innych pól.",
    502: "Serwer zawiódł, zanim odpowiedział. Jeśli coś wysłano, sprawdź najpierw, czy zostało wykonane.",
    503: "W tej chwili żaden serwer nie jest gotowy. Nic się nie zmieniło; spróbuj ponownie za chwilę.",
    504: "Serwer nie odpowiedział na czas. Jeśli coś wysłano, sprawdź najpierw, czy zostało wykonane.",
}
# What stands above it, in both languages; all others have HTTP's own phrase.
_HEADINGS: Final = {
    400: ("That was not understood", "Tego nie zrozumieliśmy"),
    404: ("Nothing is here", "Nic tu nie ma"),
    408: ("That took too long", "To trwało zbyt długo"),
    413: ("That is too much", "Tego jest za dużo"),
    414: ("The address is too long", "Adres jest za długi"),
    429: ("Please wait a moment", "Prosimy chwilę poczekać"),
    431: ("That is too much", "Tego jest za dużo"),
    502: ("No answer came", "Odpowiedź nie nadeszła"),
    503: ("Back in a moment", "Zaraz wracamy"),
    504: ("No answer in time", "Brak odpowiedzi na czas"),
}
_STYLE: Final = """body{font:18px/1.55 system-ui,sans-serif;max-width:34em;margin:0 auto;padding:18vh 1.25em 3em}
body{color:#20251f;background:#f7f4ed}h1,h2{font:600 2em/1.2 Georgia,serif;margin:0 0 .5em}
h2{font-size:1.3em;margin-top:1.6em}p{margin:0 0 1em}
a{color:#17604f;display:inline-block;padding:.3em 0}
small{color:#5c6259;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{color:#ecebe3;background:#151816}a{color:#7fcbb3}small{color:#a9afa6}}"""
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{status} {title}</title>
<style>{style}</style></head>
<body><main><h1>{heading}</h1><p>{detail}</p>{polish}
<p><a href="/">To the start page · <span lang="pl">Na stronę główną</span></a></p>
<p><small>{status} · request {request_id}</small></p></main></body></html>
"""
# ASVS 5.0 3.4: every answer of every route, ours included. The page's one style is named by its hash: nothing else that
# might get into the page as text is style or code.
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest())
_SECURITY: Final = (
    b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    b"Content-Security-Policy: default-src 'none'; style-src 'sha256-%b'; form-action 'none'; base-uri 'none'; "
    b"frame-ancestors 'none'\r\n"
    b"Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\n"
    b"Permissions-Policy: camera=(), geolocation=(), microphone=(), payment=()\r\n"
)


def security_lines(style_hash: bytes = _STYLE_HASH) -> bytes:
    """What an answer of ours forbids, as lines of a head. ``style_hash``: SHA-256 of its one style, in Base64."""
    return _SECURITY % style_hash


_ERROR_SECURITY: Final = security_lines()
# The shop's own words (customers/security_headers.py). A balancer cannot see whether a proxy before it speaks TLS: it is told.
TRANSPORT_SECURITY: Final = b"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"


class Reply(NamedTuple):
    """An answer of ours, still without the lines about the connection and the request."""

    status: int
    content_type: bytes
    body: bytes
    extra: bytes = b""
    security: bytes = _ERROR_SECURITY


# What a client is told of a request that no server answered (balancing/retries.py decides).
FAILURES: Final = {
    Step.UNAVAILABLE: (503, "no server could be reached"),
    Step.BAD_GATEWAY: (502, "the server failed before it had answered"),
    Step.GATEWAY_TIMEOUT: (504, "the server did not answer in time"),
}
SERVED_BY: Final = b"load_balancer"  # its process name: every answer says who made it


ALIVE: Final = Reply(200, b"text/plain; charset=utf-8", b"alive\n")


def own_reply(request: Request, hosts: frozenset[bytes] | None, request_id: bytes) -> Reply | None:
    """The answer to a request that no server may see; None for all others. ``hosts``: those served, None for any."""

    def refusal(status: int, detail: str, allow: Sequence[bytes] = METHODS) -> Reply:
        html = wants_html(request.fields)
        return problem(status, detail, request_id=request_id, html=html, not_dispatched=True, allow=allow)

    if hosts is not None and request.host.lower() not in hosts:
        return refusal(421, "the host is not one of ours")
    if request.reserved is None or request.reserved is Reserved.UPGRADE:
        return None
    if request.reserved is Reserved.HIDDEN:
        return refusal(404, "this path is not public")
    if request.reserved is Reserved.OURSELVES:
        return Reply(204, b"", b"", _allow(METHODS))
    return ALIVE if request.method in _READING else refusal(405, "only GET and HEAD", _READING)


def problem(
    status: int,
    detail: str,
    *,
    request_id: bytes,
    html: bool,
    not_dispatched: bool,
    allow: Sequence[bytes] = METHODS,
) -> Reply:
    """An error: RFC 9457 for programs, a page for browsers. ``detail`` never repeats bytes of the request.

    ``allow``: the methods that a 405 has to name (RFC 9110, 15.5.6).
    """
    title = phrase(status)
    extra = b""
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        extra += b"Retry-After: %d\r\n" % RETRY_AFTER_SECONDS
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        extra += _allow(allow)
    if not_dispatched:
        extra += NOT_DISPATCHED + b": 1\r\n"
    shown_id = request_id.decode("ascii")
    if html:
        text = _page(status, title, shown_id)
        return Reply(status, b"text/html; charset=utf-8", text.encode(), extra)
    document = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": f"{_EXPLANATIONS.get(status, title)} ({detail})",
        "request_id": shown_id,
    }
    return Reply(status, b"application/problem+json", json.dumps(document).encode() + b"\n", extra)


def _page(status: int, title: str, request_id: str) -> str:
    heading, in_polish = _HEADINGS.get(status, (title, ""))
    polish = f'<h2 lang="pl">{in_polish}</h2>' if in_polish else ""
    polish += f'<p lang="pl">{_IN_POLISH[status]}</p>' if status in _IN_POLISH else ""
    words = _EXPLANATIONS.get(status, title)
    return _PAGE.format(
        status=status, style=_STYLE, title=title, heading=heading, detail=words, polish=polish, request_id=request_id
    )


def _allow(methods: Sequence[bytes]) -> bytes:
    return b"Allow: " + b", ".join(methods) + b"\r\n"


def wants_html(fields: RequestFields) -> bool:
    """Whether the client names HTML among what it accepts: browsers do, programs do not."""
    return b"text/html" in fields.first(b"accept").lower()


def reply_bytes(
    reply: Reply, *, connection: bytes, request_id: bytes, date: bytes, without_body: bool, behind_tls: bool = False
) -> bytes:
    """The whole answer; ``without_body`` for HEAD, ``behind_tls`` where clients reach us over TLS only."""
    if reply.status == HTTPStatus.NO_CONTENT:
        content = b""
    else:
        content = b"Content-Type: %b\r\nContent-Length: %d\r\n" % (reply.content_type, len(reply.body))
    return b"HTTP/1.1 %d %b\r\n%b%b%b%b%bDate: %b\r\nX-Served-By: %b\r\nX-Request-Id: %b\r\n\r\n%b" % (
        reply.status,
        phrase(reply.status).encode("ascii"),
        content,
        reply.extra,
        reply.security,
        TRANSPORT_SECURITY if behind_tls else b"",
        connection,
        date,
        SERVED_BY,
        request_id,
        b"" if without_body else reply.body,
    )


def phrase(status: int) -> str:
    return HTTPStatus(status).phrase
