"""The operator's pages: health, metrics, states; and who may change them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from load_balancer.options import Address
from tests.conftest import free_port
from tests.load_balancer_clients_world import Answer, RawClient
from tests.load_balancer_world import Silence, World, world

TOKEN = "a-token-for-tests"
GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"


class Operator:
    """Asks the admin port."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str) -> Answer:
        return self._ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    def set_state(self, name: str, body: bytes, token: str | None = TOKEN) -> Answer:
        return self.call("POST", f"/servers/{name}/state", body, token)

    def change(self, method: str, name: str, **words: object) -> tuple[int, dict[str, Any]]:
        answer = self.call(method, f"/servers/{name}", json.dumps(words).encode() if method != "DELETE" else b"")
        return answer.status, json.loads(answer.body)

    def call(self, method: str, path: str, body: bytes = b"", token: str | None = TOKEN) -> Answer:
        authorization = "" if token is None else f"Authorization: Bearer {token}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: a\r\n{authorization}Content-Length: {len(body)}\r\n\r\n"
        return self._ask(head.encode() + body)

    def _ask(self, data: bytes) -> Answer:
        with RawClient(self._port) as client:
            client.send(data)
            return client.answer()


@pytest.fixture
def administered() -> Iterator[tuple[World, Operator]]:
    port = free_port()
    with world(2, admin=Address("127.0.0.1", port), control_token=TOKEN) as running:
        yield running, Operator(port)


def test_ready_while_one_server_is_up(administered: tuple[World, Operator]) -> None:
    running, operator = administered
    assert operator.get("/healthz").status == 200
    assert json.loads(operator.get("/readyz").body) == {"ready": True, "reason": "2 of 2 servers are ready"}
    for server in running.servers:
        server.check_status = 503
    running.until(lambda: running.balancer.ready_servers == 0, "no server is ready")
    assert operator.get("/readyz").status == 503
    assert operator.get("/healthz").status == 200


def test_not_ready_while_draining(administered: tuple[World, Operator]) -> None:
    running, operator = administered
    running.loop.call(running.balancer.drain)
    answer = operator.get("/readyz")
    assert (answer.status, json.loads(answer.body)["reason"]) == (503, "draining")


def test_the_table_of_servers_and_the_metrics_show_what_happened(administered: tuple[World, Operator]) -> None:
    running, operator = administered
    for _ in range(4):
        assert running.ask(GET).status == 200
    assert running.ask(GET.replace(b"/a", b"/metrics")).status == 404
    table = json.loads(operator.get("/servers").body)
    assert [(row["name"], row["state"], row["requests"], row["responses"]["2xx"]) for row in table] == [
        ("s1", "UP", 2, 2),
        ("s2", "UP", 2, 2),
    ]
    page = operator.get("/metrics").body.decode()
    assert 'load_balancer_responses_total{server="s1",code="2xx"} 2' in page
    assert 'load_balancer_response_seconds_count{server="s2"} 2' in page
    assert 'load_balancer_replies_total{code="404"} 1' in page
    for line in page.splitlines():
        assert line.startswith("#") or float(line.rpartition(" ")[2]) >= 0


def test_an_operator_drains_a_server_and_takes_it_back(administered: tuple[World, Operator]) -> None:
    running, operator = administered
    assert operator.set_state("s1", b'{"state": "drain"}').status == 200
    assert [running.ask(GET).status for _ in range(4)] == [200] * 4
    assert [len(server.requests) for server in running.servers] == [0, 4]
    assert json.loads(operator.get("/servers").body)[0]["state"] == "DRAIN"
    assert operator.set_state("s1", b'{"state": "ready"}').status == 200
    assert running.balancer.ready_servers == 2


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", "\xe9"])
def test_states_change_only_with_the_token(administered: tuple[World, Operator], token: str | None) -> None:
    running, operator = administered
    assert operator.set_state("s1", b'{"state": "drain"}', token).status == 401
    assert running.balancer.ready_servers == 2


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("s3", b'{"state": "drain"}', 404),
        ("s1", b"", 422),
        ("s1", b"[]", 422),
        ("s1", b'{"state": "up"}', 422),
        ("s1", b'{"state": []}', 422),
        ("s1", b"\xff", 422),
        ("s1", b"[" * 4_000, 422),
        ("s1", b"a" * 5_000, 413),
    ],
)
def test_bad_orders_change_nothing(administered: tuple[World, Operator], name: str, body: bytes, status: int) -> None:
    running, operator = administered
    assert operator.set_state(name, body).status == status
    assert running.balancer.ready_servers == 2


def test_servers_are_added_changed_and_removed_while_clients_ask(administered: tuple[World, Operator]) -> None:
    """Each call may be repeated; who is with a server that goes is answered."""
    running, operator = administered
    first, second = running.servers
    first.script = lambda _: [Silence()]
    with running.connect() as waiting:
        waiting.send(GET)
        running.until(lambda: first.requests, "a request is with the first server")
        for expected in (201, 200):
            status, row = operator.change("PUT", "s3", address=f"127.0.0.1:{second.port}", weight=7, maxconn=5)
            assert (status, row["weight"], row["maxconn"]) == (expected, 7, 5)
        running.until(lambda: running.balancer.ready_servers == 3, "the new server passed a check")
        events = len(json.loads(operator.get("/events").body))
        assert operator.change("PATCH", "s3", weight=7)[0] == 200
        assert len(json.loads(operator.get("/events").body)) == events
        assert operator.change("PUT", "s3")[1]["maxconn"] == 0

        status, problem = operator.change("DELETE", "s1")
        assert (status, problem["detail"]) == (409, "state: it is ready; a server is removed only in maint")
        assert operator.set_state("s1", b'{"state": "maint"}').status == 200
        status, problem = operator.change("DELETE", "s1")
        assert (status, problem["detail"].partition(":")[0]) == (409, "in_flight")
        first.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone", running)
        assert waiting.answer().body == b"done"
    assert operator.change("DELETE", "s1")[0] == 200
    assert operator.change("DELETE", "s1")[0] == 404
    assert [running.ask(GET).status for _ in range(8)] == [200] * 8
    assert [row["name"] for row in json.loads(operator.get("/servers").body)] == ["s2", "s3"]


def test_a_server_moves_to_another_address_while_it_answers(administered: tuple[World, Operator]) -> None:
    """No request goes to the old address any more, on an idle connection neither; what is there is answered."""
    running, operator = administered
    first, second = running.servers
    assert operator.set_state("s2", b'{"state": "maint"}').status == 200
    assert running.ask(GET).status == 200
    first.script = lambda _: [Silence()]
    with running.connect() as waiting:
        waiting.send(GET)
        running.until(lambda: len(first.requests) == 2, "a request is at the old address")
        assert operator.change("PATCH", "s1", address=f"127.0.0.1:{second.port}")[0] == 200
        assert running.ask(GET).status == 200
        first.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone", running)
        assert waiting.answer().body == b"done"
    assert (len(first.requests), len(second.requests)) == (2, 1)
    running.until(lambda: not first.connections, "no connection is kept to the old address")


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("PUT", "/servers/s9", b"{}", (422, "address")),
        ("PUT", "/servers/s%209", b'{"address": "127.0.0.1:1"}', (422, "name")),
        ("PATCH", "/servers/s1", b'{"weight": 257}', (422, "weight")),
        ("PATCH", "/servers/s1", b'{"cookie": "s2"}', (422, "cookie")),
        ("PATCH", "/servers/s9", b'{"weight": 2}', (404, "no server of this name")),
        ("PATCH", "/servers/s1", b"{", (422, "body")),
        ("POST", "/servers/s1", b"{}", (405, "only GET, HEAD, PUT, PATCH, DELETE")),
        ("DELETE", "/servers/s1/state", b"", (405, "only POST")),
        ("GET", "/servers/s1/weight", b"", (404, "known paths")),
        ("POST", "/reload", b"", (422, "no file to read again")),
        ("GET", "/reload", b"", (405, "only POST")),
    ],
)
def test_bad_calls_name_what_is_wrong_and_change_nothing(
    administered: tuple[World, Operator], method: str, path: str, body: bytes, expected: tuple[int, str]
) -> None:
    running, operator = administered
    status, named = expected
    before = running.loop.call(running.balancer.configured)
    answer = operator.call(method, path, body)
    assert (answer.status, answer.field("Content-Type")) == (status, "application/problem+json")
    assert json.loads(answer.body)["detail"].startswith(named) or named in json.loads(answer.body)["detail"]
    assert running.loop.call(running.balancer.configured) == before
    assert operator.call(method, path, body, None).status in (401, 404, 405)


def test_every_change_of_a_state_is_an_event_with_its_reason(administered: tuple[World, Operator]) -> None:
    """On the page, in JSON and among the metrics."""
    running, operator = administered
    assert operator.set_state("s1", b'{"state": "drain"}').status == 200
    running.servers[1].check_status = 503
    running.until(lambda: running.balancer.ready_servers == 0, "no server is ready")
    events = json.loads(operator.get("/events").body)
    assert [(event["server"], event["before"], event["after"], event["ready"]) for event in events[:2]] == [
        ("s2", "UP", "NOLB", 0),
        ("s1", "UP", "DRAIN", 1),
    ]
    assert events[0]["reason"] == "GET /readyz was answered with 503"
    page = operator.get("/stats")
    assert page.field("Content-Type") == "text/html; charset=utf-8"
    assert "set to drain by an operator" in page.body.decode()
    assert 'transitions_total{server="s1",state="DRAIN"} 1' in operator.get("/metrics").body.decode()
    assert operator.get("/stats;csv").body.startswith(b"# pxname,svname,")
    assert operator.get("/").field("Location") == "/stats"


def test_unknown_pages_and_methods_are_refused(administered: tuple[World, Operator]) -> None:
    _, operator = administered
    assert operator.get("/nothing").status == 404
    assert operator.get("/servers/s1/state").status == 405


def test_without_a_token_nothing_can_be_changed() -> None:
    port = free_port()
    with world(1, admin=Address("127.0.0.1", port)) as running:
        assert Operator(port).set_state("s1", b'{"state": "drain"}', "").status == 403
        assert running.balancer.ready_servers == 1
