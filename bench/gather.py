"""A gather of 200 manufacturers with 50 products each while customers buy: how long it takes, what it does to purchases.

Buyers run all the time, in a closed loop with a short pause. Purchases that began inside a gather (from the database's
``gathering_at`` to ``opened_at``) are compared with those that began outside of any.
"""

import random
import statistics
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import requests

from bench.running_system import RunningSystem, running_system, temporary_state

MANUFACTURERS, PRODUCTS = 200, 50
MONTH_SECONDS = 60
GATHERS = 3  # measured ones; the first gather has no customers yet
BUYERS = 4
PAUSE_SECONDS = 0.02
SEED = 1
PORT_BASE = 32_000
CARD = {"number": "4242424242424242", "expiry": "12/39", "holder": "Bench"}
SETTINGS = (
    f"manufacturers.count={MANUFACTURERS}",
    f"manufacturers.products_per_manufacturer={PRODUCTS}",
    "manufacturers.manufacturers_per_process=50",
    f"manufacturers.units_per_month={2 * PRODUCTS}",
    "manufacturers.batch_units=1",
    "manufacturers.initial_units_per_product=100",
    "manufacturers.breakdown_probability=0",
    f"simulation.month_seconds={MONTH_SECONDS}",
    "customers.simulated=0",
)


@dataclass
class Buyers:
    """Purchases as (unix time of the beginning, seconds, status)."""

    shop: str
    stop: threading.Event = field(default_factory=threading.Event)
    purchases: list[tuple[float, float, int]] = field(default_factory=list)

    def buy_until_stopped(self, number: int) -> None:
        rng = random.Random(SEED * 1000 + number)
        session, stock_ids = self._sign_up(number)
        while not self.stop.wait(PAUSE_SECONDS):
            begun, clock = time.time(), time.perf_counter()
            answer = session.post(
                f"{self.shop}/api/v1/orders",
                json={"lines": [{"stock_id": rng.choice(stock_ids), "quantity": 1}]},
                headers={"Idempotency-Key": str(uuid.UUID(int=rng.getrandbits(128)))},
                timeout=30,
            )
            self.purchases.append((begun, time.perf_counter() - clock, answer.status_code))

    def _sign_up(self, number: int) -> tuple[requests.Session, list[int]]:
        session = requests.Session()
        account = {"email": f"buyer{number}@example.org", "password": f"bench password {number}"}
        names = {"first_name": "Bench", "last_name": f"Buyer {number}"}
        api = f"{self.shop}/api/v1"
        session.post(f"{api}/customers", json=account | names, timeout=30).raise_for_status()
        token = session.post(f"{api}/session", json=account, timeout=30).json()["token"]
        session.headers["Authorization"] = f"Bearer {token}"
        session.put(f"{api}/me/card", json=CARD, timeout=30).raise_for_status()
        page = session.get(f"{api}/products", params={"per_page": 100, "page": number}, timeout=30).json()
        return session, [item["stock_id"] for item in page["items"]]


def run() -> dict[str, Any]:
    """Measure ``GATHERS`` gathers; returns the figures."""
    print(f"seed {SEED}; {MANUFACTURERS} manufacturers x {PRODUCTS} products, {BUYERS} buyers")
    with (
        temporary_state() as folder,
        running_system(Path(folder) / "state", PORT_BASE, SETTINGS) as system,
    ):
        months, purchases = _watch(system)
    windows = [(began.timestamp(), opened.timestamp()) for began, opened, _ in months]
    inside = [p for p in purchases if any(low <= p[0] <= high for low, high in windows)]
    outside = [p for p in purchases if not any(low - 1 <= p[0] <= high + 1 for low, high in windows)]
    during, otherwise = percentile(inside, 99), percentile(outside, 99)
    return {
        "gather_seconds": [round(high - low, 2) for low, high in windows],
        "gather_seconds_median": round(statistics.median(high - low for low, high in windows), 2),
        "offer_lines": [lines for _, _, lines in months],
        "purchases_during": len(inside),
        "purchases_otherwise": len(outside),
        "p99_ms_during": round(during, 1),
        "p99_ms_otherwise": round(otherwise, 1),
        "p99_ratio": round(during / otherwise, 2),
        "statuses": {str(s): sum(p[2] == s for p in purchases) for s in sorted({p[2] for p in purchases})},
    }


def _watch(system: RunningSystem) -> tuple[list[tuple[datetime, datetime, int]], list[tuple[float, float, int]]]:
    status = system.status()
    buyers = Buyers(status["shop"])
    with psycopg.connect(status["database"].replace("+psycopg", ""), autocommit=True) as connection:
        _wait_for_month(connection, 1)
        threads = [threading.Thread(target=buyers.buy_until_stopped, args=(n,)) for n in range(1, BUYERS + 1)]
        for thread in threads:
            thread.start()
        _wait_for_month(connection, 1 + GATHERS)
        time.sleep(5)  # purchases after the last gather belong to the picture
        buyers.stop.set()
        for thread in threads:
            thread.join()
        months = connection.execute(
            "SELECT gathering_at, opened_at, (SELECT count(*) FROM supply_line JOIN supply ON supply.id = supply_id"
            " WHERE supply.month = month.number) FROM month WHERE number > 1 AND opened_at IS NOT NULL ORDER BY number"
        ).fetchall()
    return months, buyers.purchases


def _wait_for_month(connection: psycopg.Connection[Any], number: int) -> None:
    deadline = time.monotonic() + (number + 1) * MONTH_SECONDS + 60
    query = "SELECT count(*) FROM month WHERE number = %s AND opened_at IS NOT NULL"
    while not (connection.execute(query, (number,)).fetchone() or (0,))[0]:
        if time.monotonic() > deadline:
            message = f"month {number} did not open until {datetime.now(UTC):%H:%M:%S}"
            raise RuntimeError(message)
        time.sleep(0.2)


def percentile(purchases: list[tuple[float, float, int]], percent: int) -> float:
    """In milliseconds, over the purchases that were made (201)."""
    seconds = sorted(p[1] for p in purchases if p[2] == 201)
    return 1000 * seconds[min(len(seconds) - 1, len(seconds) * percent // 100)]
