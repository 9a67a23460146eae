"""The server, chosen here and nowhere else: uvicorn, one process, so that killing it kills the instance.

V1  The port is bound before anything is said to be started; a taken port is one clear line and exit code 70.
V2  Health pages have a thread of their own: they answer while every other thread waits for the database.
V3  SIGTERM and SIGINT drain (see draining.py) and end with 0; a second signal ends at once.
V4  A connection outlives an answer, also one without a body (204, 304), unless either side asked for its end or the request's
    body was not read.
V5  What can be answered without waiting is answered by the event loop itself: handing a request to a thread and waking up
    again for its answer costs more than such an answer.
V6  Nothing is in flight when no request is waiting or worked on and every answer has left our buffers.
V7  A thread is never kept by a connection: it gets requests whole and gives answers whole; the loop reads and sends.
V8  More requests than threads wait in their order. One that finds ``WAITING_MAX`` before it, or has waited too long, is told
    to come again (503), and nothing was done for it. There is one for each connection at most, so they are bounded, too.
"""

import asyncio
import io
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from flask import Flask

from customers import metrics
from customers.serving.connections import IDLE_SECONDS_MAX, ByHead, Connection, nothing_by_head
from customers.serving.draining import Draining
from customers.serving.lanes import Lane
from customers.serving.order_desk import OrderDesk
from customers.serving.wsgi import Answer, Environ, add_body, answer_of, environ_of, has_body
from customers.turned_away import TURNED_AWAY

HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
BACKLOG = 1_024  # connections that the system accepts before we look
WAITING_MAX = 1_000  # at 2 ms each, two seconds of work
ENDING_SECONDS_MAX = 1  # for what is still open when the time for draining is over
EXIT_NOW = 130  # the second signal: cut off, as a shell reports an interrupted program

logger = logging.getLogger(__name__)


AtOnce = Callable[[Any], Answer | None]
"""From ASGI's scope to the whole answer, or None: then the request takes the usual way (V5). Must not wait."""


def nothing_at_once(_scope: Any) -> None:
    """Every request takes the usual way."""


class _Gateway:
    """The ASGI application: answers at once, or by the Flask application in one of its lanes (V2)."""

    def __init__(
        self,
        app: Flask,
        *,
        threads: int,
        body_bytes_max: int,
        wait_seconds_max: float,
        at_once: AtOnce,
        desk: OrderDesk | None,
    ) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max
        self._wait_seconds_max = wait_seconds_max
        self._at_once = at_once
        self._desk = desk
        self._shop = Lane("shop", threads)
        self._health = Lane("health", 1)
        self._turned_away = Lane("turned-away", 1)
        metrics.watch_waiting(self.waiting)

    def waiting(self) -> int:
        return self._shop.waiting + (self._desk.waiting if self._desk else 0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = self._at_once(scope)
        if answer is None and self._desk is not None and self._desk.is_for(scope):
            answer = await self._from_the_desk(self._desk, scope, receive)
        elif answer is None:
            answer = await self._from_a_lane(scope, receive)
        if answer is not None:
            status, fields, body = answer
            await send({"type": "http.response.start", "status": status, "headers": fields})
            await send({"type": "http.response.body", "body": body})

    async def _from_the_desk(self, desk: OrderDesk, scope: Any, receive: Any) -> Answer | None:
        """None when the client has gone. What the desk does not answer goes to a lane, with what it knows."""
        body = await _whole_body(receive, self._body_bytes_max)
        if body is None:
            return None
        answer = await desk.ask(scope, body, self._shop)
        if isinstance(answer, Answer):
            return answer
        environ = environ_of(scope) | answer
        add_body(environ, body, len(body))
        return await self._call(environ)

    async def _from_a_lane(self, scope: Any, receive: Any) -> Answer | None:
        """None when the client has gone. A body that is too long is not read: the application refuses it by its length."""
        environ = environ_of(scope)
        if not has_body(environ):
            environ["wsgi.input"] = io.BytesIO()
            return await self._call(environ)
        announced = int(environ.get("CONTENT_LENGTH", 0))
        body = await _whole_body(receive, self._body_bytes_max) if announced <= self._body_bytes_max else b""
        if body is None:
            return None
        length = max(announced, len(body))
        add_body(environ, body, length)
        answer = await self._call(environ)
        if length <= self._body_bytes_max:
            return answer
        # the rest is still to come, and nobody will read it
        return answer._replace(fields=[*answer.fields, (b"connection", b"close")])

    def _call(self, environ: Environ) -> "asyncio.Future[Answer]":
        if environ["PATH_INFO"] in HEALTH_PATHS:
            return self._health.call(partial(answer_of, self._app, environ))
        if self._shop.waiting >= WAITING_MAX:
            environ[TURNED_AWAY] = True
            return self._turned_away.call(partial(answer_of, self._app, environ))
        return self._shop.call(partial(self._answer_unless_late, environ, time.monotonic() + self._wait_seconds_max))

    def _answer_unless_late(self, environ: Environ, deadline: float) -> Answer:
        if time.monotonic() > deadline:
            environ[TURNED_AWAY] = True
        return answer_of(self._app, environ)

    def end(self) -> None:
        """The threads end, each after its call."""
        for lane in (self._shop, self._health, self._turned_away):
            lane.end()
        if self._desk is not None:
            self._desk.end()


async def _whole_body(receive: Any, bytes_max: int) -> bytes | None:
    """All of it, or of one that is too long more than ``bytes_max``; None when the client has gone."""
    body, is_more = b"", True
    while is_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body = body + message["body"] if body else message["body"]
        is_more = message["more_body"] and len(body) <= bytes_max
    return body


class _Uvicorn(uvicorn.Server):
    """Signals are ours (V3), and so is the decision when to end."""

    def __init__(self, config: uvicorn.Config, may_stop: Callable[[], bool]) -> None:
        super().__init__(config)
        self._may_stop = may_stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        return await super().on_tick(counter) or self._may_stop()


class Server:
    """One listening socket, the event loop behind it and its threads."""

    def __init__(
        self,
        app: Flask,
        *,
        host: str,
        port: int,
        threads: int,
        body_bytes_max: int,
        wait_seconds_max: float = 5.0,
        at_once: AtOnce = nothing_at_once,
        by_head: ByHead = nothing_by_head,
        desk: OrderDesk | None = None,
    ) -> None:
        """Binds; raises OSError when the port is taken (V1)."""
        self._socket = socket.create_server((host, port), backlog=BACKLOG)
        self._gateway = _Gateway(
            app,
            threads=threads,
            body_bytes_max=body_bytes_max,
            wait_seconds_max=wait_seconds_max,
            at_once=at_once,
            desk=desk,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what clients send is no line of our log
        self._config = uvicorn.Config(
            self._gateway,
            http=cast("type[Connection]", partial(Connection, by_head=by_head)),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the load balancer's; ProxyFix reads them
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=IDLE_SECONDS_MAX,
            timeout_graceful_shutdown=ENDING_SECONDS_MAX,
        )
        self._connections: set[Any] = set()

    def in_flight(self) -> int:
        """How many connections have a request or an unsent answer (V6). To be asked within ``may_stop``."""
        return sum(1 for connection in self._connections if connection.is_busy())

    def serve(self, may_stop: Callable[[], bool]) -> None:
        """Until ``may_stop``, asked several times a second."""
        server = _Uvicorn(self._config, may_stop)
        self._connections = server.server_state.connections
        server.run(sockets=[self._socket])
        self._gateway.end()


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
