"""Positive controls: with a protection taken away, what the other tests look for does happen."""

import pytest

from load_balancer.balancing import retries
from load_balancer.proxy import frontend
from load_balancer.proxy.upstream import Upstream
from tests.load_balancer_world import Reset, Send, ok, world

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"


def test_a_balancer_that_repeats_posts_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control of Y2: two servers get the same POST."""
    monkeypatch.setattr(retries, "REPEATABLE", retries.REPEATABLE | {b"POST"})
    with world(2) as running:
        for server in running.servers:
            server.script = lambda _: [Reset()]
        assert running.ask(POST).status == 502
        assert len(running.requests) == 2


def test_a_balancer_that_keeps_a_connection_with_bytes_left_over_would_be_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Control of U2: the next client gets an answer that was meant for nobody."""

    def keep(upstream: Upstream, now: float, *, reusable: bool) -> None:
        upstream._receiver = None
        upstream.pool.give(upstream, now)

    monkeypatch.setattr(Upstream, "release", keep)
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    with world(1) as running:
        running.servers[0].script = lambda _: [*ok(b"mine"), Send(poison)]
        assert running.ask(GET).body == b"mine"
        assert running.ask(GET).body == b"poison"


def test_a_balancer_that_ends_cut_answers_cleanly_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control of X2: for a body that lasts until the end of the connection, half of it looks whole."""
    monkeypatch.setattr(frontend, "reset", lambda transport: transport.close())
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    with world(1) as running:
        running.servers[0].script = lambda _: [Send(cut), Reset()]
        assert running.ask(b"POST /p HTTP/1.0\r\nHost: shop\r\n\r\n").body in (b"", b"hello")
