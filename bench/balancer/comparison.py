"""The figures: processor time a request, requests a second, p99 at 80 % load, two workers, idle connections, a choice's cost.

Rounds go round all programs, so that whatever else the machine does hits all of them; medians. The processor time of
the proxy's own process is the steadier figure: the rate also depends on what the client gets of the other core.
"""

import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench.balancer import programs
from bench.balancer.client import KINDS, Result, ask, script
from bench.balancer.idle import idle_connections
from bench.balancer.latency import Start, at_rate
from bench.balancer.programs import ALONE, Program
from bench.balancer.workers import two_workers
from bench.balancer_choice import choices

ROUNDS = 4
SECONDS = 2.0
CONNECTIONS = 32
PACED_ROUNDS = 3
PACED_SECONDS = 3.0
LOAD = 0.8
DELAY_MAX_MS = 20  # a connection asks a hundred times a second on average
IDLE_CONNECTIONS = 5_000

PROXIES: dict[str, Start] = {
    "haproxy": programs.haproxy,
    "haproxy_as_ours": programs.haproxy_as_ours,
    "nginx": programs.nginx,
    "ours": programs.ours,
}


class Round(NamedTuple):
    """One program in one round. ``kernel_us``: that part of ``cpu_us``; both a request."""

    cpu_us: float
    kernel_us: float
    result: Result


def run() -> dict[str, Any]:
    """All figures; where a program is missing, only which package to install."""
    missing = programs.missing_packages()
    if missing:
        print(f"skipped: install {' '.join(missing)} (apt install {' '.join(missing)})")
        return {"skipped": f"not installed: {', '.join(missing)}"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker may run as another user
        figures = _on_one_core(folder)
        figures["at_80_percent"] = at_rate(PROXIES, folder, figures["visitors"]["ours"]["requests_per_second"] * LOAD)
        famous = {name: start for name, start in PROXIES.items() if name != "haproxy_as_ours"}
        figures["two_workers"] = two_workers(famous, folder)
    figures["choice_ns"] = choices()
    return figures | {"targets": _targets(figures)}


def _on_one_core(folder: Path) -> dict[str, Any]:
    """What wrk finds, and idle connections."""
    with ExitStack() as stack:
        stack.enter_context(programs.page_servers(folder))
        running = {name: stack.enter_context(start(folder, ALONE)) for name, start in PROXIES.items()}
        plain = stack.enter_context(programs.aiohttp_proxy(folder))
        figures: dict[str, Any] = {kind: _speed(kind, running, plain, script(folder, kind)) for kind in KINDS}
        rate = figures["visitors"]["ours"]["requests_per_second"] * LOAD
        figures["at_80_percent_by_wrk"] = _paced(running, folder, rate)
        figures["idle"] = {name: idle_connections(program, IDLE_CONNECTIONS) for name, program in running.items()}
    return figures


def _speed(kind: str, running: dict[str, Program], plain: Program, lua: Path) -> dict[str, Any]:
    """As fast as it goes; the aiohttp proxy, which is far behind, in fewer rounds."""
    everyone = running | {"aiohttp": plain}
    taken: dict[str, list[Round]] = {name: [] for name in everyone}
    for program in everyone.values():
        ask(program.port, lua, connections=CONNECTIONS, seconds=1)
    for number in range(ROUNDS):
        for name, program in everyone.items():
            if name != "aiohttp" or number < 2:
                taken[name].append(_once(program, lua))
    figures = {name: _medians(rounds) for name, rounds in taken.items()}
    for name, figure in figures.items():
        print(f"{kind}: {name}: {figure}")
    return figures


def _once(program: Program, lua: Path) -> Round:
    before, kernel_before = program.cpu_seconds(), program.kernel_seconds()
    result = ask(program.port, lua, connections=CONNECTIONS, seconds=SECONDS)
    per_request = 1e6 / result.requests
    spent, kernel = program.cpu_seconds() - before, program.kernel_seconds() - kernel_before
    return Round(spent * per_request, kernel * per_request, result)


def _medians(rounds: list[Round]) -> dict[str, Any]:
    errors = sorted({one.result.errors for one in rounds} - {""})
    return {
        "cpu_us_per_request": round(statistics.median(one.cpu_us for one in rounds), 2),
        "kernel_us_per_request": round(statistics.median(one.kernel_us for one in rounds), 2),
        "requests_per_second": round(statistics.median(one.result.per_second for one in rounds)),
    } | ({"errors": errors} if errors else {})


def _paced(running: dict[str, Program], folder: Path, rate: float) -> dict[str, Any]:
    """The same for all, with what else a client and servers on one core make of it (see both_ends.py)."""
    lua = script(folder, "visitors", delay_max_ms=DELAY_MAX_MS)
    connections = max(1, round(rate * DELAY_MAX_MS / 2000))
    taken: dict[str, list[Result]] = {name: [] for name in running}
    for _ in range(PACED_ROUNDS):
        for name, program in running.items():
            taken[name].append(ask(program.port, lua, connections=connections, seconds=PACED_SECONDS))
    figures = {
        name: {
            "requests_per_second": round(statistics.median(result.per_second for result in results)),
            "p50_ms": round(statistics.median(result.p50_ms for result in results), 3),
            "p99_ms": round(statistics.median(result.p99_ms for result in results), 3),
        }
        for name, results in taken.items()
    }
    print(f"at 80 %, by wrk: {figures}")
    return {"wanted_per_second": round(rate)} | figures


def _targets(figures: dict[str, Any]) -> dict[str, Any]:
    """How near the targets are: ratios of processor time (more is better for ours), and of requests a second."""
    ratios: dict[str, Any] = {}
    for kind in KINDS:
        mine = figures[kind]["ours"]
        for other in ("haproxy", "haproxy_as_ours", "nginx", "aiohttp"):
            theirs = figures[kind][other]
            ratios[f"{kind}_vs_{other}"] = {
                "by_cpu": round(theirs["cpu_us_per_request"] / mine["cpu_us_per_request"], 2),
                "by_rate": round(mine["requests_per_second"] / theirs["requests_per_second"], 2),
            }
    for way in ("at_80_percent", "at_80_percent_by_wrk"):
        late = figures[way]
        ratios[f"{way}_p99_ms_above_haproxy"] = round(late["ours"]["p99_ms"] - late["haproxy"]["p99_ms"], 3)
    late = figures["at_80_percent"]
    calmest = late["ours"]["p99_ms_calmest"] - late["haproxy"]["p99_ms_calmest"]
    ratios["at_80_percent_p99_ms_above_haproxy_calmest"] = round(calmest, 3)
    for kind, by_name in figures["two_workers"].items():
        for other in ("haproxy", "nginx"):
            ratio = by_name["ours"]["requests_per_second"] / by_name[other]["requests_per_second"]
            ratios[f"two_workers_{kind}_vs_{other}"] = round(ratio, 2)
    ratios["idle_mb"] = figures["idle"]["ours"]["rss_mb"]
    return ratios
