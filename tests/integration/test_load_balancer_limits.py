"""Deadlines, limits, back-pressure, what no server is asked, and the end. Real sockets, scripted servers."""

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from load_balancer.balancing.members import ServerOptions
from load_balancer.balancing.retries import RetryRules
from load_balancer.balancing.servers import Rules
from load_balancer.http1.grammar import HeadLimits
from load_balancer.options import Address, Check, Limits, ServerAddress
from load_balancer.proxy import connection
from tests.load_balancer_clients_world import SECONDS_MAX, Answer, Incomplete, RawClient
from tests.load_balancer_world import PATIENT, PATIENT_CHECK, Send, Silence, World, ok, world

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"


def test_a_server_that_does_not_answer_gives_504_and_a_post_is_not_repeated() -> None:
    """U17."""
    with world(2, timeouts=replace(PATIENT, server_seconds=0.3)) as running:
        for server in running.servers:
            server.script = lambda _: [Silence()]
        assert running.ask(POST).status == 504
        assert len(running.requests) == 1
        assert running.ask(GET).status == 504
        assert len(running.requests) == 2


def test_a_server_that_stops_answering_checks_is_ejected_and_its_gets_go_elsewhere() -> None:
    """L3: long before the server's own time is over; a POST waits, for it may have been done."""
    check = Check(path="/readyz", inter_seconds=0.1, timeout_seconds=0.1, rules=Rules(2, 1))
    with world(2, check=check, timeouts=PATIENT) as running, running.connect() as poster:
        silent = running.servers[0]
        silent.script = lambda _: [Silence()]
        silent.check_status = None
        answers: list[Answer] = [running.ask(GET)]
        assert answers[0].status == 200
        assert len(silent.requests) == 1
        running.until(lambda: running.balancer.backends["s1"].health.word == "DOWN", "the silent server is DOWN")
        silent.check_status = 200
        running.until(lambda: running.balancer.ready_servers == 2, "it is back")
        silent.script = lambda _: ok(b"late")
        poster.send(POST)
        assert poster.answer().status == 200


def test_a_server_that_says_it_is_not_ready_gets_nothing_until_it_says_otherwise() -> None:
    with world(2) as running:
        running.servers[0].check_status = 503
        running.until(lambda: running.balancer.backends["s1"].health.word == "NOLB", "s1 asked for no requests")
        for _ in range(4):
            assert running.ask(GET).status == 200
        assert len(running.servers[0].requests) == 0
        running.servers[0].check_status = 200
        running.until(lambda: running.balancer.ready_servers == 2, "s1 is back")


def test_where_all_cannot_work_for_now_they_are_asked_all_the_same() -> None:
    """S7, G1: a 503 that says Retry-After; what it is about they can tell better than the balancer."""
    with world(2) as running:
        for server in running.servers:
            server.check_status, server.check_fields = 503, b"Retry-After: 1\r\n"
        running.until(lambda: running.balancer.ready_servers == 0, "nobody is ready")
        assert [running.ask(GET).status for _ in range(4)] == [200] * 4
        assert {backend.health.word for backend in running.balancer.backends.values()} == {"AWAY"}
        running.servers[0].check_fields = b""
        running.until(lambda: running.balancer.backends["s1"].health.word == "NOLB", "s1 wants nothing at all")
        before = len(running.servers[0].requests)
        assert [running.ask(GET).status for _ in range(2)] == [200] * 2
        assert len(running.servers[0].requests) == before


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", 0), (b"GET /a HT", 408), (POST[:-2], 408)],
    ids=["nothing", "part of a head", "part of a body"],
)
def test_who_sends_too_slowly_is_told_and_holds_no_server(sent: bytes, status: int) -> None:
    """T01, T02, T03."""
    with world(1) as running:
        if not sent:
            running.hurry(http_request_seconds=0.1)
        client = running.connect()
        if sent:
            in_a_hurry_once_served(running, client, client_seconds=0.1, http_request_seconds=0.1)
        client.send(sent)
        if status:
            assert client.answer().status == status
        assert client.closed()
        client.socket.close()
        assert running.requests == []


def in_a_hurry_once_served(running: World, client: RawClient, **timeouts: float) -> None:
    """The client is idle between two requests: the time for a head begins with its first byte, not with the connection."""
    client.send(GET)
    assert client.answer().status == 200
    running.servers[0].requests.clear()
    running.hurry(**timeouts)


@contextlib.contextmanager
def dripping(client: RawClient, first: bytes, drop: bytes) -> Iterator[None]:
    """``first`` at once, then a drop every 20 ms for as long as the block lasts."""
    stop = threading.Event()

    def drip() -> None:
        client.send(first)
        while not stop.wait(0.02):
            client.send(drop)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_dripping_a_body_does_not_extend_its_deadline_either() -> None:
    """T03: each byte buys time at the least rate that is accepted, and no more."""
    with world(1, timeouts=replace(PATIENT, client_seconds=0.2)) as running, running.connect() as client:
        with dripping(client, b"POST /p HTTP/1.1\r\nHost: shop\r\nContent-Length: 100000\r\n\r\n", b"x"):
            assert client.answer().status == 408
        assert running.requests == []


def test_a_server_that_accepts_no_connection_in_time_is_left_for_another_one() -> None:
    """Its queue is full: nothing is refused, and nothing is answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        place = full.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(place)
        with world(1, {"s1": ServerOptions(weight=1)}, retry=RetryRules(1, 1.0, 10)) as running:
            assert running.ask(POST).status == 200  # from now on it has a connection, so it needs no time for a new one
            running.hurry(connect_seconds=0.1)
            deaf = ServerAddress("deaf", Address(*place), ServerOptions(check=False))
            running.loop.call(lambda: running.balancer.add(deaf))
            assert [running.ask(POST).status for _ in range(2)] == [200, 200]
            assert running.balancer.backends["deaf"].traffic.failures["no connection"] >= 1
            assert len(running.requests) == 3
            running.loop.call(lambda: running.balancer.remove("s1"))
            assert running.ask(POST).status == 503


def test_a_client_that_takes_no_notice_of_the_last_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """D2."""
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.05)
    with world(1) as running, running.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.answer().status == 400
        running.until(lambda: not running.balancer.clients, "it is gone, though it has not closed its side")


def test_an_idle_connection_ends_without_a_word() -> None:
    """T06."""
    with world(1, timeouts=replace(PATIENT, keep_alive_seconds=0.2)) as running, running.connect() as client:
        client.send(GET)
        client.answer()
        assert client.closed()


def test_dripping_a_head_does_not_extend_its_deadline() -> None:
    """T02: the deadline is for the head as a whole."""
    with world(1) as running, running.connect() as client:
        in_a_hurry_once_served(running, client, http_request_seconds=0.2)
        with dripping(client, b"GET / HTTP/1.1\r\n", b"A: b\r\n"):
            assert client.answer().status == 408


@pytest.mark.parametrize("hurried", [False, True], ids=["waited for", "cut off"])
def test_a_client_that_does_not_read_stops_the_server_and_is_cut_off(hurried: bool) -> None:
    """T04, X4: what waits for it in memory is bounded."""
    with world(1) as running, running.connect() as client:
        server = running.servers[0]
        server.script = lambda _: ok(b"a" * 50_000_000)
        if hurried:
            running.hurry(client_seconds=0.3)
        client.send(GET)
        if not hurried:
            assert 0 < running.most_that_waits(server) < 1_000_000
            return
        running.until(lambda: server.requests, "the server answers")
        running.until(lambda: not running.balancer.clients, "the client was cut off")
        with pytest.raises((Incomplete, ConnectionResetError)):
            client.answer()


def test_a_stream_without_end_flows_piece_by_piece_and_its_deadline_is_between_two_of_them() -> None:
    """Server-sent events: nothing is collected, and the stream lasts far longer than the server's time for a byte."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    pause = threading.Event()
    with world(1, timeouts=replace(PATIENT, server_seconds=1.0)) as running, running.connect() as client:
        server = running.servers[0]
        server.script = lambda _: [Send(head), Silence()]
        client.send(GET)
        while b"\r\n\r\n" not in client.buffer:
            assert client._more()
        client.buffer = b""
        for _ in range(15):
            server.say(b"d\r\ndata: event\n\n\r\n", running)
            assert client._exactly(18) == b"d\r\ndata: event\n\n\r\n"
            pause.wait(0.1)
        assert client.closed()  # the server has fallen silent: what was begun is cut off
        assert running.balancer.own.truncated == 1


def test_a_slow_reader_gets_everything() -> None:
    size = 3_000_000
    with world(1) as running, running.connect() as client:
        running.servers[0].script = lambda _: ok(b"a" * size)
        client.send(GET)
        assert len(client.answer().body) == size


def test_connections_beyond_the_limit_are_refused_at_once_and_the_others_go_on() -> None:
    """T05."""
    with world(1, connections_max=3) as running:
        clients = [running.connect() for _ in range(3)]
        for client in clients:
            client.send(GET)
            assert client.answer().status == 200
        with running.connect() as refused:
            answer = refused.answer()
            assert answer.status == 503
            assert answer.field("X-Not-Dispatched") == "1"
        clients[0].send(GET)
        assert clients[0].answer().status == 200
        for client in clients:
            client.socket.close()


def test_connections_of_one_address_beyond_its_limit_are_told_so_and_those_of_others_are_served() -> None:
    """M1, M3; without a limit, or from an exempt network, all are served."""
    with world(1, limits=Limits(connections_per_address_max=2, exempt_networks=())) as running:
        clients = [running.connect() for _ in range(2)]
        for client in clients:
            client.send(GET)
            assert client.answer().status == 200
        with running.connect() as refused:
            answer = refused.answer()
            assert (answer.status, answer.field("X-Not-Dispatched"), answer.field("Retry-After")) == (429, "1", "1")
            assert refused.closed()
        with running.connect("127.0.0.2") as neighbour:
            neighbour.send(GET)
            assert neighbour.answer().status == 200
        assert running.balancer.own.connections_refused == 1
        clients.pop().socket.close()
        running.until(lambda: len(running.balancer.clients) == 1, "the others are gone")
        assert running.ask(GET).status == 200
        clients.pop().socket.close()
        running.until(lambda: running.balancer.admission.places == 0, "nobody is counted any more")


def test_the_limits_of_a_head_are_those_of_the_options() -> None:
    limits = Limits(head=HeadLimits(request_line_bytes=40, head_bytes=100, field_lines=3))
    with world(1, limits=limits) as running:
        assert running.ask(GET).status == 200
        assert running.ask(GET.replace(b"/a", b"/" + b"a" * 40)).status == 414
        assert running.ask(GET.replace(b"\r\n\r\n", b"\r\nA: b\r\nA: b\r\nA: b\r\n\r\n")).status == 431
        assert running.ask(GET.replace(b"\r\n\r\n", b"\r\nA: " + b"b" * 80 + b"\r\n\r\n")).status == 431
        assert len(running.requests) == 1


def test_a_burst_of_connections_is_served() -> None:
    """T14. Checks that such a burst delays would say nothing of the servers."""
    with world(3, check=PATIENT_CHECK) as running:
        clients = [running.connect() for _ in range(500)]
        for client in clients:
            client.send(GET)
        assert Counter(client.answer().status for client in clients) == {200: 500}
        for client in clients:
            client.socket.close()


# What never goes to a server, and the end.


@pytest.mark.parametrize(
    "path", [b"/metrics", b"/%6Detrics", b"//readyz", b"/x/../internal/months/close", b"/Internal/x"]
)
def test_hidden_paths_reach_no_server(path: bytes) -> None:
    with world(1) as running, running.connect() as client:
        for target in (path, b"http://shop" + path):
            client.send(b"GET %b HTTP/1.1\r\nHost: shop\r\n\r\n" % target)
            assert client.answer().status == 404
        client.send(GET)
        assert client.answer().status == 200
        client.send(b"POST %b HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\n{}" % path)
        assert client.answer().status == 404
        assert len(running.requests) == 1


def test_healthz_is_answered_here_even_without_a_server() -> None:
    with world(1, check=PATIENT_CHECK) as running:
        running.loop.call(running.servers[0].vanish)
        answer = running.ask(b"GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"alive\n")


def test_only_the_hosts_of_the_list_are_served() -> None:
    """H06."""
    with world(1, hosts=frozenset({b"shop"})) as running:
        assert running.ask(GET.replace(b"shop", b"SHOP")).status == 200
        assert running.ask(GET.replace(b"shop", b"evil")).status == 421


def test_drain_answers_what_is_under_way_and_ends_what_is_idle() -> None:
    with world(1) as running, running.connect() as idle, running.connect() as busy:
        server = running.servers[0]
        idle.send(GET)
        idle.answer()
        server.script = lambda _: [Silence()]
        busy.send(POST)
        running.until(lambda: len(server.requests) == 2, "a request is under way")
        draining = threading.Thread(target=lambda: running.loop.run(running.service.drain(SECONDS_MAX)))
        draining.start()
        assert idle.closed()
        with pytest.raises(ConnectionRefusedError):
            RawClient(running.port)
        server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone", running)
        answer = busy.answer()
        assert answer.body == b"done"
        assert answer.field("Connection") == "close"
        busy.socket.close()
        draining.join(SECONDS_MAX)
        assert not draining.is_alive()


def test_a_connection_ends_after_its_last_request() -> None:
    """T13: the client is told so with the last answer."""
    with world(1, limits=Limits(requests_per_connection_max=3)) as running, running.connect() as client:
        said = []
        for _ in range(3):
            client.send(GET)
            said.append(client.answer().field("Connection"))
        assert said == [None, None, "close"]
        assert client.closed()


def test_bodies_that_together_take_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """F2: one large body does not stop small requests of others."""
    monkeypatch.setattr("load_balancer.proxy.bodies.BODY_BUFFERS_BYTES_MAX", 100_000)
    with world(1) as running, running.connect() as first, running.connect() as second:
        head = b"POST /p HTTP/1.1\r\nHost: shop\r\nContent-Length: 90000\r\n\r\n"
        first.send(head + b"a" * 80_000)
        running.until(lambda: running.balancer.body_memory.bytes == 80_000, "the first body is being collected")
        second.send(head + b"a" * 30_000)
        answer = second.answer()
        assert (answer.status, answer.field("X-Not-Dispatched")) == (503, "1")
        assert running.ask(GET).status == 200
        first.send(b"a" * 10_000)
        assert first.answer().status == 200
        running.until(lambda: running.balancer.body_memory.bytes == 0, "no body is counted any more")
