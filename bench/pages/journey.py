"""A whole journey: log in, browse, search, add two goods, buy, look at the order. Each by another customer, for who has just
bought sees lists that are read for them alone.

What the password hash costs is taken off: its time as the instances themselves count it (cds_shop_password_seconds), its
CPU time as the same hash takes in this process. Their count is read before and after several journeys, not before each: to
write down all their metrics leaves the instances with cold caches, and a journey that began then took 7 ms longer.
"""

import re
import statistics
import time
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher

from bench.pages.large_shop import LargeShop
from bench.pages.visitor import Visitor
from settings import Settings

ROUNDS = 5  # on each way, in turns
JOURNEYS = 5  # a round, after one that warms up
WARMING = 3
PASSWORD = "a password for benchmarks"  # noqa: S105 - of a system that lives as long as the benchmark
CPU = ("web", "postgres", "load_balancer")
CARD = {"number": "4242424242424242", "expiry": "12/39", "holder": "Bench"}
ADD = r"/cart/[0-9]+/add"


@dataclass(frozen=True)
class _Round:
    """Of one journey on average; ``waited_ms`` without the hash, ``cpu_ms`` with it."""

    waited_ms: float
    cpu_ms: dict[str, float]
    requests: int


def measure(shop: LargeShop) -> dict[str, Any]:
    ways = {"instance": shop.instance, "balancer": shop.balancer}
    for _time in range(WARMING):
        for url in ways.values():
            _travel(Visitor(url), _new_customer(shop))
    rounds: dict[str, list[_Round]] = {way: [] for way in ways}
    for _time in range(ROUNDS):
        for way, url in ways.items():
            rounds[way].append(_round(shop, url))
    cpu = {name: statistics.mean(each.cpu_ms[name] for both in rounds.values() for each in both) for name in CPU}
    hash_ms = _hash_cpu_ms()
    return {
        "requests": rounds["instance"][0].requests,
        "journey_ms_without_hash": {
            way: round(statistics.median(each.waited_ms for each in some), 1) for way, some in rounds.items()
        },
        "web_cpu_ms_without_hash": round(cpu["web"] - hash_ms, 1),
        "postgres_cpu_ms": round(cpu["postgres"], 1),
        "load_balancer_cpu_ms": round(cpu["load_balancer"], 1),
        "hash_cpu_ms": round(hash_ms, 1),
    }


def _round(shop: LargeShop, url: str) -> _Round:
    emails = [_new_customer(shop) for _time in range(JOURNEYS)]
    _travel(Visitor(url), _new_customer(shop))
    hashed = _seconds_hashed(shop)
    before = shop.computed()
    visitors = [Visitor(url) for _time in range(JOURNEYS)]
    for visitor, email in zip(visitors, emails, strict=True):
        _travel(visitor, email)
    used = shop.computed().since(before)
    waited = sum(visitor.waited for visitor in visitors) - (_seconds_hashed(shop) - hashed)
    cpu_ms = {name: 1000 * getattr(used, name) / JOURNEYS for name in CPU}
    return _Round(1000 * waited / JOURNEYS, cpu_ms, visitors[0].requests)


def signed_in(shop: LargeShop, url: str) -> Visitor:
    """A new customer with two lines in the cart."""
    email = _new_customer(shop)
    visitor = Visitor(url)
    _log_in(visitor, email)
    for path in ("/?q=lantern", "/?q=kettle"):
        visitor.post(visitor.get(path).form(ADD))
    return visitor


def _new_customer(shop: LargeShop) -> str:
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    visitor = Visitor(shop.instance)
    sign_up = visitor.get("/sign-up").form("/sign-up")
    visitor.post(sign_up, email=email, password=PASSWORD, first_name="Bench", last_name="Mark")
    visitor.post(visitor.get("/account").form("/account/card"), **CARD)
    visitor.close()
    return email


def _log_in(visitor: Visitor, email: str) -> None:
    visitor.post(visitor.get("/log-in").form("/log-in"), email=email, password=PASSWORD)


def _travel(visitor: Visitor, email: str) -> None:
    _log_in(visitor, email)
    found = visitor.get("/?q=lantern")
    product = re.search(r'href="(/product/[0-9]+)"', found.text)
    if product is None:
        message = "the search found nothing"
        raise RuntimeError(message)
    visitor.post(visitor.get(product[1]).form(ADD), quantity="2")
    visitor.post(visitor.get("/?manufacturer=works-3").form(ADD))
    order = visitor.post(visitor.get("/checkout").form("/checkout"), pay="saved")
    if not re.search(r"Order [0-9]+", order.text):
        message = "buying did not lead to an order"
        raise RuntimeError(message)
    visitor.close()


def _seconds_hashed(shop: LargeShop) -> float:
    """By all web instances, since they began."""
    total = 0.0
    for name in shop.processes:
        if name.startswith("web-"):
            with urllib.request.urlopen(f"{shop.urls[name]}/metrics", timeout=10) as answer:  # noqa: S310
                counted = re.search(rb"^cds_shop_password_seconds_sum ([0-9.e+-]+)$", answer.read(), re.MULTILINE)
                total += float(counted[1]) if counted else 0.0
    return total


def _hash_cpu_ms() -> float:
    costs = Settings().customers
    hasher = PasswordHasher(time_cost=costs.password_iterations, memory_cost=costs.password_memory_kib, parallelism=1)
    known = hasher.hash(PASSWORD)
    took = []
    for _time in range(9):
        begun = time.thread_time()
        hasher.verify(known, PASSWORD)
        took.append(1000 * (time.thread_time() - begun))
    return statistics.median(took)
