"""The server itself, on a real socket: connections that live on, and answers at once that are those of the usual way."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, event

from customers.instance import instance_of
from customers.serving.server import Server
from customers.serving.stock_at_once import StockAtOnce
from customers.serving.wsgi import Answer
from customers.turned_away import TURNED_AWAY
from tests.conftest import free_port
from tests.customers_world import make_app, make_runtime
from tests.distributor_world import World, make_world

pytestmark = pytest.mark.asks_the_instance("bytes on its socket")

OF_A_BODY = {"content-type", "content-length"}
NUMBER = "request-number-1"


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [5, 3, 0, 40] * 24, customers=0)


@dataclass
class Served:
    """A server in a thread; ``answered``: the status of each answer at once, ``by_head``: the heads known from before."""

    port: int
    answered: list[str]
    by_head: list[bytes]

    def send(self, *requests: bytes) -> list[tuple[bytes, list[bytes]]]:
        """One after the other on one connection, each in one packet; of each answer (304) the first line and the fields."""
        answers = []
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            for request in requests:
                connection.sendall(request)
                got = b""
                while not got.endswith(b"\r\n\r\n"):
                    got += connection.recv(65_536)
                line, *fields = got.removesuffix(b"\r\n\r\n").split(b"\r\n")
                answers.append((line, sorted(field for field in fields if not field.startswith(b"date"))))
        return answers

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        found = (answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        connection.close()
        return found


@contextmanager
def serving(app: Flask, *, at_once: bool = True) -> Iterator[Served]:
    """What was read is fresh for as long as the test takes, however slow the machine is."""
    instance = instance_of(app)
    instance.shop.window.stock._seconds = 60.0
    answers = StockAtOnce(instance)
    answered: list[str] = []
    by_head: list[bytes] = []
    port = free_port()

    def noted(scope: object) -> Answer | None:
        answer = answers(scope) if at_once else None
        if answer is not None:
            answered.append(str(answer.status))
        return answer

    def again(head: bytes) -> bytes | None:
        answer = answers.again(head) if at_once else None
        if answer is not None:
            by_head.append(head)
        return answer

    server = Server(app, host="127.0.0.1", port=port, threads=4, body_bytes_max=10_000, at_once=noted, by_head=again)
    stop = threading.Event()
    thread = threading.Thread(target=server.serve, args=(stop.is_set,))
    thread.start()
    try:
        yield Served(port, answered, by_head)
    finally:
        stop.set()
        thread.join(60)


@pytest.fixture
def app(database_url: str, world: World, tmp_path: Path) -> Iterator[Flask]:
    app = make_app(make_runtime(tmp_path / "state", database_url))
    yield app
    instance_of(app).close()


@pytest.fixture
def served(app: Flask) -> Iterator[Served]:
    with serving(app) as served:
        yield served


def path_of(world: World, number: int) -> str:
    return "/stock?ids=" + ",".join(str(stock_id) for stock_id in world.stock[:number])


def test_an_answer_at_once_is_that_of_the_usual_way(app: Flask, served: Served, world: World) -> None:
    """O1, for a body, for none, and for a validator among others."""
    usual = app.test_client()
    path = path_of(world, 3)
    served.ask(path)
    tag = served.ask(path)[1]["etag"]
    for validator in (None, tag, f'"other", {tag}', tag.removeprefix("W/"), "*", '"other"', "rubbish"):
        headers = {"X-Request-Id": NUMBER, "Accept-Encoding": "gzip"}
        headers |= {"If-None-Match": validator} if validator else {}
        served.answered.clear()
        mine = served.ask(path, **headers)
        theirs = usual.get(path, headers=headers)
        assert served.answered == [str(mine[0])], "answered at once"
        assert (mine[0], mine[2]) == (theirs.status_code, theirs.data)
        wanted = {name.lower(): value for name, value in theirs.headers.items() if name != "Date"}
        if theirs.status_code == 304:  # the server takes them from an answer that has no body
            wanted = {name: value for name, value in wanted.items() if name not in OF_A_BODY}
        assert {name: value for name, value in mine[1].items() if name != "date"} == wanted


def open_page(path: str, tag: str, number: str, *more: str) -> bytes:
    """What the load balancer sends for one."""
    lines = [f"GET {path} HTTP/1.1", "Host: shop", "Accept-Encoding: gzip", f"If-None-Match: {tag}", *more]
    lines += ["X-Forwarded-For: 10.0.0.1", f"X-Request-Id: {number}", f"traceparent: 00-{number}-01", "", ""]
    return "\r\n".join(lines).encode()


def test_a_head_that_is_known_gets_the_same_answer(served: Served, world: World) -> None:
    """O4: whatever number it has."""
    path = path_of(world, 3)
    served.ask(path)
    tag = served.ask(path)[1]["etag"]
    first, second, third = served.send(*(open_page(path, tag, f"request-number-{n}") for n in range(3)))
    assert len(served.by_head) == 2, "the first one taught it"
    assert first[0] == second[0] == third[0] == b"HTTP/1.1 304 Not Modified"
    for n, (_line, fields) in enumerate((first, second, third)):
        assert b"x-request-id: request-number-%d" % n in fields
        assert [field.replace(b"number-%d" % n, b"number-0") for field in fields] == first[1]


def test_a_head_that_differs_is_read(served: Served, world: World) -> None:
    """O4, C5: another validator, a field of the connection, two of one name, another spelling, two requests in one packet."""
    path, other = path_of(world, 3), path_of(world, 2)
    served.ask(path)
    tag, _other = served.ask(path)[1]["etag"], served.ask(other)
    known = open_page(path, tag, NUMBER)
    served.send(known, known)
    assert len(served.by_head) == 1
    for fields in (
        "Connection: close",
        "X-Request-Id: another-number",
        "If-None-Match: *",
        "x-request-id: another-number",
    ):
        served.by_head.clear()
        unknown = open_page(path, tag, NUMBER, fields)
        for _time in range(2):
            assert served.send(unknown)[0][0] == b"HTTP/1.1 304 Not Modified"
        assert served.by_head == [], fields
    assert served.ask(path, **{"If-None-Match": 'W/"other"', "X-Request-Id": NUMBER})[0] == 200
    served.by_head.clear()
    assert served.send(known + known)[0][0] == b"HTTP/1.1 304 Not Modified"
    assert served.by_head == []


def test_a_head_in_a_body_is_no_request(served: Served, world: World) -> None:
    """C5: what comes between the parts of a request is its body, whatever it looks like."""
    path = path_of(world, 3)
    served.ask(path)
    known = open_page(path, served.ask(path)[1]["etag"], NUMBER)
    served.send(known, known)
    served.by_head.clear()
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n" % (2 * len(known)))
        for _time in range(2):
            connection.sendall(known)
        assert connection.recv(100).startswith(b"HTTP/1.1 404")
    assert served.by_head == []


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("HEAD", "{known}", {}),
        ("POST", "{known}", {}),
        ("GET", "{known}&x=1", {}),
        ("GET", "{known}&ids=1", {}),
        ("GET", "{many}", {}),
        ("GET", "/stock?ids=x", {}),
        ("GET", "/stock?ids=999999", {}),
        ("GET", "/stock", {}),
        ("GET", "/stock/", {}),
    ],
)
def test_what_is_out_of_the_ordinary_takes_the_usual_way(
    served: Served, world: World, method: str, path: str, headers: dict[str, str]
) -> None:
    """O3"""
    known, many = path_of(world, 3), path_of(world, 96)
    served.ask(known)
    served.ask(many)
    served.answered.clear()
    served.ask(path.format(known=known, many=many), method, **headers)
    assert served.answered == []


def test_where_carts_hold_a_visitor_with_cookies_takes_the_usual_way(
    database_url: str, world: World, tmp_path: Path
) -> None:
    """O3: what one holds oneself is one's own to buy."""
    app = make_app(make_runtime(tmp_path / "holding", database_url, cart={"hold_seconds": 60}))
    with serving(app) as served:
        path = path_of(world, 3)
        for cookie, expected in ((None, []), (None, ["200"]), ("visitor=x", ["200"])):
            served.ask(path, **({"Cookie": cookie} if cookie else {}))
            assert served.answered == expected


def test_a_connection_outlives_answers_without_a_body(app: Flask, world: World) -> None:
    """V4, in the usual way and at once."""
    for at_once in (False, True):
        with serving(app, at_once=at_once) as served:
            tag = served.ask(path_of(world, 2))[1]["etag"]
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
            connection.connect()
            opened = connection.sock
            for _time in range(3):
                connection.request("GET", path_of(world, 2), headers={"If-None-Match": tag})
                answer = connection.getresponse()
                assert (answer.status, answer.read(), answer.getheader("Connection")) == (304, b"", None)
                assert connection.sock is opened
            connection.close()


def test_requests_of_one_packet_are_answered_in_their_order(served: Served, world: World) -> None:
    """V5: also when one that could be answered at once stands behind, or before, one that could not."""
    quick, slow = path_of(world, 2), "/healthz"
    served.ask(quick)
    for paths in ((quick, slow, quick), (slow, quick, slow), (quick, quick)):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        connection.connect()
        connection.sock.sendall(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths))
        with connection.sock.makefile("rb") as answers:
            for path in paths:
                assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
                head = http.client.parse_headers(answers)
                body = answers.read(int(head["Content-Length"]))
                assert (b"alive" in body) is (path == slow), paths
        connection.close()


def test_quantities_are_told_at_once_while_all_threads_wait(served: Served, world: World, engine: Engine) -> None:
    """O2"""
    path = path_of(world, 2)
    with engine.connect() as blocker:
        served.ask(path)
        blocker.exec_driver_sql("LOCK TABLE stock IN ACCESS EXCLUSIVE MODE")
        waiting = [threading.Thread(target=served.ask, args=(f"/product/{n}",)) for n in world.stock[:4]]
        for thread in waiting:
            thread.start()
        assert served.ask(path)[0] == 200
        assert served.answered
        blocker.rollback()
        for thread in waiting:
            thread.join(60)


def test_who_is_turned_away_is_told_so_in_the_shops_words_without_the_database(app: Flask, engine: Engine) -> None:
    """V8: all threads wait for the database; so would whoever asked it who is asking."""
    shop = instance_of(app)
    shop.engine.dispose()
    asked: list[object] = []
    event.listen(shop.engine, "checkout", lambda *_: asked.append(1))
    client = app.test_client()
    client.set_cookie("session", "x" * 43)
    page = client.get("/orders", environ_overrides={TURNED_AWAY: True}, headers={"Accept-Language": "pl"})
    assert (page.status_code, page.headers["Retry-After"], page.headers["X-Served-By"]) == (503, "1", "web-1")
    assert "W\xa0sklepie jest teraz zbyt wiele osób" in page.text
    bearer = {"Authorization": f"Bearer {'x' * 43}"}
    told = client.post("/api/v1/orders", environ_overrides={TURNED_AWAY: True}, headers=bearer)
    assert (told.status_code, told.headers["Retry-After"]) == (503, "1")
    assert told.json is not None
    assert told.json["type"] == "urn:cds:problem:busy"
    assert asked == []


def test_a_body_that_is_too_long_is_refused_in_the_shops_words(served: Served) -> None:
    status, headers, body = served.ask(
        "/api/v1/session", "POST", Content_Type="application/json", Content_Length="600000"
    )
    assert (status, headers["content-type"], headers["connection"]) == (413, "application/problem+json", "close")
    assert b"urn:cds:problem:body-too-large" in body
