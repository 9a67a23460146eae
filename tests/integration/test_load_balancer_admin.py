"""The operator's pages: health, metrics, states; and who may change them."""

import json
from collections.abc import Iterator

import pytest

from load_balancer.options import Address
from tests.load_balancer_world import Answer, RawClient, World, free_port, world

TOKEN = "a-token-for-tests"
GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"


class Operator:
    """Asks the admin port."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str) -> Answer:
        return self._ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    def set_state(self, name: str, body: bytes, token: str | None = TOKEN) -> Answer:
        authorization = "" if token is None else f"Authorization: Bearer {token}\r\n"
        head = f"POST /servers/{name}/state HTTP/1.1\r\nHost: a\r\n{authorization}Content-Length: {len(body)}\r\n\r\n"
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
