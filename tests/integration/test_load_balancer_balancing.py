"""Limits with a line, bound clients, ejection and slow starts, seen from outside."""

from dataclasses import replace

from load_balancer.balancing.members import Observe, OnError, ServerOptions
from load_balancer.balancing.servers import Admin, Operation
from load_balancer.proxy.exchange import Exchange
from tests.load_balancer_clients_world import SECONDS_MAX, RawClient
from tests.load_balancer_world import QUICK_CHECK, ScriptedServer, Send, Silence, World, ok, world

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ONE = ServerOptions(maxconn=1)


def get(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: shop", *lines, "", ""]).encode()


def hold(server: ScriptedServer) -> None:
    """From now on the server answers only when it is told to."""
    server.script = lambda _: [Silence()]


def in_line(running: World, count: int) -> None:
    running.until(lambda: len(running.balancer.servers.line) == count, f"{count} stand in line")


def reached(running: World, server: ScriptedServer, count: int) -> None:
    running.until(lambda: len(server.paths) == count, f"{count} requests have reached {server.name}")


def ask_in_turn(running: World, clients: list[RawClient]) -> None:
    """Each client asks for /0, /1, …, the next one only when the one before stands in line."""
    for number, client in enumerate(clients):
        client.send(get(f"/{number}"))
        in_line(running, number + 1)


def test_a_server_never_has_more_requests_than_its_limit_and_those_in_line_come_in_as_they_came() -> None:
    """G2, G3: the first is with the server, three wait; each answer lets the next one in, on the same connection."""
    with world(1, {"s1": ONE}) as running, running.connect() as first:
        server = running.servers[0]
        hold(server)
        first.send(get("/first"))
        reached(running, server, 1)
        waiting = [running.connect() for _ in range(3)]
        ask_in_turn(running, waiting)
        assert server.paths == ["/first"]
        for number, client in enumerate([first, *waiting]):
            server.say(ANSWER, running)
            assert client.answer().status == 200
            reached(running, server, min(number + 2, 4))
        assert server.paths == ["/first", "/0", "/1", "/2"]
        assert running.loop.call(lambda: running.balancer.backends["s1"].serving_max) == 1
        assert len(server.connections) == 1
        for client in waiting:
            client.socket.close()


def test_who_waits_too_long_or_finds_the_line_full_is_told_to_come_back() -> None:
    """T3: nothing of both has reached a server."""
    with world(1, {"s1": ServerOptions(maxconn=1, maxqueue=1)}) as running, running.connect() as first:
        hold(running.servers[0])
        first.send(GET)
        reached(running, running.servers[0], 1)
        second = running.connect()
        ask_in_turn(running, [second])
        refused = running.ask(GET)
        assert b"too many requests wait" in refused.body
        second.reset()
        in_line(running, 0)
        running.hurry(queue_seconds=0.2)
        late = running.ask(GET)
        assert b"no server was free in time" in late.body
        for answer in (refused, late):
            assert (answer.status, answer.field("Retry-After"), answer.field("X-Not-Dispatched")) == (503, "1", "1")
        running.servers[0].say(ANSWER, running)
        assert first.answer().status == 200
        assert len(running.requests) == 1


def test_a_client_that_leaves_the_line_is_not_served() -> None:
    """G5."""
    with world(1, {"s1": ONE}) as running, running.connect() as first, running.connect() as third:
        server = running.servers[0]
        hold(server)
        first.send(get("/first"))
        reached(running, server, 1)
        second = running.connect()
        ask_in_turn(running, [second])
        third.send(get("/third"))
        in_line(running, 2)
        second.reset()
        in_line(running, 1)
        server.say(ANSWER, running)
        reached(running, server, 2)
        assert server.paths == ["/first", "/third"]
        server.say(ANSWER, running)
        assert third.answer().status == 200


def test_the_line_is_told_at_once_when_no_server_is_left() -> None:
    """G4: 503, long before the time to wait is over."""
    with world(1, {"s1": ONE}) as running, running.connect() as first, running.connect() as second:
        hold(running.servers[0])
        first.send(GET)
        reached(running, running.servers[0], 1)
        ask_in_turn(running, [second])
        backend = running.balancer.backends["s1"]
        running.loop.call(lambda: running.balancer.administer(backend, Admin.DRAIN))
        answer = second.answer()
        assert (answer.status, answer.field("Retry-After")) == (503, "1")
        running.servers[0].say(ANSWER, running)
        assert first.answer().status == 200


def test_a_large_body_that_waits_in_line_is_not_read_until_there_is_room() -> None:
    """T3, and all of it arrives then."""
    body = b"x" * 3_000_000
    head = b"POST /large HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % len(body)
    with world(1, {"s1": ONE}, body_bytes_max=10_000_000) as running, running.connect() as first:
        server = running.servers[0]
        hold(server)
        first.send(GET)
        reached(running, server, 1)
        with running.connect() as second:
            second.socket.settimeout(0.3)
            sent = 0
            try:
                second.send(head)
                while sent < len(body):
                    sent += second.socket.send(body[sent : sent + 65_536])
            except TimeoutError:
                pass
            in_line(running, 1)
            second.socket.settimeout(SECONDS_MAX)
            for _ in range(20):  # while the balancer is busy with others it could read on
                assert running.ask(get("/healthz")).status == 200
            (held,) = running.loop.call(lambda: [_body_of(ticket) for ticket in running.balancer.servers.line])
            assert held < 1_500_000
            server.script = lambda _: ok()
            server.say(ANSWER, running)
            assert first.answer().status == 200
            second.send(body[sent:])
            assert second.answer().status == 200
        assert server.requests[1].endswith(b"\r\n\r\n" + body)


def _body_of(ticket: object) -> int:
    assert isinstance(ticket, Exchange)
    return len(ticket._body)


def test_a_client_comes_back_to_its_server_until_that_is_gone() -> None:
    """C1, C2, K1, K2: the server never sees the cookie; a client whose server is down gets another one, and its cookie."""
    with world(3, cookie="SRV") as running:
        answer = running.ask(get("/", "Cookie: a=1"))
        cookie = str(answer.field("Set-Cookie"))
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax")
        assert answer.field("Cache-Control") == "private"
        name = cookie.partition(";")[0].removeprefix("SRV=")
        assert name == answer.field("X-Served-By")
        for _ in range(4):
            again = running.ask(get("/", f"Cookie: a=1; SRV={name}; b=2"))
            assert again.field("X-Served-By") == name
            assert again.field("Set-Cookie") is None
            assert b"\r\nCookie: a=1; b=2\r\n" in again.echoed
        running.loop.call(lambda: running.balancer.administer(running.balancer.backends[name], Admin.DRAIN))
        assert running.ask(get("/", f"Cookie: SRV={name}")).field("X-Served-By") == name
        assert running.ask(get("/")).field("X-Served-By") != name
        running.loop.call(lambda: running.balancer.administer(running.balancer.backends[name], Admin.MAINT))
        moved = running.ask(get("/", f"Cookie: SRV={name}"))
        assert moved.field("X-Served-By") != name
        assert str(moved.field("Set-Cookie")).startswith(f"SRV={moved.field('X-Served-By')};")
        for server in running.servers:
            server.script = lambda _: ok(fields=b"Set-Cookie: SRV=mine\r\n")
        unknown = running.ask(get("/", "Cookie: SRV=nobody"))
        assert str(unknown.field("Set-Cookie")).startswith("SRV=s")


def test_a_server_whose_requests_fail_is_ejected_but_never_all_are() -> None:
    """G6: both servers answer nothing but 500; one goes, the other one stays, and is back with a good check."""
    observed = ServerOptions(observe=Observe.LAYER7, error_limit=3, on_error=OnError.MARK_DOWN)
    slow = replace(QUICK_CHECK, inter_seconds=60.0, downinter_seconds=60.0, fastinter_seconds=60.0)
    with world(2, {"s1": observed, "s2": observed}, check=slow) as running:
        for server in running.servers:
            server.script = lambda _: [Send(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")]
        for _ in range(20):
            assert running.ask(GET).status == 500
        rows = running.loop.call(running.balancer.snapshot)
        assert sorted(row.word for row in rows) == ["DOWN", "UP"]
        assert sum(row.ejections for row in rows) == 1
        assert sum(row.ejections_denied for row in rows) >= 1
        ejected = next(row for row in rows if row.word == "DOWN")
        assert ejected.reason == "3 requests failed in a row: status 500"


def test_an_ejected_server_is_back_with_its_next_good_check() -> None:
    observed = ServerOptions(observe=Observe.LAYER7, error_limit=2, on_error=OnError.MARK_DOWN)
    with world(2, {"s1": observed}) as running:
        backend = running.balancer.backends["s1"]

        def twice_failed() -> Operation:
            running.balancer.answered(backend, 500)
            running.balancer.answered(backend, 500)
            return backend.health.operation

        assert running.loop.call(twice_failed) is Operation.DOWN
        running.until(lambda: backend.health.operation is Operation.UP, "a check brought it back")
        assert backend.tally.downs == 1


def test_a_failed_request_brings_the_next_check_forward() -> None:
    """The checks are a minute apart; one that a request gave a reason for comes at once."""
    observed = ServerOptions(observe=Observe.LAYER7, error_limit=1, on_error=OnError.FASTINTER)
    slow = replace(QUICK_CHECK, inter_seconds=60.0, fastinter_seconds=0.02)
    with world(1, {"s1": observed}, check=slow) as running:
        backend = running.balancer.backends["s1"]
        before = backend.check
        running.servers[0].script = lambda _: [Send(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")]
        assert running.ask(GET).status == 500
        running.until(lambda: backend.check is not before, "it was checked again")
        assert backend.health.operation is Operation.UP


def test_a_server_can_come_and_go_while_requests_run() -> None:
    """A server that is added gets requests after its first good check; one that is removed ends what it has."""
    with world(2) as running:
        spare = ScriptedServer("s3")
        running.loop.run(spare.listen())
        backends = running.balancer.backends
        address = replace(
            running.balancer.options.servers[0],
            name="s3",
            address=replace(backends["s1"].address, port=spare.port),
        )
        running.loop.call(lambda: running.balancer.add(address))
        running.until(lambda: running.balancer.ready_servers == 3, "the new one is UP")
        assert {running.ask(GET).field("X-Served-By") for _ in range(3)} == {"s1", "s2", "s3"}
        hold(running.servers[0])
        clients = [running.connect() for _ in range(3)]
        for client in clients:
            client.send(GET)
        running.until(lambda: len(backends["s1"].serving) == 1, "one of them is with the first server")
        running.loop.call(lambda: running.balancer.remove("s1"))
        assert {running.ask(GET).field("X-Served-By") for _ in range(4)} == {"s2", "s3"}
        running.until(lambda: len(running.servers[0].paths) == 2, "the first server has it")
        running.servers[0].say(ANSWER, running)
        assert [client.answer().status for client in clients] == [200, 200, 200]
        for client in clients:
            client.socket.close()
