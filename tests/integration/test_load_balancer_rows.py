"""The tables of malformed requests and answers on real sockets: what reaches a server, and what a second client sees."""

from collections.abc import Iterator

import pytest

from tests.load_balancer_clients_world import Incomplete
from tests.load_balancer_world import Close, Reset, Script, Send, Silence, World, echo, ok, world
from tests.unit.test_load_balancer_requests import ROWS as REQUEST_ROWS
from tests.unit.test_load_balancer_requests import Row
from tests.unit.test_load_balancer_responses import ROWS as RESPONSE_ROWS
from tests.unit.test_load_balancer_responses import Row as AnswerRow

CLEAN = b"GET /clean HTTP/1.1\r\nHost: shop\r\n\r\n"


@pytest.fixture(scope="module")
def world_of_one() -> Iterator[World]:
    with world(1, body_bytes_max=1_000) as running:
        yield running


@pytest.fixture
def one_server(world_of_one: World) -> World:
    """It echoes, whatever the test before made of it."""
    world_of_one.servers[0].script = echo
    return world_of_one


@pytest.mark.parametrize("piece", [None, 1], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("row", [row for row in REQUEST_ROWS if row.status], ids=lambda row: row.name)
def test_a_refused_request_reaches_no_server_and_harms_no_other_client(
    one_server: World, row: Row, piece: int | None
) -> None:
    """F3, D2: one answer, then the end; a second connection is served as if nothing had been."""
    if piece and len(row.data) > 5_000:
        piece = 997
    server = one_server.servers[0]
    server.requests.clear()
    with one_server.connect() as attacker:
        attacker.send(row.data, piece)
        if row.eof:
            attacker.end()
        answer = attacker.answer()
        while answer.status == 200:
            answer = attacker.answer()
        assert answer.status == row.status
        assert answer.field("Connection") == "close"
        assert answer.field("X-Not-Dispatched") == "1"
        assert answer.field("Content-Type") == "application/problem+json"
        assert attacker.closed()
    assert b"GET /clean " in one_server.ask(CLEAN).echoed
    refused_part = [path for path in server.paths if path not in ("/before", "/clean")]
    assert refused_part == (["/p"] if row.name.startswith("P03") else [])
    assert server.stray == []


@pytest.mark.parametrize("piece", [None, 1], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("row", [row for row in REQUEST_ROWS if not row.status], ids=lambda row: row.name)
def test_an_accepted_request_arrives_once_with_one_meaning(one_server: World, row: Row, piece: int | None) -> None:
    """W1: exactly one framing, the body decoded, no extension and no trailer."""
    if piece and len(row.data) > 5_000:
        piece = 997
    server = one_server.servers[0]
    server.requests.clear()
    with one_server.connect() as client:
        client.send(row.data, piece)
        for _ in range(row.requests):
            answer = client.answer(for_head=row.data.startswith(b"HEAD"))
            while answer.status == 100:
                answer = client.answer()
            assert answer.status in (200, 204)
    if row.data.startswith(b"OPTIONS *"):
        assert answer.status == 204
        assert server.requests == []
        return
    assert len(server.requests) == row.requests
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == row.body
    lowered = head.lower()
    assert b"transfer-encoding" not in lowered
    assert lowered.count(b"content-length") == (1 if head.startswith(b"POST") else 0)
    assert lowered.count(b"\r\nhost: ") == 1
    assert b"expect" not in lowered
    assert server.stray == []


def script_of(row: AnswerRow) -> Script:
    return [Send(row.data), Close() if row.eof else Silence()]


@pytest.mark.parametrize(
    "row", [row for row in RESPONSE_ROWS if row.name != "U04 nothing at all"], ids=lambda row: row.name
)
def test_what_a_server_sends_wrongly_is_never_passed_on_as_right(one_server: World, row: AnswerRow) -> None:
    """A2, A3, U2, X2: a clean answer only if it was one; and the next client gets its own answer."""
    server = one_server.servers[0]
    server.script = lambda request: ok(b"clean") if b"/clean" in request else script_of(row)
    method = b"HEAD" if row.for_head else b"POST"
    with one_server.connect() as client:
        client.send(method + b" /odd HTTP/1.1\r\nHost: shop\r\n\r\n")
        if row.broken:
            try:
                answer = client.answer()
            except Incomplete:
                assert row.body  # the head and a part had been passed on before the answer broke
            else:
                assert answer.status == 502
                assert answer.field("X-Not-Dispatched") is None
        else:
            answer = client.answer(for_head=row.for_head)
            assert (answer.status, answer.body) == (row.status, row.body)
            assert answer.field("Connection") in (None, "close")
    assert one_server.ask(CLEAN).body == b"clean"


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ([Reset()], 502),
        ([Close()], 502),
        ([Send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), Reset()], 0),
        ([Send(b"HTTP/1.1 200 OK\r\n\r\nhello"), Reset()], 0),
    ],
    ids=["reset", "closed", "reset in the body", "reset in a body that lasts until the end"],
)
@pytest.mark.parametrize("minor", [0, 1])
def test_an_answer_that_was_cut_off_never_looks_whole(
    one_server: World, script: Script, status: int, minor: int
) -> None:
    """X2, for HTTP/1.0 too, where only the connection's end can tell."""
    one_server.servers[0].script = lambda _: script
    request = b"POST /cut HTTP/1.%d\r\nHost: shop\r\n\r\n" % minor
    if status:
        assert one_server.ask(request).status == status
    else:
        with pytest.raises((Incomplete, ConnectionResetError)):
            one_server.ask(request)
