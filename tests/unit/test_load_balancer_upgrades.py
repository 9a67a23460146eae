"""Which requests ask for another protocol, and which answers give it: by the letter of RFC 9110 7.8 and RFC 6455."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_balancer.http1 import upgrades
from load_balancer.http1.events import Request, Reserved, Response
from load_balancer.http1.requests import RequestParser
from load_balancer.http1.responses import ResponseParser
from tests.unit.test_settings import problems

# The handshake of RFC 6455 1.3, with its answer.
KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
ASKING = b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
HANDSHAKE = ASKING + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n"


def request_of(fields: bytes, line: bytes = b"GET /ws HTTP/1.1", body: bytes = b"") -> Request:
    parser = RequestParser(1_000)
    parser.feed(line + b"\r\nHost: shop\r\n" + fields + b"\r\n" + body)
    event = parser.next_event()
    assert isinstance(event, Request)
    return event


def answer_of(fields: bytes) -> Response:
    parser = ResponseParser()
    parser.expect(for_head=False)
    parser.may_switch = True
    received = parser.receive(b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\nframes")
    assert received.head is not None
    assert received.ended
    assert parser.take_surplus() == b"frames"
    return received.head


def test_a_handshake_asks_a_server_with_our_own_lines_and_nothing_else_of_the_hop() -> None:
    request = request_of(HANDSHAKE + b"Keep-Alive: 3\r\nHTTP2-Settings: AAMAAABk\r\n")
    assert request.reserved is Reserved.UPGRADE
    assert upgrades.refusal(request) is None
    assert b"pgrade" not in request.opening
    opening = upgrades.asking(request).opening
    assert opening.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
    assert opening.lower().count(b"upgrade:") == opening.lower().count(b"connection:") == 1
    assert b"Keep-Alive" not in opening
    assert b"HTTP2" not in opening
    assert b"\r\nSec-WebSocket-Key: " + KEY in opening


@pytest.mark.parametrize(
    ("line", "fields", "body"),
    [
        (b"GET / HTTP/1.1", b"Upgrade: websocket\r\n", b""),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\n", b""),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\nUpgrade: \r\n", b""),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\nUpgrade: websocket, h2c\r\n", b""),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", b""),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\nUpgrade: web socket\r\n", b""),
        (b"GET / HTTP/1.1", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n", b""),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\nUpgrade: H2C\r\n", b""),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n", b""),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\nUpgrade: TLS/1.3\r\n", b""),
        (b"HEAD / HTTP/1.1", HANDSHAKE, b""),
        (b"GET / HTTP/1.0", HANDSHAKE, b""),
        (b"POST / HTTP/1.1", HANDSHAKE + b"Content-Length: 2\r\n", b"{}"),
        (b"POST / HTTP/1.1", HANDSHAKE + b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        (b"POST / HTTP/1.1", HANDSHAKE, b""),
    ],
)
def test_what_asks_for_nothing_that_could_be_given_is_an_ordinary_request(
    line: bytes, fields: bytes, body: bytes
) -> None:
    """G1, G2: and the fields are gone."""
    request = request_of(fields, line, body)
    assert request.reserved is None
    assert b"upgrade" not in request.opening.lower()
    assert b"http2-settings" not in request.opening.lower()


def test_what_is_not_for_any_server_stays_so_whatever_else_it_asks() -> None:
    assert request_of(HANDSHAKE, b"GET /internal/x HTTP/1.1").reserved is Reserved.HIDDEN


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (b"Version: 13", b"Version: 8", 426),
        (b"Version: 13", b"Version: 13, 8", 426),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 400),
        (b"Sec-WebSocket-Key: " + KEY + b"\r\n", b"", 400),
        (KEY, KEY + b"\r\nSec-WebSocket-Key: " + KEY, 400),
        (KEY, b"dGhlIHNhbXBsZSBub25j", 400),
        (KEY, b"dGhlIHNhbXBsZSBub25jZR==", 400),
    ],
)
def test_a_handshake_that_is_not_one_is_refused(before: bytes, after: bytes, status: int) -> None:
    """G3."""
    refusal = upgrades.refusal(request_of(HANDSHAKE.replace(before, after)))
    assert refusal is not None
    assert refusal.status == status
    assert (b"Sec-WebSocket-Version: 13\r\n" in refusal.extra) is (status == 426)


GOOD = b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n"


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        (GOOD, None),
        (GOOD.replace(b"Upgrade: websocket\r\n", b""), "another protocol"),
        (GOOD.replace(b"websocket", b"h2c"), "another protocol"),
        (GOOD.replace(b"Connection: upgrade\r\n", b""), "another protocol"),
        (GOOD + b"Upgrade: websocket\r\n", "another protocol"),
        (GOOD + b"Content-Length: 5\r\n", "with a body"),
        (GOOD.replace(ACCEPT, KEY), "read the key"),
        (GOOD.replace(b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n", b""), "read the key"),
    ],
)
def test_only_the_answer_that_was_asked_for_changes_the_protocol(fields: bytes, wrong: str | None) -> None:
    """G4."""
    fault = upgrades.fault(request_of(HANDSHAKE), answer_of(fields))
    assert (fault is None) if wrong is None else (fault is not None and wrong in fault)


@pytest.mark.parametrize("protocol", ["h2c", "http/2.0", "tls/1.3", "WebSocket", "web socket"])
def test_the_settings_refuse_protocols_that_would_carry_requests_past_us(protocol: str, tmp_path: Path) -> None:
    (problem,) = problems(f"load_balancer:\n  upgrade: [websocket, {protocol}]\n", tmp_path)
    assert problem.startswith("config.yml:2: load_balancer.upgrade.1: ")


NAMES = [
    b"Upgrade",
    b"UPGRADE",
    b"Connection",
    b"connection",
    b"HTTP2-Settings",
    b"Sec-WebSocket-Key",
    b"Keep-Alive",
    b"A",
]
VALUES = [
    b"websocket", b"WebSocket", b"h2c", b"upgrade", b"Upgrade, HTTP2-Settings", b"keep-alive", b"close, upgrade", KEY,
    b"websocket, h2c", b"h2c, websocket", b"", b"websocket/13",
]  # fmt: skip


NO_TOKENS = (KEY, b"websocket/13")  # such a Connection is refused


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=7), st.sampled_from([b"GET", b"POST"])
)
def test_whatever_stands_there_only_what_was_asked_for_by_the_letter_is_asked(
    lines: list[tuple[bytes, bytes]], method: bytes
) -> None:
    """G1, G2, W2: two Upgrades, lists, h2c in any company, a name that Connection does not nominate."""
    lines = [(name, value) for name, value in lines if name.lower() != b"connection" or value not in NO_TOKENS]
    request = request_of(b"".join(b"%b: %b\r\n" % line for line in lines), method + b" / HTTP/1.1")
    opening = request.opening.lower()
    assert not any(
        b"\r\n%b:" % name in opening for name in (b"upgrade", b"connection", b"http2-settings", b"keep-alive")
    )
    given_protocols = [value.lower() for name, value in lines if name.lower() == b"upgrade"]
    nominated = b"upgrade" in b",".join(value for name, value in lines if name.lower() == b"connection").lower()
    asked = (
        method == b"GET"
        and nominated
        and given_protocols in ([b"websocket"], [b"websocket/13"], [b"upgrade"], [b"keep-alive"])
    )
    if request.reserved is Reserved.UPGRADE:
        assert len(given_protocols) == 1
        assert nominated
        assert method == b"GET"
        assert b"h2c" not in given_protocols[0]
    else:
        assert not asked
