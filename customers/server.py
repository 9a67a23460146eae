"""The WSGI server, chosen here and nowhere else: waitress, one process, so that killing it kills the instance.

V1  The port is bound before anything is said to be started; a taken port is one clear line and exit code 70.
V2  Health pages have a thread of their own: they answer while every other thread waits for the database.
V3  SIGTERM and SIGINT drain (see draining.py) and end with 0; a second signal ends at once.
V4  Nothing is in flight when no request is waiting or worked on and every answer has left our buffers.
"""

import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from flask import Flask
from waitress import create_server, wasyncore
from waitress.task import ThreadedTaskDispatcher

from customers.draining import Draining

HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
LOOP_SECONDS_MAX = 0.25  # how late a signal may be noticed; chosen
CONNECTIONS_MAX = 1_000  # kept open by the load balancer, mostly idle
HEADER_BYTES_MAX = 32_768  # RFC 9110 names no number; 8 KB lines and a few of them
EXIT_NOW = 130  # the second signal: cut off, as a shell reports an interrupted program

logger = logging.getLogger(__name__)


class _Lanes:
    """Two groups of threads behind waitress's one interface (V2)."""

    def __init__(self, shop: ThreadedTaskDispatcher, health: ThreadedTaskDispatcher) -> None:
        self._shop = shop
        self._health = health

    def add_task(self, channel: Any) -> None:
        first = channel.requests[0] if channel.requests else None
        lane = self._health if first is not None and getattr(first, "path", "") in HEALTH_PATHS else self._shop
        lane.add_task(channel)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 1) -> bool:
        self._health.shutdown(cancel_pending, timeout)
        return bool(self._shop.shutdown(cancel_pending, timeout))


class Server:
    """One listening socket and its threads."""

    def __init__(self, app: Flask, host: str, port: int, threads: int, body_bytes_max: int) -> None:
        """Binds; raises OSError when the port is taken (V1)."""
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full queue is a metric, not a line a request
        self._channels: dict[int, Any] = {}
        self._server = create_server(
            app,
            map=self._channels,
            host=host,
            port=port,
            threads=threads,
            ident=None,
            connection_limit=CONNECTIONS_MAX,
            max_request_header_size=HEADER_BYTES_MAX,
            max_request_body_size=body_bytes_max,
            clear_untrusted_proxy_headers=False,  # the load balancer's; ProxyFix reads them
            expose_tracebacks=False,
        )
        health = ThreadedTaskDispatcher()
        health.set_thread_count(1)
        self._server.task_dispatcher = _Lanes(self._server.task_dispatcher, health)

    def in_flight(self) -> int:
        """How many connections have a request or an unsent answer (V4)."""
        channels = list(self._server.active_channels.values())
        return sum(1 for channel in channels if channel.requests or channel.total_outbufs_len)

    def serve(self, may_stop: Callable[[], bool]) -> None:
        """Until ``may_stop``, asked several times a second."""
        while not may_stop():
            wasyncore.loop(timeout=LOOP_SECONDS_MAX, use_poll=True, map=self._channels, count=1)
        self._server.task_dispatcher.shutdown()
        wasyncore.close_all(self._channels)


def run(server: Server, draining: Draining) -> None:
    """Serve until a signal, then drain (V3)."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if draining.is_draining:
            os._exit(EXIT_NOW)
        draining.begin(time.monotonic())
        logger.info("draining after %s", signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    server.serve(lambda: draining.may_stop(time.monotonic(), server.in_flight()))
    logger.info("stopped")
