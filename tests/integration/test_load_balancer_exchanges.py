"""Requests on their way: fields, turns, framing, repeats. Real sockets, scripted servers."""

import json
import re
import threading

import pytest

from load_balancer.http1.traces import trace_id
from tests.load_balancer_clients_world import SECONDS_MAX
from tests.load_balancer_world import PATIENT_CHECK, Close, Reset, Send, Silence, ok, world

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"


def fields_of(request: bytes) -> dict[str, list[str]]:
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        fields.setdefault(name.lower(), []).append(value)
    return fields


def test_fields_about_the_way_are_ours_and_hop_by_hop_fields_end_here() -> None:
    """W2, W3, W4."""
    spoofed = (
        b"GET /a?b=c HTTP/1.1\r\nHost: Shop:8000\r\nConnection: X-Nominated, keep-alive\r\nX-Nominated: 1\r\nKeep-Alive: 5\r\n"
        b"Proxy-Connection: x\r\nProxy-Authorization: x\r\nProxy: x\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: websocket\r\n"
        b"HTTP2-Settings: x\r\nForwarded: for=1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: evil\r\n"
        b"X-Forwarded-Port: 1\r\nX-Real-IP: 1.2.3.4\r\nX-Request-Id: theirs\r\nX_Forwarded_For: 1.2.3.4\r\n"
        b"Cookie: a=b\r\nVia: 1.0 before\r\nX-Kept: \xe9\r\n\r\n"
    )
    with world(1) as running:
        answer = running.ask(spoofed)
        assert answer.echoed.startswith(b"GET /a?b=c HTTP/1.1\r\n")
        fields = fields_of(answer.echoed)
    request_id = answer.field("X-Request-Id")
    (parent,) = fields.pop("traceparent")
    assert trace_id(parent.encode()) is not None
    assert fields == {
        "host": ["Shop:8000"],
        "cookie": ["a=b"],
        "x-kept": ["\xe9"],
        "x-forwarded-for": ["127.0.0.1"],
        "x-forwarded-proto": ["http"],
        "x-forwarded-host": ["Shop:8000"],
        "via": ["1.0 before, 1.1 cds-load-balancer"],
        "x-request-id": [request_id],
    }


def test_forwarded_is_ours_where_it_is_wanted() -> None:
    """W3, RFC 7239: a client's own ones, however often and however they are written, are neither kept nor added to."""
    spoofed = GET.replace(
        b"\r\n\r\n", b"\r\nForwarded: for=1.2.3.4\r\nFORWARDED: for=5.6.7.8, for=9\r\nForwarded:\r\n\r\n"
    )
    with world(1, forwarded=True) as running:
        fields = fields_of(running.ask(spoofed).echoed)
    assert fields["forwarded"] == ["for=127.0.0.1;proto=http"]
    assert fields["x-forwarded-for"] == ["127.0.0.1"]


def test_fields_of_an_answer_are_filtered_too() -> None:
    """U20; an answer of a server never claims that it reached none."""
    fields = b"Connection: X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nX-Request-Id: theirs\r\nX-Not-Dispatched: 1\r\nA: b\r\n"
    with world(1) as running:
        running.servers[0].script = lambda _: ok(b"ok", fields)
        answer = running.ask(GET)
    assert re.findall(rb"\n([^:]+):", answer.head) == [
        b"A", b"X-Served-By", b"Via", b"Content-Length", b"Date", b"X-Request-Id",
    ]  # fmt: skip
    assert answer.field("X-Served-By") == "s1"
    assert answer.field("X-Request-Id") != "theirs"


def test_the_turn_is_exact_and_request_ids_are_unique() -> None:
    with world(3) as running, running.connect() as client:
        ids = set()
        for _ in range(30):
            client.send(GET)
            ids.add(client.answer().field("X-Request-Id"))
        assert [len(server.requests) for server in running.servers] == [10, 10, 10]
        assert len(ids) == 30


def test_pipelined_requests_are_answered_in_order() -> None:
    """T10, F1."""
    with world(3) as running, running.connect() as client:
        sender = threading.Thread(
            target=client.send,
            args=(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(1000)),),
        )
        sender.start()
        for number in range(1000):
            assert client.answer().echoed.startswith(b"GET /%d " % number)
        sender.join(SECONDS_MAX)


def test_http_1_0_gets_one_answer_and_the_rest_is_not_read() -> None:
    """P04."""
    with world(1) as running, running.connect() as client:
        client.send(b"GET /a HTTP/1.0\r\nHost: shop\r\n\r\n" + GET)
        assert client.answer().field("Connection") == "close"
        assert client.closed()
        assert len(running.requests) == 1


def test_http_1_0_keep_alive_is_said() -> None:
    with world(1) as running, running.connect() as client:
        for _ in range(2):
            client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = client.answer()
            assert answer.field("Connection") == "keep-alive"
        assert fields_of(answer.echoed)["host"] == [f"127.0.0.1:{running.port}"]


@pytest.mark.parametrize(
    ("script", "minor"),
    [
        (
            [
                Send(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: x\r\n\r\n"
                )
            ],
            1,
        ),
        ([Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")], 0),
        ([Send(b"HTTP/1.1 200 OK\r\n\r\nhel"), Send(b"lo"), Close()], 1),
        ([Send(b"HTTP/1.0 200 OK\r\n\r\nhello"), Close()], 0),
    ],
)
def test_bodies_without_length_are_framed_anew(script: list[Send | Close], minor: int) -> None:
    """W1, U16: chunked for HTTP/1.1, until the end for HTTP/1.0; extensions and trailers end here."""
    with world(1) as running, running.connect() as client:
        running.servers[0].script = lambda _: list(script)
        client.send(b"GET /a HTTP/1.%d\r\nHost: shop\r\n\r\n" % minor)
        answer = client.answer()
        assert answer.body == b"hello"
        assert answer.field("Transfer-Encoding") == ("chunked" if minor else None)
        assert answer.field("Connection") == (None if minor else "close")


def test_an_expectation_is_answered_here_and_the_body_goes_on() -> None:
    with world(1) as running, running.connect() as client:
        client.send(b"POST /p HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert client.answer().status == 100
        client.send(b"ok")
        answer = client.answer()
        assert answer.status == 200
        assert "expect" not in fields_of(answer.echoed)


@pytest.mark.parametrize(("accepts", "told"), [(b"*/*", b'{"type"'), (b"text/html", b"<!doctype html>")])
def test_a_body_too_large_is_refused_before_it_is_sent(accepts: bytes, told: bytes) -> None:
    """A reader gets a page, a program a document."""
    with world(1, body_bytes_max=1000) as running, running.connect() as client:
        head = b"POST /p HTTP/1.1\r\nHost: shop\r\nAccept: %b\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n"
        client.send(head % accepts)
        answer = client.answer()
        assert answer.status == 413
        assert answer.body.startswith(told)
        assert client.closed()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_streamed(chunked: bool) -> None:
    """Beyond what is collected, the rest follows as it comes; the server sees one framing and every byte."""
    body = bytes(range(256)) * 12_000
    with world(1, body_bytes_max=10_000_000) as running, running.connect() as client:
        running.servers[0].script = lambda _: ok()
        if chunked:
            head = b"POST /p HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"
            pieces = [body[start : start + 100_000] for start in range(0, len(body), 100_000)]
            sent = head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        else:
            sent = b"POST /p HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        client.send(sent[:2_000_000])
        running.until(lambda: running.balancer.backends["s1"].traffic.requests, "the first part is with the server")
        client.send(sent[2_000_000:])
        assert client.answer().status == 200
        (request,) = running.requests
    head, _, received = request.partition(b"\r\n\r\n")
    assert (b"Transfer-Encoding: chunked" in head) is chunked
    if chunked:
        decoded = b""
        while received:
            size, _, received = received.partition(b"\r\n")
            decoded += received[: int(size, 16)]
            received = received[int(size, 16) + 2 :]
        received = decoded
    assert received == body


def test_an_early_answer_ends_both_sides() -> None:
    """T11."""
    with world(1, body_bytes_max=10_000_000) as running, running.connect() as client:
        client.send(b"POST /p HTTP/1.1\r\nHost: shop\r\nContent-Length: 3000000\r\n\r\n" + b"a" * 1_200_000)
        running.until(lambda: running.balancer.backends["s1"].traffic.requests, "the request has reached the server")
        running.servers[0].say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n", running)
        answer = client.answer()
        assert answer.status == 413
        assert answer.field("Connection") == "close"
        assert client.closed()
        running.until(lambda: not running.servers[0].connections, "the server's connection was dropped")


def test_half_closing_after_a_request_still_gets_the_answer() -> None:
    """T07."""
    with world(1) as running, running.connect() as client:
        client.send(GET)
        client.end()
        assert client.answer().status == 200
        assert client.closed()


def test_half_closing_in_a_body_reaches_no_server() -> None:
    """T08."""
    with world(1) as running, running.connect() as client:
        client.send(POST[:-2])
        client.end()
        assert client.answer().status == 400
        assert running.requests == []


def test_a_client_that_resets_frees_its_server_and_the_connection_is_not_used_again() -> None:
    """T09, U2."""
    with world(1) as running:
        server = running.servers[0]
        server.script = lambda _: [Silence()]
        client = running.connect()
        client.send(POST)
        running.until(lambda: server.requests, "the request is with the server")
        client.reset()
        running.until(lambda: not running.balancer.clients, "the balancer has noticed")
        assert running.loop.call(lambda: len(running.balancer.backends["s1"].serving)) == 0
        server.script = lambda _: ok(b"mine")
        assert running.ask(GET).body == b"mine"


# Repeats.


def test_a_get_whose_connection_is_lost_goes_to_the_next_server_once() -> None:
    """Y2."""
    with world(2) as running:
        running.servers[0].script = lambda _: [Reset()]
        assert running.ask(GET).status == 200
        assert [len(server.requests) for server in running.servers] == [1, 1]
        running.servers[1].script = lambda _: [Reset()]
        assert running.ask(GET).status == 502
        assert [len(server.requests) for server in running.servers] == [2, 2]


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE"])
def test_what_must_not_be_repeated_is_sent_once(method: bytes) -> None:
    """Y2, X1; the client is told that the outcome is not known."""
    with world(2) as running:
        for server in running.servers:
            server.script = lambda _: [Reset()]
        answer = running.ask(method + b" /p HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert answer.status == 502
        assert answer.field("X-Not-Dispatched") is None
        assert len(running.requests) == 1


def test_a_get_of_which_an_answer_was_heard_is_not_repeated() -> None:
    """Y3."""
    with world(2) as running:
        for server in running.servers:
            server.script = lambda _: [Send(b"HTTP/1.1 200"), Reset()]
        assert running.ask(GET).status == 502
        assert len(running.requests) == 1


def test_what_could_not_be_sent_goes_elsewhere_whatever_its_method() -> None:
    """Y1; the refused connection ejects the server at once."""
    with world(2, check=PATIENT_CHECK) as running:
        running.loop.call(running.servers[0].vanish)
        answers = [running.ask(POST) for _ in range(4)]
        assert [answer.status for answer in answers] == [200] * 4
        assert len(running.servers[1].requests) == 4
        assert running.loop.call(lambda: running.balancer.backends["s1"].health.word) == "DOWN"


def test_with_all_servers_gone_the_answer_is_quick_and_says_that_nothing_happened() -> None:
    """U19."""
    with world(2, check=PATIENT_CHECK) as running:
        for server in running.servers:
            running.loop.call(server.vanish)
        for _ in range(3):
            answer = running.ask(POST)
            assert answer.status == 503
            assert answer.field("Retry-After") == "1"
            assert answer.field("X-Not-Dispatched") == "1"
            assert json.loads(answer.body)["status"] == 503


def test_a_browser_gets_a_page_for_an_error() -> None:
    with world(1, check=PATIENT_CHECK) as running:
        running.loop.call(running.servers[0].vanish)
        answer = running.ask(b"GET / HTTP/1.1\r\nHost: shop\r\nAccept: text/html,*/*;q=0.8\r\n\r\n")
        assert answer.status == 503
        assert answer.field("Content-Type") == "text/html; charset=utf-8"
        assert b"<h1>Back in a moment</h1>" in answer.body


@pytest.mark.parametrize("request_bytes", [GET, POST], ids=["GET", "POST"])
def test_an_idle_connection_that_the_server_closes_costs_no_request(request_bytes: bytes) -> None:
    """U3, U4: many times over, for the end may be seen before or after the next request is sent."""
    with world(1) as running, running.connect() as client:
        running.servers[0].script = lambda _: [*ok(b"once"), Close()]
        for _ in range(100):
            client.send(request_bytes)
            assert client.answer().body == b"once"
            if request_bytes is POST:
                running.until(lambda: len(running.balancer.backends["s1"].pool) == 0, "its end was seen")


def test_a_dying_server_is_not_asked_again_while_another_is_there() -> None:
    """Y2: killed, it still accepts a connection and resets that too; there is one repeat only."""
    with world(2) as running, running.connect() as client:
        for _ in range(2):
            client.send(GET)
            client.answer()
        running.servers[0].script = lambda _: [Close()]
        for _ in range(2):
            client.send(GET)
            assert client.answer().status == 200


def test_bytes_on_an_idle_connection_are_nobodys_answer() -> None:
    """U3, U15."""
    with world(1) as running, running.connect() as client:
        server = running.servers[0]
        client.send(GET)
        client.answer()
        poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
        server.say(poison, running)
        running.until(lambda: len(running.balancer.backends["s1"].pool) == 0, "the connection was dropped")
        client.send(GET)
        assert client.answer().echoed.startswith(b"GET /a ")
