"""Figures of one strategy: customers who buy as fast as they are answered, for some time. Retries and pauses as in the shop.

Everything happens in one process, without HTTP: what differs between two strategies is the strategy.
"""

import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from distributor.database import Retries
from distributor.errors import DistributorError
from distributor.sales import Answer, Line, Sales
from grading.crowd import Ground, at_once, buy
from grading.world import make_world

CUSTOMERS = 8
LARGE_CUSTOMERS = 3  # of them, in the mixed load, whose baskets hold every good
SPREAD_PRODUCTS = 100
LARGE_LINES = 12
ENDLESS_UNITS = 1_000_000_000


@dataclass(frozen=True)
class Purchase:
    """One that ended: who bought, whether a large basket, after how many milliseconds, as what (201, Busy, …)."""

    customer: int
    large: bool
    milliseconds: float
    outcome: str


def run(ground: Ground, seconds: float) -> dict[str, Any]:
    """Figures of three loads of ``seconds`` each: all on one good, spread over many, large baskets among small ones."""
    found = {}
    for name, products, basket in (
        ("hot", 1, _one_line),
        ("spread", SPREAD_PRODUCTS, _one_line),
        ("mixed", LARGE_LINES, _small_or_all),
    ):
        ground.begin(f"measuring {name}")
        found[name] = _load(ground, name, products, basket, seconds)
    return found


Basket = Callable[[random.Random, Sequence[int], bool], list[Line]]


def _one_line(rng: random.Random, stock: Sequence[int], _large: bool) -> list[Line]:
    return [Line(rng.choice(stock), 1)]


def _small_or_all(rng: random.Random, stock: Sequence[int], large: bool) -> list[Line]:
    return [Line(stock_id, 1) for stock_id in stock] if large else _one_line(rng, stock, large)


def _load(ground: Ground, name: str, products: int, basket: Basket, seconds: float) -> dict[str, Any]:
    world = make_world(ground.engine, [ENDLESS_UNITS] * products, customers=CUSTOMERS)
    causes: Counter[str] = Counter()
    lock = threading.Lock()

    def repeated(cause: str) -> None:
        with lock:
            causes[cause] += 1

    strategy = ground.strategy
    attempts_max = ground.settings.database.transaction_attempts_max
    sales = Sales(ground.engine, strategy, ground.settings, Retries(attempts_max, strategy.retry_on, on_retry=repeated))
    until = time.monotonic() + seconds
    large = frozenset(world.customers[:LARGE_CUSTOMERS] if name == "mixed" else ())

    def shop(customer: int) -> list[Purchase]:
        is_large = customer in large
        seed = f"{ground.seed}/{name}/{customer}"
        return _shop(
            sales, customer, lambda rng: basket(rng, world.stock, is_large), seed=seed, until=until, large=is_large
        )

    began = time.monotonic()
    lists = at_once([partial(shop, customer) for customer in world.customers])
    elapsed = time.monotonic() - began
    failed = next((result for result in lists if isinstance(result, Exception)), None)
    if failed is not None:
        raise failed
    return figures([purchase for purchases in lists for purchase in purchases], elapsed, causes)


def _shop(
    sales: Sales, customer: int, basket: Callable[[random.Random], list[Line]], *, seed: str, until: float, large: bool
) -> list[Purchase]:
    """At least one purchase, however late a busy machine lets this customer begin."""
    rng = random.Random(seed)
    found: list[Purchase] = []
    number = 0
    while number == 0 or time.monotonic() < until:
        began = time.perf_counter()
        number += 1
        try:
            outcome = str(_status(buy(sales, customer, f"m{number}", *basket(rng))))
        except DistributorError as error:
            outcome = type(error).__name__
        found.append(Purchase(customer, large, 1_000 * (time.perf_counter() - began), outcome))
    return found


def _status(answer: Answer) -> int:
    return answer.status


def figures(purchases: Sequence[Purchase], seconds: float, causes: Counter[str]) -> dict[str, Any]:
    """What one load comes to. Pure. Rates count sold baskets; waiting times are of all purchases, in milliseconds."""
    sold = [purchase for purchase in purchases if purchase.outcome == "201"]
    waits = sorted(purchase.milliseconds for purchase in purchases)
    kinds = {large: [p for p in purchases if p.large == large] for large in (False, True)}
    return {
        "purchases": len(purchases),
        "sold": len(sold),
        "per_second": round(len(sold) / seconds, 1) if seconds else 0.0,
        "p50_ms": round(_percentile(waits, 0.5), 2),
        "p99_ms": round(_percentile(waits, 0.99), 2),
        "outcomes": dict(Counter(purchase.outcome for purchase in purchases)),
        "repeats": dict(causes),
        "evenness": round(evenness(purchases), 4),
        "large_sold_share": _share(kinds[True]),
        "small_sold_share": _share(kinds[False]),
        "large_wait_ratio": _ratio(_median_wait(kinds[True]), _median_wait(kinds[False])),
    }


def evenness(purchases: Sequence[Purchase]) -> float:
    """Jain's index over what each customer of a kind got: 1 when all got the same, 1/n when one got everything."""
    worst = 1.0
    for large in (False, True):
        customers = {p.customer for p in purchases if p.large == large}
        got = Counter(p.customer for p in purchases if p.large == large and p.outcome == "201")
        counts = [got[customer] for customer in customers]
        squares = len(counts) * sum(count * count for count in counts)
        if counts:
            worst = min(worst, sum(counts) ** 2 / squares if squares else 0.0)
    return worst


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _share(purchases: Sequence[Purchase]) -> float | None:
    return round(sum(p.outcome == "201" for p in purchases) / len(purchases), 4) if purchases else None


def _median_wait(purchases: Sequence[Purchase]) -> float | None:
    return statistics.median(p.milliseconds for p in purchases) if purchases else None


def _ratio(one: float | None, other: float | None) -> float | None:
    return round(one / other, 2) if one and other else None
