"""A million offers: a hundred manufacturers with 10,000 products each, gathered twice, the second time while customers buy.

The first gather finds an empty database and makes every row; the second adds to rows that are there. Both are timed from
the month's beginning until every supply was seen booked. Between the two, customers buy undisturbed while the production lines
make at least one more of everything. Purchases that began during the second gather are compared with those before it.
``memory_mb_max``: the most resident memory of each process; ``cpu_seconds``: what each kind computed during the second gather.
"""

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import requests

from bench.gather import Buyers, percentile
from bench.running_system import RunningSystem, running_system, temporary_state
from settings import Runtime

MANUFACTURERS, PRODUCTS = 100, 10_000
BUYERS = 4
SELLING_SECONDS = 75  # between the gathers: a line makes one unit of each of its products in 60
GATHER_SECONDS_MAX = 600.0
PORT_BASE = 26_100
SETTINGS = (
    f"manufacturers.count={MANUFACTURERS}",
    f"manufacturers.products_per_manufacturer={PRODUCTS}",
    "manufacturers.manufacturers_per_process=50",
    f"manufacturers.units_per_month={60 * PRODUCTS}",
    "manufacturers.batch_units=1",
    "manufacturers.initial_units_per_product=5",
    "manufacturers.capacity_units_per_product=5",
    "manufacturers.breakdown_probability=0",
    "simulation.month_seconds=3600",
    "customers.simulated=0",
    "broker.url=postgres",
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
            seconds[kind] = seconds.get(kind, 0.0) + sum(ended[:4]) + living
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
    with psycopg.connect(status["database"].replace("+psycopg", ""), autocommit=True) as connection:
        first = _gathered(connection, 1)
        print(json.dumps({"first": first}))
        buyers, processes = Buyers(status["shop"]), Processes(system)
        threads = [threading.Thread(target=buyers.buy_until_stopped, args=(n,)) for n in range(1, BUYERS + 1)]
        threads.append(threading.Thread(target=processes.watch))
        for thread in threads:
            thread.start()
        try:
            time.sleep(SELLING_SECONDS)
            computed = processes.cpu_seconds()
            closed_at = time.time()
            _close_month(system)
            second = _gathered(connection, 2)
            computed = {kind: round(now - computed.get(kind, 0.0), 1) for kind, now in processes.cpu_seconds().items()}
        finally:
            buyers.stop.set()
            processes.stop.set()
            for thread in threads:
                thread.join()
        began, ended = second["began"], second["ended"]
    before = [p for p in buyers.purchases if p[0] < closed_at - 1]
    during = [p for p in buyers.purchases if began <= p[0] <= ended]
    p99 = {"before": percentile(before, 99), "during": percentile(during, 99)}
    return {
        "first_gather_seconds": round(first["ended"] - first["began"], 1),
        "gather_seconds": round(ended - began, 1),
        "offers": second["offers"],
        "month_end_seconds": round(began - closed_at, 1),
        "purchases_before": len(before),
        "purchases_during": len(during),
        "p99_ms_before": round(p99["before"], 1),
        "p99_ms_during": round(p99["during"], 1),
        "p99_ratio": round(p99["during"] / p99["before"], 2),
        "p50_ms_before": round(percentile(before, 50), 1),
        "p50_ms_during": round(percentile(during, 50), 1),
        "statuses_during": {str(s): sum(p[2] == s for p in during) for s in sorted({p[2] for p in during})},
        "cpu_seconds": computed,
        "memory_mb_max": processes.memory_mb_max,
    }


_GATHERED = """
    SELECT extract(epoch FROM month.gathering_at)::float, extract(epoch FROM clock_timestamp())::float, count(supply.id)
    FROM month LEFT JOIN supply ON supply.month = month.number WHERE month.number = %s GROUP BY month.number
"""


def _gathered(connection: psycopg.Connection[Any], month: int) -> dict[str, Any]:
    """When every manufacturer's offer of the month is booked: unix times of the beginning and of the last one."""
    deadline = time.monotonic() + GATHER_SECONDS_MAX
    while True:
        row = connection.execute(_GATHERED, (month,)).fetchone()
        if row is not None and row[2] == MANUFACTURERS:
            break
        if time.monotonic() > deadline:
            message = f"month {month}: {row[2] if row else 0} of {MANUFACTURERS} offers were booked"
            raise RuntimeError(message)
        time.sleep(0.2)
    offers = connection.execute(
        "SELECT count(*) FROM supply JOIN supply_line ON supply_id = supply.id WHERE month = %s", (month,)
    ).fetchone()
    return {"began": row[0], "ended": row[1], "offers": (offers or (0,))[0]}


def _close_month(system: RunningSystem) -> None:
    runtime = Runtime.read(system.state)
    url = next(each["url"] for each in system.status()["processes"] if each["name"] == "distributor")
    headers = {"Authorization": f"Bearer {runtime.secrets.control_token}"}
    requests.post(f"{url}/internal/months/close", headers=headers, timeout=30).raise_for_status()
