"""500 open pages, each with another list, that ask for fresh quantities through the load balancer.

Each has a connection of its own, as browsers have, and sends the validator of its last answer. They have been open for
``OPEN_PAUSES`` refreshes when it is measured: by then nearly every instance has been asked by every page, as of pages that
somebody looks at. They are measured as their script asks (static/stock.js, R4): at rest, as pages are that stand open and
on which nothing changes, and all of them lively, as if a reader's hand were on each. What the same processes
compute while nobody looks is measured before, in the same system, and told beside.
"""

import asyncio
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bench.pages.large_shop import Computed, LargeShop
from settings import Settings

PAGES = 500
PRODUCTS_A_PAGE = 24
ROUNDS = 3
ROUND_SECONDS = 16.0  # two refreshes of every page at rest, four of a lively one
SEED = 1
OPEN_PAUSES = 5
REST_PAUSES = 2  # as in static/stock.js


@dataclass
class _Seen:
    """What the pages were answered. ``seconds`` waited for each answer."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def measure(shop: LargeShop) -> dict[str, Any]:
    pause = Settings().customers.stock_refresh_seconds
    idle = asyncio.run(_idle(shop))
    seen, lively = asyncio.run(_watch(shop, pause))
    _at_rest, rounds = asyncio.run(_watch(shop, pause * REST_PAUSES))
    return {
        "pages": PAGES,
        "lists": len({_ids(shop, number) for number in range(PAGES)}),
        "refresh_seconds": pause,
        "answers": dict(seen.statuses),
        "p50_ms": round(1000 * statistics.median(seen.seconds), 2),
        "percent_of_one_core": _median_percent(rounds, "total"),
        "percent_if_all_are_lively": _median_percent(lively, "total"),
        "percent_by_process": {name: _median_percent(rounds, name) for name in ("web", "load_balancer", "postgres")},
        "percent_while_nobody_looks": _median_percent([idle], "total"),
    }


def _median_percent(rounds: list[Computed], name: str) -> float:
    return round(100 * float(statistics.median(getattr(used, name) for used in rounds)) / ROUND_SECONDS, 2)


async def _idle(shop: LargeShop) -> Computed:
    before = shop.computed()
    await asyncio.sleep(ROUND_SECONDS)
    return shop.computed().since(before)


async def _watch(shop: LargeShop, pause: float) -> tuple[_Seen, list[Computed]]:
    rng = random.Random(SEED)
    seen = _Seen()
    pages = [asyncio.create_task(_page(shop, number, pause, rng.random() * pause, seen)) for number in range(PAGES)]
    await asyncio.sleep(OPEN_PAUSES * pause)
    seen.statuses.clear()
    seen.seconds.clear()
    rounds = []
    for _round in range(ROUNDS):
        before = shop.computed()
        await asyncio.sleep(ROUND_SECONDS)
        rounds.append(shop.computed().since(before))
    for page in pages:
        page.cancel()
    for outcome in await asyncio.gather(*pages, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    return seen, rounds


def _ids(shop: LargeShop, number: int) -> str:
    """A page of the catalogue; beyond the last one, lists that begin half a page later."""
    first = (
        number * PRODUCTS_A_PAGE % shop.products + (number * PRODUCTS_A_PAGE // shop.products) * PRODUCTS_A_PAGE // 2
    )
    rows = (shop.stock_ids * 2)[first : first + PRODUCTS_A_PAGE]
    return ",".join(str(row) for row in sorted(rows))


async def _page(shop: LargeShop, number: int, pause: float, wait: float, seen: _Seen) -> None:
    address = urlsplit(shop.balancer)
    host = f"{address.hostname}:{address.port}"
    head = f"GET /stock?ids={_ids(shop, number)} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n"
    head += "Accept: */*\r\nAccept-Language: en\r\nCookie: visitor=aaaaaaaaaaaaaaaaaaaaaa\r\nSec-Fetch-Site: same-origin\r\n"
    await asyncio.sleep(wait)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    validator = ""
    try:
        while True:
            begun = time.perf_counter()
            condition = f"If-None-Match: {validator}\r\n" if validator else ""
            writer.write((head + condition + "\r\n").encode())
            status, validator = await _answer(reader)
            seen.statuses[status] += 1
            seen.seconds.append(time.perf_counter() - begun)
            await asyncio.sleep(pause)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Status and validator; the body is read and forgotten."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    status = int(lines[0].split(" ")[1])
    if status != 304:
        await reader.readexactly(int(fields.get("content-length", "0")))
    return status, fields.get("etag", "")
