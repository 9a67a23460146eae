"""How long a start takes, how much memory a whole default system has, how much it computes while nobody shops.

Memory is the sum of PSS over all processes (shared pages counted once); CPU is user + system time over the idle period.
"""

import statistics
import time
from pathlib import Path
from typing import Any

from bench.running_system import RunningSystem, running_system, temporary_state

ROUNDS = 3
IDLE_SECONDS = 20.0
SETTLE_SECONDS = 5.0
PORT_BASE = 31_000


def run() -> dict[str, Any]:
    """Measure both carriers; returns the figures."""
    return {broker: _measure(broker) for broker in ("postgres", "auto")}


def _measure(broker: str) -> dict[str, Any]:
    with temporary_state() as folder:
        state = Path(folder) / "state"
        settings = [f"broker.url={broker}", "customers.simulated=0"]
        with running_system(state, PORT_BASE, settings) as system:
            first = system.seconds_to_ready
        later = []
        for _ in range(ROUNDS):
            with running_system(state, PORT_BASE, settings) as system:
                later.append(system.seconds_to_ready)
                carrier = system.status()["broker"].partition(":")[0]
        with running_system(state, PORT_BASE, settings) as system:
            figures = _idle(system)
    figures |= {
        "carrier": carrier,
        "first_start_seconds": round(first, 2),
        "later_start_seconds_median": round(statistics.median(later), 2),
    }
    print(f"broker.url {broker}: {figures}")
    return figures


def _idle(system: RunningSystem) -> dict[str, Any]:
    time.sleep(SETTLE_SECONDS)  # the first gather and the first health checks are not idleness
    processes = system.processes()
    before = _cpu_seconds(processes)
    time.sleep(IDLE_SECONDS)
    used = {pid: seconds - before.get(pid, 0.0) for pid, seconds in _cpu_seconds(processes).items()}
    names = {process["pid"]: process["name"] for process in system.status()["processes"]}
    pss = {names.get(p.pid, p.name()): _pss_mb(p) for p in processes}
    return {
        "memory_pss_mb": round(sum(_pss_mb(p) for p in processes)),
        "memory_rss_mb": round(sum(p.memory_info().rss for p in processes) / 1e6),
        "idle_cpu_percent_of_one_core": round(100 * sum(used.values()) / IDLE_SECONDS, 2),
        "idle_cpu_percent_by_process": {
            names.get(p.pid, p.name()): round(100 * used.get(p.pid, 0.0) / IDLE_SECONDS, 2) for p in processes
        },
        "memory_pss_mb_by_process": {name: round(mb) for name, mb in pss.items()},
    }


def _cpu_seconds(processes: list[Any]) -> dict[int, float]:
    return {p.pid: sum(p.cpu_times()[:2]) for p in processes if p.is_running()}


def _pss_mb(process: Any) -> float:
    return float(process.memory_full_info().pss) / 1e6
