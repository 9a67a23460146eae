"""A whole journey: log in, browse, search, add two goods, buy, look at the order.

What the password hash costs is taken off: its time as the instances themselves count it (cds_shop_password_seconds), its
CPU time as the same hash takes in this process.
"""

import re
import statistics
import time
import urllib.request
import uuid
from typing import Any

from argon2 import PasswordHasher

from bench.pages.large_shop import LargeShop
from bench.pages.visitor import Visitor
from settings import Settings

JOURNEYS = 15  # on each way
WARMING = 3
PASSWORD = "a password for benchmarks"  # noqa: S105 - of a system that lives as long as the benchmark
CARD = {"number": "4242424242424242", "expiry": "12/39", "holder": "Bench"}
ADD = r"/cart/[0-9]+/add"


def measure(shop: LargeShop) -> dict[str, Any]:
    email = _new_customer(shop)
    ways = {"instance": shop.instance, "balancer": shop.balancer}
    for _time in range(WARMING):
        for url in ways.values():
            _travel(Visitor(url), email)
    waited: dict[str, list[float]] = {way: [] for way in ways}
    requests = 0
    cpu = {"web": 0.0, "postgres": 0.0, "load_balancer": 0.0}
    for _time in range(JOURNEYS):
        for way, url in ways.items():
            before, hashed = shop.computed(), _seconds_hashed(shop)
            visitor = Visitor(url)
            _travel(visitor, email)
            waited[way].append(1000 * (visitor.waited - (_seconds_hashed(shop) - hashed)))
            used = shop.computed().since(before)
            requests = visitor.requests
            for name in cpu:
                cpu[name] += 1000 * getattr(used, name) / JOURNEYS / len(ways)
    hash_ms = _hash_cpu_ms()
    return {
        "requests": requests,
        "journey_ms_without_hash": {way: round(statistics.median(times), 1) for way, times in waited.items()},
        "web_cpu_ms_without_hash": round(cpu["web"] - hash_ms, 1),
        "postgres_cpu_ms": round(cpu["postgres"], 1),
        "load_balancer_cpu_ms": round(cpu["load_balancer"], 1),
        "hash_cpu_ms": round(hash_ms, 1),
    }


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
