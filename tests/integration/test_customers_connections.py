"""Connections to an instance, byte for byte, with an application that needs no database."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from flask import Flask, request
from flask.typing import ResponseReturnValue

from customers.serving import connections, server
from customers.serving.connections import HEADER_BYTES_MAX
from customers.serving.server import Server
from customers.turned_away import TURNED_AWAY
from tests.conftest import free_port, wait_until

pytestmark = pytest.mark.asks_the_instance("bytes on its socket")

BODY_BYTES_MAX = 10_000
LARGE = 20_000_000  # more than two sockets' buffers
HOST = b"Host: shop\r\n"
GET_BODY = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
KNOWN = b"GET /known HTTP/1.1\r\n" + HOST + b"\r\n"  # answered by its head
UNCHANGED = b"HTTP/1.1 304 Not Modified\r\n"


class Served:
    """One thread. ``may_go``: what `/wait` waits for; ``waiting``: requests that do."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.waiting = threading.Semaphore(0)
        self.port = free_port()
        app = Flask(__name__)
        app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
        app.add_url_rule("/", "count", lambda: str(len(request.get_data())), methods=["GET", "POST"])
        app.add_url_rule("/none", "none", lambda: ("", 204))
        app.add_url_rule("/large", "large", lambda: b"x" * LARGE)
        app.add_url_rule("/wait", "wait", self._wait)
        app.add_url_rule("/healthz", "health", lambda: "alive")
        self.server = Server(
            app,
            host="127.0.0.1",
            port=self.port,
            threads=1,
            body_bytes_max=BODY_BYTES_MAX,
            wait_seconds_max=60.0,
            by_head=lambda head: UNCHANGED if head == KNOWN else None,
        )
        self.in_flight = 0
        self.connected = 0

    def _wait(self) -> ResponseReturnValue:
        if TURNED_AWAY in request.environ:
            return "turned away", 503
        self.waiting.release()
        assert self.may_go.wait(60)
        return "waited"

    def look(self) -> None:
        """On the loop: where connections may be counted."""
        self.in_flight = self.server.in_flight()
        self.connected = len(self.server._connections)

    def in_line(self) -> int:
        """Requests that wait for the thread."""
        return self.server._gateway.waiting()

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connected:
            yield connected

    def ask(self, *parts: bytes) -> tuple[int, bytes]:
        """Status and body of the one answer."""
        with self.connection() as connected:
            for part in parts:
                connected.sendall(part)
            return answer_on(connected)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    served = Served()
    stop = threading.Event()

    def may_stop() -> bool:
        served.look()
        return stop.is_set()

    thread = threading.Thread(target=served.server.serve, args=(may_stop,))
    thread.start()
    yield served
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


def answer_on(connected: socket.socket) -> tuple[int, bytes]:
    answer = http.client.HTTPResponse(connected)
    answer.begin()
    return answer.status, answer.read()


def is_closed(connected: socket.socket) -> bool:
    try:
        return connected.recv(1) == b""
    except ConnectionResetError:
        return True


def chunked(*sizes: int) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (size, b"x" * size) for size in sizes)


POST = b"POST / HTTP/1.1\r\n" + HOST


def test_a_body_comes_whole_however_it_was_sent(served: Served) -> None:
    """V7"""
    assert served.ask(POST + b"Content-Length: 5\r\n\r\nab", b"cde") == (200, b"5")
    assert served.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(3, 4), b"0\r\n\r\n") == (200, b"7")
    assert served.ask(POST + b"Content-Length: 0\r\n\r\n") == (200, b"0")


def test_a_body_that_is_too_long_is_refused_by_the_application_and_not_read(served: Served) -> None:
    for framing, sent in (
        (b"Content-Length: 10001\r\n\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n\r\n", chunked(4_000, 4_000, 4_000)),
    ):
        with served.connection() as connected:
            connected.sendall(POST + framing + sent)
            assert answer_on(connected)[0] == 413
            assert is_closed(connected)
    assert served.ask(POST + b"Content-Length: 10000\r\n\r\n" + b"x" * BODY_BYTES_MAX) == (200, b"10000")


def test_who_asks_first_is_told_to_go_on_unless_it_is_too_much(served: Served) -> None:
    with served.connection() as connected:
        connected.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert connected.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connected.sendall(b"abc")
        assert answer_on(connected) == (200, b"3")
    with served.connection() as connected:
        connected.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 99999\r\n\r\n")
        assert connected.recv(100).startswith(b"HTTP/1.1 413")


def test_a_connection_outlives_answers_of_every_kind(served: Served) -> None:
    """V4, with requests in one packet."""
    kinds = (b"HEAD / ", b"GET /none ", b"GET / ", b"GET /none ", b"GET / ")
    with served.connection() as connected:
        connected.sendall(b"".join(kind + b"HTTP/1.1\r\n" + HOST + b"\r\n" for kind in kinds))
        received = b""
        while received.count(b"HTTP/1.1 ") < len(kinds) or not received.endswith(b"\r\n\r\n0"):
            received += connected.recv(1_000)
    answers = [answer.partition(b"\r\n\r\n") for answer in received.split(b"HTTP/1.1 ")[1:]]
    assert [(head[:3], body) for head, _, body in answers] == [
        (b"200", b""), (b"204", b""), (b"200", b"0"), (b"204", b""), (b"200", b"0"),
    ]  # fmt: skip
    assert b"content-length: 1\r\n" in answers[0][0].lower() + b"\r\n", "of HEAD"


class Counted:
    """A transport that counts what is written at once."""

    def __init__(self, transport: Any, written: list[bytes]) -> None:
        self._transport = transport
        self._written = written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._written.append(data)
        self._transport.write(data)


def test_an_answer_leaves_in_one_piece(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """C6"""
    written: list[bytes] = []
    made = connections.Connection.connection_made
    monkeypatch.setattr(
        connections.Connection,
        "connection_made",
        lambda self, transport: made(self, cast("Any", Counted(transport, written))),
    )
    with served.connection() as connected:
        for line, ends in ((b"GET / ", b"\r\n\r\n0"), (b"HEAD / ", b"\r\n\r\n"), (b"GET /none ", b"\r\n\r\n")):
            written.clear()
            connected.sendall(line + b"HTTP/1.1\r\n" + HOST + b"\r\n")
            received = connected.recv(1_000)
            assert received.startswith(b"HTTP/1.1 20")
            assert received.endswith(ends)
            assert written == [received]


@pytest.mark.parametrize("line", [b"GET / HTTP/1.0\r\n", b"GET / HTTP/1.1\r\nConnection: close\r\n"])
def test_who_wants_no_other_answer_gets_the_end(served: Served, line: bytes) -> None:
    with served.connection() as connected:
        connected.sendall(line + HOST + b"\r\n")
        assert answer_on(connected) == (200, b"0")
        assert is_closed(connected)


@pytest.mark.parametrize(
    "parts", [(b"X-Long: ", b"x" * HEADER_BYTES_MAX, b"\r\n\r\n"), (b"X: y\r\n",) * 8_000, (b"X" * 40_000,)]
)
def test_a_head_is_not_kept_beyond_its_limit(served: Served, parts: tuple[bytes, ...]) -> None:
    """C1: in one piece, in many fields, without an end."""
    with served.connection() as connected:
        connected.sendall(b"GET / HTTP/1.1\r\n" + HOST)
        connected.sendall(b"".join(parts))
        assert connected.recv(100).startswith(b"HTTP/1.1 431 ")
    assert served.ask(b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 30_000 + b"\r\n\r\n") == (200, b"0")


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n folded\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT x:1 HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
def test_what_cannot_be_understood_is_refused_and_ends_the_connection(served: Served, head: bytes) -> None:
    with served.connection() as connected:
        connected.sendall(head)
        assert answer_on(connected)[0] == 400
        assert is_closed(connected)


def test_nonsense_is_not_the_answer_to_the_request_before_it(served: Served) -> None:
    """C4: else whoever sent the first one would take the refusal for its answer."""
    with served.connection() as connected:
        connected.sendall(GET_BODY + b"nonsense\r\n\r\n")
        assert is_closed(connected)


def test_an_upgrade_that_is_not_offered_is_an_ordinary_request(served: Served) -> None:
    with served.connection() as connected:
        for _time in range(2):
            connected.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
            assert answer_on(connected) == (200, b"0")


def test_a_reader_that_does_not_read_keeps_no_thread(served: Served) -> None:
    """V7: there is only one. What was not sent is in flight (V6)."""
    with served.connection() as idle:
        idle.sendall(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        wait_until(lambda: served.in_flight == 1, 10, "the answer lies in our buffers")
        assert served.ask(GET_BODY) == (200, b"0")
        assert len(answer_on(idle)[1]) == LARGE
    wait_until(lambda: served.in_flight == 0, 10, "nothing is left")


def test_a_client_that_goes_before_its_body_leaves_nothing(served: Served) -> None:
    with served.connection() as connected:
        connected.sendall(POST + b"Content-Length: 5\r\n\r\nab")
        wait_until(lambda: served.in_flight == 1, 10, "the request is known")
    wait_until(lambda: served.in_flight == 0, 10, "it is forgotten")
    assert served.ask(GET_BODY) == (200, b"0")


def test_who_waits_too_long_or_finds_too_many_before_him_is_told_to_come_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V8, and V2: health pages are not among those who wait."""
    waiting = b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n"
    served.may_go.clear()
    with served.connection() as working, served.connection() as late:
        working.sendall(waiting)
        assert served.waiting.acquire(timeout=60)
        monkeypatch.setattr(served.server._gateway, "_wait_seconds_max", 0.2)
        late.sendall(waiting)
        wait_until(lambda: served.in_line() == 1, what="the second one waits")
        monkeypatch.setattr(server, "WAITING_MAX", 1)
        assert served.ask(waiting) == (503, b"turned away"), "one waits already"
        assert served.ask(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n") == (200, b"alive")
        threading.Timer(0.3, served.may_go.set).start()  # later than wait_seconds_max
        assert answer_on(working) == (200, b"waited")
        assert answer_on(late) == (503, b"turned away")


def test_an_idle_connection_ends_also_one_that_never_asked(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """C2"""
    monkeypatch.setattr(connections, "IDLE_SECONDS_MAX", 0.05)
    for sent in (b"", b"GET / HT", POST + b"Content-Length: 5\r\n\r\nab"):
        with served.connection() as connected:
            connected.sendall(sent)
            assert is_closed(connected)


def test_a_connection_that_is_answered_by_its_heads_ends_when_it_asks_no_more(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C2, C5: no timer is set anew for such a request; the one before it looks when that was."""
    monkeypatch.setattr(connections, "IDLE_SECONDS_MAX", 1.5)
    with served.connection() as connected:
        for _time in range(2):
            connected.sendall(KNOWN)
            assert connected.recv(1_000).startswith(UNCHANGED)
        assert is_closed(connected)


def test_connections_beyond_the_limit_end_as_they_come(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """C3"""
    wait_until(lambda: served.connected == 0, what="those of other tests are gone")
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 1)
    with served.connection() as first:
        first.sendall(GET_BODY)
        assert answer_on(first) == (200, b"0")
        with served.connection() as second:
            assert is_closed(second)
        first.sendall(GET_BODY)
        assert answer_on(first) == (200, b"0")
