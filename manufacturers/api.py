"""The HTTP API of all manufacturers of a process. Which of them is meant says the signature, not the address.

GET  /api/v1/stock                   what lies in stock now
GET  /api/v1/offers/{month}          the month's offer, frozen at the first request
POST /api/v1/offers/{month}/accept   the offer was booked; idempotent
GET  /api/v1/ledger[?month=]         what the ledger says
GET  /healthz /readyz /metrics       unsigned, for the machine's own use
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from manufacturers.authentication import HEADERS, Doorkeeper, NotAuthenticated, Signed
from manufacturers.plant import Plant
from manufacturers.problems import InvalidParameter, errors_as_problems, problem
from manufacturers.strict_json import MalformedJson, read_object

BODY_BYTES_MAX = 4_096  # the only body that we take has 90 bytes
BODY_SECONDS_MAX = 5.0  # a client that sends more slowly is hung up on
MONTH = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)

SignedHandler = Callable[[web.Request, Plant, bytes], Awaitable[web.Response]]


@dataclass
class Readiness:
    """Why this process does not want new requests; None when it does."""

    reason: str | None = "starting"


@dataclass(frozen=True)
class Api:
    """The handlers, over the plants of this process."""

    plants: Mapping[str, Plant]
    doorkeeper: Doorkeeper
    readiness: Readiness
    registry: CollectorRegistry

    def application(self) -> web.Application:
        application = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[errors_as_problems])
        application.on_response_prepare.append(_set_common_headers)
        router = application.router
        router.add_get("/api/v1/stock", self._signed(self._stock), allow_head=False)
        router.add_get("/api/v1/offers/{month}", self._signed(self._offer), allow_head=False)
        router.add_post("/api/v1/offers/{month}/accept", self._signed(self._accept))
        router.add_get("/api/v1/ledger", self._signed(self._ledger), allow_head=False)
        router.add_get("/healthz", _healthz)
        router.add_get("/readyz", self._readyz)
        router.add_get("/metrics", self._metrics)
        return application

    def _signed(self, handler: SignedHandler) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Read the body within its limits, find out who is asked, then go on."""

        async def checked(request: web.Request) -> web.Response:
            try:
                async with asyncio.timeout(BODY_SECONDS_MAX):
                    body = await request.read()
            except TimeoutError:
                return problem(408, f"the body did not arrive within {BODY_SECONDS_MAX} seconds")
            code, timestamp, nonce, signature = (_only(request, name) for name in HEADERS)
            signed = Signed(code, timestamp, nonce, signature, request.method, request.raw_path, body)
            now = time.time()
            plant = self.plants[self.doorkeeper.admit(signed, now)]
            await plant.keep_nonce(nonce, signed.expires_at, int(now))
            return await handler(request, plant, body)

        return checked

    async def _stock(self, _request: web.Request, plant: Plant, _body: bytes) -> web.Response:
        return web.json_response(await plant.stock())

    async def _offer(self, request: web.Request, plant: Plant, _body: bytes) -> web.Response:
        content = await plant.offer(_month(request.match_info["month"]))
        return web.Response(text=content, content_type="application/json")

    async def _accept(self, request: web.Request, plant: Plant, body: bytes) -> web.Response:
        month = _month(request.match_info["month"])
        wanted = read_object(body)
        if wanted.keys() != {"content_sha256"}:
            msg = "the body must have the key content_sha256 and no other"
            raise MalformedJson(msg)
        sha256 = wanted["content_sha256"]
        if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
            msg = "content_sha256: must be 64 lower-case hexadecimal digits"
            raise MalformedJson(msg)
        await plant.accept(month, sha256)
        return web.json_response({"month": month, "state": "accepted"})

    async def _ledger(self, request: web.Request, plant: Plant, _body: bytes) -> web.Response:
        months = request.query.getall("month", [])
        if len(months) > 1:
            msg = "month: must be given once"
            raise InvalidParameter(msg)
        return web.json_response(await plant.report(_month(months[0]) if months else None))

    async def _readyz(self, _request: web.Request) -> web.Response:
        reason = self.readiness.reason
        return web.json_response({"ready": reason is None, "reason": reason}, status=503 if reason else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": METRICS_TYPE})


METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def _set_common_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Offers are nobody else's business; and which program answers is none either."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers["Server"] = "manufacturer"


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="alive\n")


def _only(request: web.Request, name: str) -> str:
    """The header's value; a header that is missing or given twice proves nothing."""
    values = request.headers.getall(name, [])
    if len(values) != 1:
        raise NotAuthenticated
    return values[0]


def _month(text: str) -> int:
    if not MONTH.fullmatch(text):
        msg = "month: must be an integer from 1 to 999999, without leading zeros"
        raise InvalidParameter(msg)
    return int(text)
