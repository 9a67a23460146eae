"""Switches of protocol on real sockets: who gets one, what flows then, how it ends, what it counts for."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from load_balancer.access_log.lines import Entry, Outcome
from load_balancer.balancing.members import ServerOptions
from load_balancer.proxy.endings import reset
from tests.load_balancer_clients_world import SECONDS_MAX, RawClient
from tests.load_balancer_world import PATIENT, Script, Send, Tunnel, World, ok, world
from tests.unit.test_load_balancer_upgrades import GOOD, HANDSHAKE

ASK = b"GET /ws HTTP/1.1\r\nHost: shop\r\n" + HANDSHAKE + b"\r\n"
PLAIN = b"GET /plain HTTP/1.1\r\nHost: shop\r\n\r\n"
ACCEPTING = b"HTTP/1.1 101 Switching Protocols\r\n" + GOOD + b"\r\n"


def accept(request: bytes) -> Script:
    return [Send(ACCEPTING), Tunnel()] if b"\r\nUpgrade: websocket\r\n" in request else ok(b"plain")


@pytest.fixture
def one() -> Iterator[World]:
    with world(1) as running:
        running.servers[0].script = accept
        yield running


def opened(running: World) -> RawClient:
    client = running.connect()
    client.send(ASK)
    answer = client.answer()
    assert answer.status == 101
    assert (answer.field("Connection"), answer.field("Upgrade")) == ("Upgrade", "websocket")
    return client


def gone(running: World) -> None:
    running.until(lambda: not running.balancer.clients, "no client is counted any more")
    running.until(lambda: not running.balancer.backends["s1"].serving, "nor any request of the server")
    assert not running.balancer.tunnels


def test_bytes_flow_both_ways_also_those_that_came_early(one: World) -> None:
    server = one.servers[0]
    server.script = lambda _: [Send(ACCEPTING + b"early"), Tunnel()]
    with one.connect() as client:
        client.send(ASK + b"\x81\x05first")
        assert client.answer().status == 101
        one.until(lambda: bytes(server.tunnelled) == b"\x81\x05first", "what lay behind the request is there")
        client.send(b"GET / HTTP/1.1\r\n\r\n")  # no longer looked at
        one.until(lambda: server.tunnelled.endswith(b"GET / HTTP/1.1\r\n\r\n"), "the server has it")
        server.say(b"\x00\xff", one)
        assert client._exactly(7) == b"early\x00\xff"
        figures = one.loop.call(one.balancer.figures)
        assert (figures.tunnels, figures.connections, figures.own.tunnels) == (1, 1, 1)
    gone(one)
    traffic = one.balancer.backends["s1"].traffic
    assert traffic.classes[1] == 1
    assert traffic.bytes_in > len(ASK)


def test_a_tunnel_is_one_line_of_the_access_log_when_it_is_over(one: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Entry] = []

    class Log:
        add = staticmethod(lines.append)

    monkeypatch.setattr(one.balancer, "access_log", Log())
    with opened(one) as client:
        one.servers[0].say(b"12345", one)
        assert client._exactly(5) == b"12345"
        assert lines == []
    gone(one)
    (line,) = lines
    assert (line.status, line.body_bytes, line.server, line.outcome) == (101, 5, b"s1", Outcome.COMPLETE)
    assert line.request is not None
    assert line.request.target == b"/ws"


def test_what_a_server_declines_is_an_ordinary_answer_and_the_connection_goes_on(one: World) -> None:
    """S1: the connection to the server was asked for another protocol once, not for ever."""
    server = one.servers[0]
    server.script = lambda request: ok(b"no") if b"/ws" in request else [Send(ACCEPTING), Tunnel()]
    with one.connect() as client:
        client.send(ASK + PLAIN)
        assert client.answer().body == b"no"
        assert client.answer().status == 502  # 101 that nobody asked for
        server.script = accept
        client.send(PLAIN)
        assert client.answer().body == b"plain"
        client.send(ASK)
        assert client.answer().status == 101
    gone(one)


@pytest.mark.parametrize(
    "request_",
    [
        ASK.replace(b"WebSocket", b"h2c"),
        ASK.replace(b"GET /ws", b"POST /ws"),
        ASK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        ASK.replace(b"Connection: keep-alive, Upgrade\r\n", b""),
    ],
    ids=["h2c", "POST", "HTTP/1.0", "not nominated"],
)
def test_a_101_to_a_request_that_did_not_ask_is_a_broken_answer(one: World, request_: bytes) -> None:
    """S1, G1, G2: what follows it reaches nobody."""
    one.servers[0].script = lambda _: [Send(ACCEPTING + b"smuggled"), Tunnel()]
    with one.connect() as client:
        client.send(request_)
        answer = client.answer()
        assert answer.status == 502
        assert b"smuggled" not in answer.body
    assert b"pgrade" not in one.requests[0]
    assert not one.balancer.tunnels


def test_a_101_that_gives_something_else_is_a_broken_answer(one: World) -> None:
    """G4."""
    one.servers[0].script = lambda _: [Send(ACCEPTING.replace(b"Accept: s", b"Accept: t")), Tunnel()]
    assert one.ask(ASK).status == 502


def test_a_wrong_handshake_reaches_no_server(one: World) -> None:
    """G3."""
    answer = one.ask(ASK.replace(b"Version: 13", b"Version: 12"))
    assert (answer.status, answer.field("Sec-WebSocket-Version"), answer.field("Upgrade")) == (426, "13", "websocket")
    assert one.ask(ASK.replace(b"==", b"=")).status == 400
    assert one.requests == []


def test_nothing_may_be_asked_for_where_nothing_is_configured() -> None:
    with world(1, upgrade=frozenset()) as running:
        running.servers[0].script = accept
        assert running.ask(ASK).body == b"plain"


def test_a_half_close_is_passed_on_and_the_other_direction_goes_on(one: World) -> None:
    """N2, from either side."""
    server = one.servers[0]
    server.goes_on = True
    with opened(one) as client:
        client.send(b"bye")
        client.end()
        one.until(lambda: server.ends == 1, "the server has seen the end")
        assert bytes(server.tunnelled) == b"bye"
        server.say(b"last words", one)
        server.each(lambda transport: transport.close(), one)
        assert client.rest() == b"last words"
    gone(one)
    with opened(one) as client:
        server.each(lambda transport: transport.write_eof(), one)
        assert client.rest() == b""
        client.send(b"still here")
        one.until(lambda: server.tunnelled.endswith(b"still here"), "the client's bytes still come")
        server.goes_on = False
    gone(one)


def test_silence_ends_a_tunnel_and_sooner_once_one_side_has_ended() -> None:
    """N2, N3: each deadline is shorter than the other in one of the two."""
    for times, half in (({"tunnel_seconds": 0.1}, False), ({"client_fin_seconds": 0.1}, True)):
        with world(1, timeouts=replace(PATIENT, **times)) as running:
            running.servers[0].script = accept
            running.servers[0].goes_on = True
            with opened(running) as client:
                if half:
                    client.end()
                assert client.closed()
            gone(running)


def test_a_reset_is_passed_on(one: World) -> None:
    """N4."""
    server = one.servers[0]
    before = server.resets
    opened(one).reset()
    one.until(lambda: server.resets > before, "the server was reset, too")
    gone(one)
    with opened(one) as client:
        server.each(reset, one)
        with pytest.raises(ConnectionResetError):
            client.rest()
    gone(one)


def test_who_does_not_read_stops_the_other_side(one: World) -> None:
    """N1: bounded memory in both directions."""
    server = one.servers[0]
    many = b"a" * 40_000_000
    with opened(one) as client:
        server.each(lambda transport: transport.pause_reading(), one)
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.socket.sendall(many)
        assert buffered(one) < 1_000_000
        server.say(many, one)
        one.until(lambda: server.unsent() and one.balancer.tunnels, "the server cannot send any more")
        assert buffered(one) < 1_000_000


def buffered(running: World) -> int:
    """Bytes that wait in the balancer's memory to be sent, both ways."""

    def count() -> int:
        sides = [side for tunnel in running.balancer.tunnels for side in (tunnel._client, tunnel._server)]
        return sum(side.transport.get_write_buffer_size() for side in sides)

    return running.loop.call(count)


def test_a_tunnel_counts_for_its_servers_limit() -> None:
    """S2."""
    lines = {"s1": ServerOptions(maxconn=1, maxqueue=1)}
    with world(1, lines, timeouts=replace(PATIENT, queue_seconds=0.1)) as running:
        running.servers[0].script = accept
        with opened(running):
            assert running.ask(PLAIN).status == 503
        gone(running)
        assert running.ask(PLAIN).status == 200


def test_a_drain_waits_for_tunnels_until_its_time_is_over(one: World) -> None:
    """N3."""
    client = opened(one)
    drained = threading.Event()

    def drain() -> None:
        one.loop.run(one.service.drain(2.0))
        drained.set()

    draining = threading.Thread(target=drain)
    draining.start()
    one.until(lambda: one.balancer.draining, "it drains")
    client.send(b"still works")
    one.until(lambda: bytes(one.servers[0].tunnelled) == b"still works", "bytes still flow")
    assert not drained.is_set()
    assert client.closed()
    draining.join(SECONDS_MAX)
    gone(one)


def test_clients_that_are_bound_to_a_server_get_tunnels_too() -> None:
    with world(1, cookie="SRV") as running:
        running.servers[0].script = accept
        with running.connect() as client:
            client.send(ASK.replace(b"\r\n\r\n", b"\r\nCookie: SRV=s1; a=b\r\n\r\n"))
            assert client.answer().status == 101
        assert b"\r\nCookie: a=b\r\n" in running.requests[0]
        gone(running)
