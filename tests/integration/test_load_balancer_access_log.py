"""The access log of a running balancer: every answer has its line, whoever made it and however it ended."""

import json
from pathlib import Path
from typing import Any

from load_balancer.options import AccessLogOptions
from tests.load_balancer_world import Close, Send, Silence, ok, world

GET = b"GET /a?token=x HTTP/1.1\r\nHost: shop\r\n\r\n"


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_answer_has_a_line_with_the_request_id_that_its_client_got(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with world(1, access_log=AccessLogOptions(path, "json")) as running:
        good = running.ask(GET)
        hidden = running.ask(GET.replace(b"/a", b"/metrics"))
        refused = running.ask(b"nonsense\r\n\r\n")
        head = running.ask(GET.replace(b"GET", b"HEAD"), for_head=True)
        running.servers[0].script = lambda _: [Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), Close()]
        with running.connect() as client:
            client.send(GET)
            assert client.rest().endswith(b"half")
        running.servers[0].script = lambda _: [Silence()]
        with running.connect() as client:
            client.send(GET)
            running.until(lambda: running.servers[0].requests[3:], "the request is with the server")
            client.reset()
        running.until(lambda: not running.balancer.clients, "the client is gone")
    lines = lines_of(path)
    assert [(line["status"], line["server"], line["outcome"]) for line in lines] == [
        (200, "s1", "complete"),
        (404, "load_balancer", "complete"),
        (400, "load_balancer", "complete"),
        (200, "s1", "complete"),
        (200, "s1", "cut off by the server"),
        (499, "s1", "the client went away"),
    ]
    assert [line["bytes"] for line in lines] == [len(good.body), len(hidden.body), len(refused.body), 0, 4, 0]
    assert [line["request_id"] for line in lines[:4]] == [
        answer.field("X-Request-Id") for answer in (good, hidden, refused, head)
    ]
    assert lines[0]["target"] == "/a?token=***"
    assert 0 < lines[0]["seconds"] < 60
    assert lines[0]["trace_id"] in good.echoed.decode("latin-1")


def test_bytes_are_counted_both_ways(tmp_path: Path) -> None:
    with world(1) as running:
        running.servers[0].script = lambda _: ok(b"x" * 5_000)
        answer = running.ask(b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 3000\r\n\r\n" + b"y" * 3_000)
        traffic = running.balancer.backends["s1"].traffic
        assert traffic.bytes_in == len(running.requests[0])
        assert traffic.bytes_out == len(answer.head) + len(b"\r\n\r\n") + 5_000
