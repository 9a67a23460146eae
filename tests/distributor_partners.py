"""Manufacturers that the tests control: honest ones, and all kinds of bad ones, on one port."""

import asyncio
import hashlib
import hmac
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiohttp import web
from sqlalchemy import Engine

from distributor.database import transaction
from distributor.gather.client import Partner
from distributor.gather.rounds import Plan, Round
from distributor.months import transitions
from distributor.months.decisions import Begin
from tests.distributor_world import rows

KEY = "a key of the tests"
Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


def item(sku: str, quantity: int = 5, amount: int = 250, **changes: Any) -> dict[str, Any]:
    return {"sku": sku, "name": f"Good {sku}", "quantity": quantity, "price": {"amount": amount, "currency": "GBP"}} | (
        changes
    )


@dataclass
class FakePartner:
    """One manufacturer. ``items``: what it offers for a month not yet frozen. ``fault`` replaces its offers."""

    code: str
    name: str
    items: list[dict[str, Any]] = field(default_factory=list)
    fault: Fault | None = None
    accept_status: int | None = None
    """Instead of the honest answer to an acceptance."""
    frozen: dict[int, bytes] = field(default_factory=dict)
    accepted: dict[int, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)


class FakePartners:
    """Several manufacturers behind one port, told apart by who the request is for, as in the real processes."""

    def __init__(self) -> None:
        self.partners: dict[str, FakePartner] = {}
        self.keys: dict[str, str] = {}
        """By code; KEY for those that are missing."""
        self.port = 0

    def add(self, code: str, *items: dict[str, Any], fault: Fault | None = None) -> FakePartner:
        self.partners[code] = FakePartner(code, f"Works {code}", list(items), fault)
        return self.partners[code]

    def plan(self, **changes: Any) -> Plan:
        values: dict[str, Any] = {
            "partners": {
                code: Partner(code, f"http://127.0.0.1:{self.port}", self.keys.get(code, KEY)) for code in self.partners
            },
            "concurrency": 16,
            "deadline_seconds": 30.0,
            "bytes_max": 100_000,
            "currency": "GBP",
            "transaction_attempts_max": 6,
        }
        return Plan(**{**values, **changes})

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/api/v1/offers/{month}", self._offer)
        application.router.add_post("/api/v1/offers/{month}/accept", self._accept)
        return application

    async def _offer(self, request: web.Request) -> web.StreamResponse:
        partner, month = await self._authenticate(request), int(request.match_info["month"])
        partner.asked[f"offer {month}"] += 1
        if partner.fault is not None:
            return await partner.fault(request)
        content = {"manufacturer": {"code": partner.code, "name": partner.name}, "month": month, "items": partner.items}
        partner.frozen.setdefault(month, json.dumps(content).encode())
        return web.Response(body=partner.frozen[month], content_type="application/json")

    async def _accept(self, request: web.Request) -> web.Response:
        partner, month = await self._authenticate(request), int(request.match_info["month"])
        partner.asked[f"accept {month}"] += 1
        if partner.accept_status is not None:
            return web.json_response({"title": "no"}, status=partner.accept_status)
        given = (await request.json())["content_sha256"]
        if month not in partner.frozen or hashlib.sha256(partner.frozen[month]).hexdigest() != given:
            return web.json_response({"title": "that is not what was offered"}, status=409)
        partner.accepted[month] = given
        return web.json_response({"month": month, "state": "accepted"})

    async def _authenticate(self, request: web.Request) -> FakePartner:
        """The agreed signature, written down a second time."""
        body = hashlib.sha256(await request.read()).hexdigest()
        parts = (request.headers["X-Timestamp"], request.headers["X-Nonce"], request.method, request.path_qs, body)
        code = request.headers["X-Manufacturer"]
        expected = hmac.new(self.keys.get(code, KEY).encode(), "\n".join(parts).encode(), "sha256").hexdigest()
        if request.headers["X-Signature"] != expected:
            raise web.HTTPUnauthorized
        return self.partners[code]


@contextmanager
def serving(fakes: FakePartners, port: int = 0) -> Iterator[FakePartners]:
    """Serves in a thread until the block ends, whatever is still dripping."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(fakes.application(), shutdown_timeout=0.1, handler_cancellation=True)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        fakes.port = runner.addresses[0][1]

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield fakes
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


def answer(
    body: bytes, status: int = 200, content_type: str = "application/json", headers: dict[str, str] | None = None
) -> Fault:
    async def fault(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers={"Content-Type": content_type} | (headers or {}))

    return fault


async def never(_request: web.Request) -> web.StreamResponse:
    """Takes the request and keeps silent."""
    await asyncio.sleep(60)
    return web.Response()


async def drip(request: web.Request) -> web.StreamResponse:
    """A byte now and then: every single read succeeds."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


async def endless(request: web.Request) -> web.StreamResponse:
    """As fast as it is read."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


async def cut_off(request: web.Request) -> web.StreamResponse:
    """Promises more bytes than it sends."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"{}")
    assert request.transport is not None
    request.transport.close()
    return response


async def redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(request.path_qs + "?again")


def begin_month(engine: Engine, fakes: FakePartners, number: int = 1) -> None:
    with transaction(engine) as connection:
        transitions.prepare(connection, list(fakes.partners), timedelta(hours=1))
        facts = transitions.look(connection)
        assert transitions.begin(connection, Begin(number, facts.calendar.end(number)))


def attempts(engine: Engine, month: int = 1) -> dict[str, tuple[str, str | None]]:
    found = rows(
        engine,
        "SELECT code, outcome, reason FROM gather_attempt JOIN manufacturer ON manufacturer.id = manufacturer_id"
        " WHERE month = :month",
        month=month,
    )
    return {code: (outcome, reason) for code, outcome, reason in found}


def gather(engine: Engine, fakes: FakePartners, month: int | None = 1, **changes: Any) -> bool:
    with ThreadPoolExecutor(2) as executor:
        return asyncio.run(Round(engine, executor, fakes.plan(**changes)).run(month))
