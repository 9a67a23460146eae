"""The distributor's own HTTP pages: health for the supervisor, figures, and the months for whoever holds the token.

    GET /healthz  GET /readyz  GET /metrics      open to all on this machine
    GET /internal/months                         what every month was, and is
    POST /internal/months/close                  closes the current month by hand

Not for customers: the load balancer never forwards here, and it listens on the loopback address only.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web
from sqlalchemy import Connection, Engine

from distributor.database import transaction
from distributor.errors import DistributorError
from distributor.metrics import Metrics
from distributor.months import overview
from distributor.outbox.pending import unpublished

BODY_BYTES_MAX = 1_000  # nothing here takes a body
PROBLEM = "application/problem+json"

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """``why_not_ready``: the reason why the process cannot do its work at the moment, or None."""

    def __init__(self, engine: Engine, token: str, metrics: Metrics, why_not_ready: Callable[[], str | None]) -> None:
        self._engine = engine
        self._token = token.encode()
        self._metrics = metrics
        self._why_not_ready = why_not_ready

    def application(self) -> web.Application:
        application = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[self._errors_as_problems])
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._figures)
        application.router.add_get("/internal/months", self._months)
        application.router.add_post("/internal/months/close", self._close)
        return application

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def _readyz(self, _request: web.Request) -> web.Response:
        reason = self._why_not_ready()
        return web.json_response({"ready": reason is None, "reason": reason}, status=503 if reason else 200)

    async def _figures(self, _request: web.Request) -> web.Response:
        try:
            pending = await self._query(unpublished)
        except DistributorError:  # the figures of the process itself must be readable then, too
            pending = None
        return web.Response(body=self._metrics.text(pending), content_type="text/plain", charset="utf-8")

    async def _months(self, request: web.Request) -> web.Response:
        self._authorize(request)
        return web.json_response(await self._query(overview.months))

    async def _close(self, request: web.Request) -> web.Response:
        self._authorize(request)
        number = await self._query(overview.request_close)
        if number is None:
            return _problem(409, "No month is open", "There is nothing to close; the next month opens soon.")
        return web.json_response({"number": number, "close_requested": True}, status=202)

    def _authorize(self, request: web.Request) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.encode("utf-8", "surrogateescape")
        if not (hmac.compare_digest(given, self._token) and kind.lower() == "bearer"):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})

    async def _query(self, work: Callable[[Connection], T]) -> T:
        """In a thread: a database that is slow must not keep the health pages from answering."""
        return await asyncio.to_thread(self._transact, work)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with transaction(self._engine) as connection:
            return work(connection)

    @web.middleware
    async def _errors_as_problems(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            headers = {name: value for name, value in error.headers.items() if name in ("Allow", "WWW-Authenticate")}
            return _problem(error.status, error.reason, None, headers)
        except DistributorError as error:
            return _problem(503, "The database does not answer", str(error), {"Retry-After": "1"})


def _problem(status: int, title: str, detail: str | None, headers: dict[str, str] | None = None) -> web.Response:
    body = {"type": "about:blank", "title": title, "status": status}
    if detail:
        body["detail"] = detail
    return web.json_response(body, status=status, headers=headers, content_type=PROBLEM)
