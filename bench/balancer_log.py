"""What the access log costs: processor time a request in either format, beside the same balancer without one.

Rounds go round all three, so that whatever else the machine does hits all of them; medians. The thread that writes the log
is part of its process, so its work is in the figure. And the delays of requests at the same, moderate rate.
"""

import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench.balancer import programs
from bench.balancer.client import Result, ask, script
from bench.balancer.programs import Program

KINDS: Final = ("none", "combined", "json")
HEADS: Final = ("same", "visitors")
ROUNDS: Final = 5
SECONDS: Final = 2
CONNECTIONS: Final = 32
PACED_CONNECTIONS: Final = 40
PACED_DELAY_MAX_MS: Final = 20  # 40 connections then ask some 4,000 times a second


def run() -> dict[str, Any]:
    """The figures; where a program is missing, only which package to install."""
    missing = [package for package in programs.missing_packages() if package != "haproxy"]
    if missing:
        print(f"skipped: apt install {' '.join(missing)}")
        return {"skipped": f"not installed: {', '.join(missing)}"}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker may run as another user
        stack.enter_context(programs.page_servers(folder))
        running = {kind: stack.enter_context(programs.ours(folder, log_kind=kind)) for kind in KINDS}
        figures: dict[str, Any] = {heads: _costs(running, script(folder, heads)) for heads in HEADS}
        figures["paced"] = _delays(running, script(folder, "visitors", delay_max_ms=PACED_DELAY_MAX_MS))
    return figures


def _costs(running: dict[str, Program], lua: Path) -> dict[str, Any]:
    taken: dict[str, list[float]] = {kind: [] for kind in running}
    for program in running.values():
        ask(program.port, lua, connections=CONNECTIONS, seconds=1)
    for _ in range(ROUNDS):
        for kind, program in running.items():
            before = program.cpu_seconds()
            result = ask(program.port, lua, connections=CONNECTIONS, seconds=SECONDS)
            taken[kind].append((program.cpu_seconds() - before) / result.requests * 1e6)
    medians = {kind: round(statistics.median(values), 2) for kind, values in taken.items()}
    figures = {
        "cpu_us_per_request": medians,
        "ratio": {kind: round(medians[kind] / medians["none"], 2) for kind in KINDS if kind != "none"},
    }
    print(f"{lua.stem}: {figures}")
    return figures


def _delays(running: dict[str, Program], lua: Path) -> dict[str, Any]:
    taken: dict[str, list[Result]] = {kind: [] for kind in running}
    for _ in range(3):
        for kind, program in running.items():
            taken[kind].append(ask(program.port, lua, connections=PACED_CONNECTIONS, seconds=SECONDS))
    figures = {
        kind: {
            "requests_per_second": round(statistics.median(result.per_second for result in results)),
            "p50_ms": round(statistics.median(result.p50_ms for result in results), 3),
            "p99_ms": round(statistics.median(result.p99_ms for result in results), 3),
        }
        for kind, results in taken.items()
    }
    print(f"paced: {figures}")
    return figures
