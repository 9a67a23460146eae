"""The balancer's own cookie: what of it a server and a client get to see."""

import pytest

from load_balancer.http1.cookies import setting_lines, take, without
from load_balancer.http1.events import Request, Response
from load_balancer.http1.requests import RequestParser
from load_balancer.http1.responses import ResponseParser


def request(*lines: bytes) -> Request:
    parser = RequestParser(1_000)
    parser.feed(
        b"GET /Cookie:%20srv=x HTTP/1.1\r\nHost: shop\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    )
    event = parser.next_event()
    assert isinstance(event, Request)
    return event


def response(*lines: bytes) -> Response:
    parser = ResponseParser()
    parser.expect(for_head=False)
    head = parser.receive(b"HTTP/1.1 204 OK\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n").head
    assert head is not None
    return head


@pytest.mark.parametrize(
    ("lines", "value", "left"),
    [
        ((), None, ()),
        ((b"Cookie: a=1; srv=web-2; b=2",), b"web-2", (b"Cookie: a=1; b=2",)),
        ((b"Cookie: srv=web-2",), b"web-2", ()),
        ((b"Cookie: srv=web-2; a=1",), b"web-2", (b"Cookie: a=1",)),
        ((b"Cookie: a=1;srv = web-2",), b"web-2", (b"Cookie: a=1",)),
        ((b"Cookie: srv=web-1; a=1; srv=web-2",), b"web-1", (b"Cookie: a=1",)),
        ((b"Cookie: a=1", b"Cookie: srv=web-2; b=2"), b"web-2", (b"Cookie: a=1", b"Cookie: b=2")),
        ((b"Cookie: srv=", b"cookie: srv=web-2"), b"", ()),
        ((b"Cookie: srvx=1; xsrv=2; a=srv",), None, (b"Cookie: srvx=1; xsrv=2; a=srv",)),
        ((b"X-Cookie: srv=web-2", b"Cookie: srv=web-2"), b"web-2", (b"X-Cookie: srv=web-2",)),
        ((b"Cookie: srv",), b"", ()),
        ((b"Connection: cookie", b"Cookie: srv=web-2"), b"web-2", ()),
    ],
)
def test_a_server_sees_all_cookies_but_ours(
    lines: tuple[bytes, ...], value: bytes | None, left: tuple[bytes, ...]
) -> None:
    """K1. Lines that only contain such text stay as they are, and so does the target."""
    found, passed = take(request(*lines), b"srv")
    assert found == value
    expected = b"GET /Cookie:%20srv=x HTTP/1.1\r\nHost: shop\r\n" + b"".join(line + b"\r\n" for line in left)
    assert passed.opening.startswith(expected + b"X-Forwarded-Host: ")


def test_no_server_can_set_our_cookie() -> None:
    """K2."""
    answer = response(b"Set-Cookie: srv=evil; Path=/", b"Set-Cookie: session=srv", b"Set-Cookie: srvx=1")
    assert without(answer, b"srv").fields.kept == b"Set-Cookie: session=srv\r\nSet-Cookie: srvx=1\r\n"
    untouched = response(b"Set-Cookie: session=1")
    assert without(untouched, b"srv") is untouched


def test_where_our_cookie_is_set_no_shared_cache_keeps_the_answer() -> None:
    """K3, K4."""
    set_it = b"Set-Cookie: srv=web-2; Path=/; HttpOnly; SameSite=Lax"
    cacheable = response(b"Cache-Control: public, max-age=60")
    assert setting_lines(cacheable, b"srv", b"web-2", secure=False) == set_it + b"\r\nCache-Control: private\r\n"
    private = response(b"Cache-Control: private, no-store")
    assert setting_lines(private, b"srv", b"web-2", secure=True) == set_it + b"; Secure\r\n"
