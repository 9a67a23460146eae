"""What open connections cost while nothing happens on them, each after one request of its own."""

import resource
import socket
from contextlib import ExitStack
from typing import Any

from bench.balancer.programs import Program

_HEAD = b"GET /varied?%d HTTP/1.1\r\nHost: shop.example\r\nCookie: session=%d%b\r\n\r\n"
_BATCH = 50


def idle_connections(program: Program, count: int) -> dict[str, Any]:
    """Resident memory before, and with ``count`` connections that were answered once and wait."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + 500)), hard))
    before = program.rss_mb()
    with ExitStack() as stack:
        for start in range(0, count, _BATCH):
            numbers = range(start, start + _BATCH)
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", program.port), 5)) for _ in numbers]
            for number, client in zip(numbers, clients, strict=True):
                client.sendall(_HEAD % (number, number, b"c" * 600))
            for client in clients:
                _read_answer(client)
        figures = {"connections": count, "rss_mb_before": round(before, 1), "rss_mb": round(program.rss_mb(), 1)}
    print(f"idle: {program.name}: {figures}")
    return figures


def _read_answer(client: socket.socket) -> None:
    data = b""
    while b"</p>" not in data:
        received = client.recv(65_536)
        if not received:
            raise RuntimeError(f"a connection ended before it was idle: {data[:200]!r}")
        data += received
