"""Catalogue pages: first page, searches, one manufacturer's goods, pages far back; of guests and of customers."""

import itertools
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.pages.journey import signed_in
from bench.pages.large_shop import MANUFACTURERS, LargeShop
from bench.pages.visitor import Visitor

ROUNDS = 3
PAGES = 150  # a round
WARMING = 40  # pages before the first round: prepared statements, compiled templates, warm caches
KINDS = ("first", "search", "manufacturer", "deep")
READERS = ("guest", "guest_spread", "customer")
WORDS = ("lantern", "kettle", "teapot", "clock", "chair", "basket", "candle", "mirror")


@dataclass
class Cell:
    """One kind of page for one reader on one way; lists have one value a round."""

    kind: str
    reader: str
    way: str
    p50_ms: list[float] = field(default_factory=list)
    web_cpu_ms: list[float] = field(default_factory=list)
    postgres_cpu_ms: list[float] = field(default_factory=list)
    load_balancer_cpu_ms: list[float] = field(default_factory=list)
    page_bytes: int = 0

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "reader": self.reader,
            "way": self.way,
            "p50_ms": round(statistics.median(self.p50_ms), 2),
            "web_cpu_ms": round(statistics.median(self.web_cpu_ms), 2),
            "postgres_cpu_ms": round(statistics.median(self.postgres_cpu_ms), 2),
            "load_balancer_cpu_ms": round(statistics.median(self.load_balancer_cpu_ms), 2),
            "page_bytes": self.page_bytes,
        }


def measure(shop: LargeShop) -> list[Cell]:
    ways = {"instance": shop.instance, "balancer": shop.balancer}
    cells = [
        Cell(kind, reader, way)
        for kind, reader, way in itertools.product(KINDS, READERS, ways)
        if (kind, reader) != ("first", "guest_spread")  # there is only one first page
    ]
    visitors = {
        (reader, way): signed_in(shop, url) if reader == "customer" else Visitor(url)
        for reader, (way, url) in itertools.product(READERS, ways.items())
    }
    paths = {kind: _spread(kind) for kind in KINDS}
    for cell in cells:
        _ask(visitors[cell.reader, cell.way], _paths(cell, paths, WARMING))
    for _round in range(ROUNDS):
        for cell in cells:
            _measure(shop, cell, visitors[cell.reader, cell.way], _paths(cell, paths, PAGES))
    for visitor in visitors.values():
        visitor.close()
    return cells


def _paths(cell: Cell, paths: dict[str, Iterator[str]], number: int) -> list[str]:
    if cell.reader == "guest":
        return [next(_spread(cell.kind))] * number
    return list(itertools.islice(paths[cell.kind], number))


def _spread(kind: str) -> Iterator[str]:
    """Addresses of one kind; none comes again within several hundred."""
    if kind == "search":
        return (f"/?q={word}+{number}" for number, word in itertools.cycle(itertools.product(range(1, 100), WORDS)))
    if kind == "manufacturer":
        makers = range(1, MANUFACTURERS + 1)
        pages = itertools.product(range(1, 20), ("name", "price"), makers)
        return (f"/?manufacturer=works-{maker}&sort={sort}&page={page}" for page, sort, maker in itertools.cycle(pages))
    if kind == "deep":
        pages_back = itertools.product(("name", "price", "-price"), range(410, 200, -1))
        return (f"/?sort={sort}&page={page}" for sort, page in itertools.cycle(pages_back))
    return itertools.repeat("/")


def _measure(shop: LargeShop, cell: Cell, visitor: Visitor, paths: list[str]) -> None:
    before = shop.computed()
    seconds, cell.page_bytes = _ask(visitor, paths)
    used = shop.computed().since(before)
    cell.p50_ms.append(1000 * statistics.median(seconds))
    cell.web_cpu_ms.append(1000 * used.web / len(paths))
    cell.postgres_cpu_ms.append(1000 * used.postgres / len(paths))
    cell.load_balancer_cpu_ms.append(1000 * used.load_balancer / len(paths))


def _ask(visitor: Visitor, paths: Iterable[str]) -> tuple[list[float], int]:
    """How long each took, and how many bytes the last one had."""
    seconds = []
    size = 0
    for path in paths:
        answer = visitor.get(path)
        if answer.status != 200 or "/product/" not in answer.text:
            message = f"{path} was answered {answer.status}, or shows no product"
            raise RuntimeError(message)
        seconds.append(answer.seconds)
        size = answer.size
    return seconds, size
