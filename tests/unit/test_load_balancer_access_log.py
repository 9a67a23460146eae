"""What a line of the access log says, and what it never says; how lines get into the file."""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_balancer.access_log import writer
from load_balancer.access_log.lines import Entry, Outcome, combined, json_line, shown_target
from load_balancer.access_log.writer import AccessLog
from load_balancer.http1.events import Request
from load_balancer.http1.requests import RequestParser
from load_balancer.http1.traces import trace_parts
from tests.conftest import wait_until

AT = 1_700_000_000.25  # 14 November 2023, 22:13:20
PARTS = trace_parts(bytes(range(18)))
COMBINED = re.compile(
    r'(\S+) - - \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "([^"]*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"'
)
CARD, TOKEN = "4242424242424242", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0"


def request_of(target: str = "/a", fields: bytes = b"") -> Request:
    parser = RequestParser(1_000)
    parser.feed(b"GET %b HTTP/1.1\r\nHost: shop\r\n%b\r\n" % (target.encode("ascii"), fields))
    request = parser.next_event()
    assert isinstance(request, Request)
    return request


def entry(request: Request | None, status: int = 200) -> Entry:
    request_id = b"0123456789ab-00000000000f"
    return Entry(AT, b"127.0.0.1", request, request_id, status, 12, 0.0042, b"web-1", Outcome.COMPLETE)


def test_a_line_in_apaches_combined_format() -> None:
    fields = b"Referer: http://shop/b?q=1\r\nUser-Agent: Browser/1\r\nCookie: session=secret\r\nAuthorization: Bearer secret\r\n"
    line = combined(entry(request_of("/a?page=2", fields)))
    match = COMBINED.fullmatch(line)
    assert match is not None
    assert match.groups() == (
        "127.0.0.1", "14/Nov/2023:22:13:20 +0000", "GET /a?page=2 HTTP/1.1", "200", "12", "http://shop/b", "Browser/1",
    )  # fmt: skip


def test_bytes_that_were_no_request_have_a_line_too() -> None:
    assert COMBINED.fullmatch(combined(entry(None, 400)))
    assert json.loads(json_line(entry(None, 400), PARTS))["status"] == 400


def test_a_line_in_json_says_all_that_was_noted() -> None:
    parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    document = json.loads(json_line(entry(request_of(fields=b"traceparent: " + parent + b"\r\n")), PARTS))
    assert document == {
        "time": "2023-11-14T22:13:20.250Z", "client": "127.0.0.1", "method": "GET", "target": "/a", "protocol": "HTTP/1.1",
        "host": "shop", "status": 200, "bytes": 12, "seconds": 0.0042, "server": "web-1", "outcome": "complete",
        "request_id": "0123456789ab-00000000000f", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "referer": "-", "user_agent": "-",
    }  # fmt: skip


def test_a_trace_that_began_here_is_named_as_the_server_heard_it() -> None:
    made = json.loads(json_line(entry(request_of()), PARTS))["trace_id"]
    assert PARTS.line(b"00000000000f").split(b"-")[1].decode() == made


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/products?q=blue+shoes&page=2", "/products?q=blue+shoes&page=2"),
        (f"/pay?number={CARD}", "/pay?number=***"),
        (f"/pay?q={CARD}", "/pay?q=***"),
        ("/pay?q=4242%204242%204242%204242", "/pay?q=***"),
        ("/pay?q=%34242424242424242", "/pay?q=***"),
        ("/pay?q=%2534242424242424242", "/pay?q=***"),
        (f"/pay/{CARD}/done", "/pay/***/done"),
        (f"/a?x={TOKEN}", "/a?x=***"),
        ("/a?access_token=short&b=1", "/a?access_token=***&b=1"),
        ("/a?PassWord=x", "/a?PassWord=***"),
        ("/a?pass%77ord=x", "/a?pass%77ord=***"),
        ("/a?x=ada%40example.org", "/a?x=***"),
        (f"/a?{CARD}", "/a?***"),
        ("/a?empty=&token=", "/a?empty=&token="),
        ("/static/shop.css?v=3f2a", "/static/shop.css?v=3f2a"),
        ("/orders/4711", "/orders/4711"),
    ],
)
def test_what_may_be_secret_is_not_shown(target: str, shown: str) -> None:
    """L3."""
    assert shown_target(target.encode()) == shown


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=60))
def test_no_target_breaks_a_line_or_shows_a_card(text: str) -> None:
    """L1, L3, whatever stands around the number."""
    shown = shown_target(f"/{text}?{text}={CARD}&{text}".encode())
    assert not re.search(r'[^\x20-\x7e]|"', shown)
    assert CARD not in shown
    assert COMBINED.fullmatch(combined(entry(request_of())._replace(address=b"::1")))


def test_quotes_and_high_bytes_of_a_client_stay_inside_the_quotes() -> None:
    """L1."""
    told = entry(request_of("/a", b'User-Agent: x" 200 1 "y \\ \xe9\r\n'))
    match = COMBINED.fullmatch(combined(told))
    assert match is not None
    assert match[7] == json.loads(json_line(told, PARTS))["user_agent"] == r"x\x22 200 1 \x22y \x5C \xE9"


def opened(path: Path, bytes_max: int = 1_000_000) -> AccessLog:
    return AccessLog(path, combined, bytes_max)


def test_lines_are_there_when_it_is_closed(tmp_path: Path) -> None:
    """W5; and the file is the owner's alone."""
    path = tmp_path / "access.log"
    it = opened(path)
    for _ in range(50):
        it.add(entry(request_of()))
    it.close()
    assert len(path.read_text().splitlines()) == it.written == 50
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_moved_is_begun_anew(tmp_path: Path) -> None:
    """W3, as logrotate does it."""
    path = tmp_path / "access.log"
    it = opened(path)
    it.add(entry(request_of("/before")))
    wait_until(lambda: it.written == 1, what="the first line is written")
    path.rename(tmp_path / "moved")
    it.add(entry(request_of("/after")))
    it.close()
    assert "/before" in (tmp_path / "moved").read_text()
    assert "/after" in path.read_text()


def test_a_full_file_is_moved_aside(tmp_path: Path) -> None:
    """W4."""
    path = tmp_path / "access.log"
    path.write_text("x" * 200_000)
    it = opened(path, bytes_max=100_000)
    it.add(entry(request_of()))
    it.close()
    assert len((tmp_path / "access.log.1").read_text()) == 200_000
    assert len(path.read_text().splitlines()) == 1


def test_a_disk_that_stands_still_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W1: nobody reads the pipe, so that its writer stands still; what is beyond the limit is counted."""
    monkeypatch.setattr(writer, "ENTRIES_MAX", 3_000)
    monkeypatch.setattr(writer, "CLOSE_SECONDS_MAX", 0.05)
    pipe = tmp_path / "access.log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    it = opened(pipe)
    request = request_of("/" + "a" * 500)
    for _ in range(8_000):
        it.add(entry(request))
    assert it.dropped >= 3_000
    it.close()
    os.set_blocking(reader, True)
    while os.read(reader, 1_000_000):  # until the writer has written the rest and closed it
        pass
    assert it.written + it.dropped == 8_000
    os.close(reader)


def test_a_file_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    it = opened(Path("/dev/full"))
    it.add(entry(request_of()))
    it.close()
    assert it.dropped == 1
    assert [record.message for record in caplog.records] == [
        "the access log /dev/full cannot be written, lines are dropped: No space left on device"
    ]
