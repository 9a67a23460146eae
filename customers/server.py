"""The WSGI server, chosen here and nowhere else: waitress, one process, so that killing it kills the instance.

V1  The port is bound before anything is said to be started; a taken port is one clear line and exit code 70.
V2  Health pages have a thread of their own: they answer while every other thread waits for the database.
V3  SIGTERM and SIGINT drain (see draining.py) and end with 0; a second signal ends at once.
V4  A connection outlives an answer without a body (204, 304): such an answer ends with its head (RFC 9112, 6.3).
V5  What can be answered without waiting is answered by the thread that reads the connections: handing a request to
    another thread and waking up again for its answer costs more than such an answer itself.
V6  Nothing is in flight when no request is waiting or worked on and every answer has left our buffers.
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
from waitress.channel import HTTPChannel
from waitress.task import ThreadedTaskDispatcher, WSGITask

from customers.draining import Draining

HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
LOOP_SECONDS_MAX = 0.25  # how late a signal may be noticed; chosen
CONNECTIONS_MAX = 1_000  # kept open by the load balancer, mostly idle
HEADER_BYTES_MAX = 32_768  # RFC 9110 names no number; 8 KB lines and a few of them
EXIT_NOW = 130  # the second signal: cut off, as a shell reports an interrupted program

logger = logging.getLogger(__name__)


AtOnce = Callable[[Any], bytes | None]
"""From waitress's request to the whole answer, or None: then the request takes the usual way (V5). Must not wait."""


def nothing_at_once(_request: Any) -> None:
    """Every request takes the usual way."""


class _Lanes:
    """Two groups of threads behind waitress's one interface (V2), and those that need no thread (V5)."""

    def __init__(self, shop: ThreadedTaskDispatcher, health: ThreadedTaskDispatcher, at_once: AtOnce) -> None:
        self._shop = shop
        self._health = health
        self._at_once = at_once

    def add_task(self, channel: "_Channel") -> None:
        if channel.is_reading:
            channel.answer = self._at_once(channel.requests[0])
            if channel.answer is not None:
                return
        first = channel.requests[0] if channel.requests else None
        lane = self._health if first is not None and getattr(first, "path", "") in HEALTH_PATHS else self._shop
        lane.add_task(channel)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 1) -> bool:
        self._health.shutdown(cancel_pending, timeout)
        return bool(self._shop.shutdown(cancel_pending, timeout))


class _Task(WSGITask):  # type: ignore[misc]  # waitress says nothing of its types
    """An answer. Waitress by itself closes the connection after every one that has no Content-Length (V4)."""

    def set_close_on_finish(self) -> None:
        """Asked for by waitress while it writes the head, for whatever reason."""
        asked_to = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or asked_to or self.version != "1.1":
            super().set_close_on_finish()

    def finish(self) -> None:
        """Sent from the thread that made it: waitress would wake the thread that reads the connections for it."""
        super().finish()
        self.channel.send_what_is_ready()


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection. ``answer`` is set by `_Lanes` while data are read, to a request that has no other before it (V5)."""

    task_class = _Task
    is_reading = False
    answer: bytes | None = None

    def handle_read(self) -> None:
        self.is_reading = True
        super().handle_read()
        self.is_reading = False
        if self.answer is not None:
            self._answer_at_once(self.answer)

    def _answer_at_once(self, answer: bytes) -> None:
        self.answer = None
        self.write_soon(answer)
        with self.requests_lock:
            self.requests.pop(0).close()
            if self.requests:  # more came in the same packet
                self.server.add_task(self)
        self.send_what_is_ready()

    def send_what_is_ready(self) -> None:
        """What does not go now, the thread that reads the connections sends when it can."""
        with self.outbuf_lock:
            self._flush_exception(self._flush_some, do_close=False)


class Server:
    """One listening socket and its threads."""

    def __init__(
        self,
        app: Flask,
        *,
        host: str,
        port: int,
        threads: int,
        body_bytes_max: int,
        at_once: AtOnce = nothing_at_once,
    ) -> None:
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
        self._server.channel_class = _Channel
        health = ThreadedTaskDispatcher()
        health.set_thread_count(1)
        self._server.task_dispatcher = _Lanes(self._server.task_dispatcher, health, at_once)

    def in_flight(self) -> int:
        """How many connections have a request or an unsent answer (V6)."""
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
    server.serve(lambda: draining.is_draining and draining.may_stop(time.monotonic(), server.in_flight()))
    logger.info("stopped")
