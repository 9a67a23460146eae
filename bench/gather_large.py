"""A million offers: a hundred manufacturers with 10,000 products each, gathered while customers buy what is there already.

The database is empty at first, so every row of stock is made, with all its indexes: the costlier kind of gather. It is timed from
the month's beginning until every supply was seen booked. Customers buy from the first booked supply on, and for a while after the
gather; purchases that began during it are compared with the later ones.
``memory_mb_max``: the most resident memory of each process; ``cpu_seconds``: what each kind computed during the gather.
"""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench.gather import Buyers, percentile
from bench.running_system import RunningSystem, running_system, temporary_state

MANUFACTURERS, PRODUCTS = 100, 10_000
BUYERS = 4
SELLING_SECONDS = 25  # after the gather, to compare with
GATHER_SECONDS_MAX = 600.0
TARGET_SECONDS = 60.0
PORT_BASE = 26_100
SETTINGS = (
    f"manufacturers.count={MANUFACTURERS}",
    f"manufacturers.products_per_manufacturer={PRODUCTS}",
    "manufacturers.manufacturers_per_process=50",
    "manufacturers.units_per_month=0",
    "manufacturers.initial_units_per_product=100",
    "distributor.offer_deadline_seconds=30",
    "simulation.month_seconds=3600",
    "customers.simulated=0",
    "broker.url=postgres",
    "supervisor.ready_timeout_seconds=300",  # a process opens fifty ledgers of 10,000 products first
)


@dataclass
class Processes:
    """Samples of the system's processes, until told to stop."""

    system: RunningSystem
    stop: threading.Event = field(default_factory=threading.Event)
    memory_mb_max: dict[str, float] = field(default_factory=dict)

    def watch(self) -> None:
        while not self.stop.wait(1.0):
            for name, process in self._named():
                used = process.memory_info().rss / 2**20
                self.memory_mb_max[name] = round(max(used, self.memory_mb_max.get(name, 0.0)))

    def cpu_seconds(self) -> dict[str, float]:
        seconds: dict[str, float] = {}
        for name, process in self._named():
            ended = process.cpu_times()
            kind = name.partition("-")[0]
            living = sum(sum(child.cpu_times()[:2]) for child in process.children(recursive=True))
            seconds[kind] = round(seconds.get(kind, 0.0) + sum(ended[:4]) + living, 1)
        return seconds

    def _named(self) -> list[tuple[str, psutil.Process]]:
        return [
            (each["name"], psutil.Process(each["pid"])) for each in self.system.status()["processes"] if each["pid"]
        ]


def run() -> dict[str, Any]:
    print(f"{MANUFACTURERS} manufacturers x {PRODUCTS} products, {BUYERS} buyers")
    with (
        temporary_state() as folder,
        running_system(Path(folder) / "state", PORT_BASE, SETTINGS) as system,
    ):
        return _measure(system)


def _measure(system: RunningSystem) -> dict[str, Any]:
    status = system.status()
    buyers, processes = Buyers(status["shop"]), Processes(system)
    threads = [threading.Thread(target=buyers.buy_until_stopped, args=(n,)) for n in range(1, BUYERS + 1)]
    threads.append(threading.Thread(target=processes.watch))
    with psycopg.connect(status["database"].replace("+psycopg", ""), autocommit=True) as connection:
        _wait_for_supplies(connection, 1)
        before = processes.cpu_seconds()
        for thread in threads:
            thread.start()
        try:
            began, ended = _wait_for_supplies(connection, MANUFACTURERS)
            computed = {kind: round(now - before.get(kind, 0.0), 1) for kind, now in processes.cpu_seconds().items()}
            time.sleep(SELLING_SECONDS)
        finally:
            buyers.stop.set()
            processes.stop.set()
            for thread in threads:
                thread.join()
        offers = connection.execute("SELECT count(*) FROM supply_line").fetchone()
    during = [p for p in buyers.purchases if p[0] <= ended]
    after = [p for p in buyers.purchases if p[0] > ended + 1]
    p99 = {"during": percentile(during, 99), "after": percentile(after, 99)}
    return {
        "gather_seconds": round(ended - began, 1),
        "target_seconds": TARGET_SECONDS,
        "offers": (offers or (0,))[0],
        "purchases_during": len(during),
        "purchases_after": len(after),
        "p50_ms_during": round(percentile(during, 50), 1),
        "p50_ms_after": round(percentile(after, 50), 1),
        "p99_ms_during": round(p99["during"], 1),
        "p99_ms_after": round(p99["after"], 1),
        "p99_ratio": round(p99["during"] / p99["after"], 2),
        "statuses_during": {str(s): sum(p[2] == s for p in during) for s in sorted({p[2] for p in during})},
        "cpu_seconds": computed,
        "memory_mb_max": processes.memory_mb_max,
    }


_BOOKED = """
    SELECT extract(epoch FROM month.gathering_at)::float, extract(epoch FROM clock_timestamp())::float, count(supply.id)
    FROM month LEFT JOIN supply ON supply.month = month.number WHERE month.number = 1 GROUP BY month.number
"""


def _wait_for_supplies(connection: psycopg.Connection[Any], number: int) -> tuple[float, float]:
    """Until so many are booked; unix times of the month's beginning and of now."""
    deadline = time.monotonic() + GATHER_SECONDS_MAX
    while True:
        row = connection.execute(_BOOKED).fetchone()
        if row is not None and row[2] >= number:
            return row[0], row[1]
        if time.monotonic() > deadline:
            message = f"{row[2] if row else 0} of {number} offers were booked"
            raise RuntimeError(message)
        time.sleep(0.2)
