"""Two workers on two cores, which client and servers share: what each proxy gets done, and the processor time it takes."""

import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench.balancer import programs
from bench.balancer.client import KINDS, ask, script
from bench.balancer.latency import Start
from bench.balancer.programs import Place

ROUNDS: Final = 3
SECONDS: Final = 2.0
CONNECTIONS: Final = 128  # the kernel spreads them over listening sockets by chance
CORES: Final = "0,1"
PLACE: Final = Place(cores=CORES, workers=2)
KINDS_ASKED: Final = tuple(kind for kind in KINDS if kind != "never_same")


def two_workers(starts: dict[str, Start], folder: Path) -> dict[str, Any]:
    """By kind of heads and proxy; medians of rounds that go round the proxies."""
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        stack.enter_context(programs.page_servers(folder, CORES))
        running = {name: stack.enter_context(start(folder, PLACE)) for name, start in starts.items()}
        for kind in KINDS_ASKED:
            lua = script(folder, kind)
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in running}
            for program in running.values():
                ask(program.port, lua, connections=CONNECTIONS, seconds=1, cores=CORES)
            for _ in range(ROUNDS):
                for name, program in running.items():
                    before = program.cpu_seconds()
                    result = ask(program.port, lua, connections=CONNECTIONS, seconds=SECONDS, cores=CORES)
                    spent = (program.cpu_seconds() - before) / result.requests * 1e6
                    taken[name].append((spent, result.per_second))
            figures[kind] = {name: _medians(rounds) for name, rounds in taken.items()}
            print(f"two workers: {kind}: {figures[kind]}")
    return figures


def _medians(rounds: list[tuple[float, float]]) -> dict[str, float]:
    return {
        "cpu_us_per_request": round(statistics.median(spent for spent, _ in rounds), 2),
        "requests_per_second": round(statistics.median(rate for _, rate in rounds)),
    }
