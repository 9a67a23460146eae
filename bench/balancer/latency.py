"""How long a proxy keeps a request at 80 % load: at the rate that is 80 % of what ours can do, the same for all.

That is the strictest reading: HAProxy and nginx have less to do at this rate. At 80 % of what they themselves can do there
is nothing left of the other core for a client (they have as much to compute as client and servers together).
"""

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final

from bench.balancer.programs import OTHERS_CORE, PORT_BASE, ROOT, Place, Program, pinned

ROUNDS: Final = 5
SECONDS: Final = 1.5
WARMING_RATE: Final = 5_000
SERVER_PORTS: Final = (PORT_BASE + 5, PORT_BASE + 6, PORT_BASE + 7)
PLACE: Final = Place(SERVER_PORTS)

Start = Callable[[Path, Place], AbstractContextManager[Program]]
Ask = Callable[[Program, float, float], dict[str, Any]]


def at_rate(starts: dict[str, Start], folder: Path, rate: float) -> dict[str, Any]:
    """Medians of rounds that go round the proxies.

    ``core_busy``: the share of its core that a proxy computes; ``p99_ms_calmest``: of the round with the lowest one, for
    whatever else the machine does can only add to it.
    """
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in starts}
    with _both_ends() as ask, ExitStack() as stack:
        running = {name: stack.enter_context(start(folder, PLACE)) for name, start in starts.items()}
        for program in running.values():
            ask(program, WARMING_RATE, 1.0)
        for _ in range(ROUNDS):
            for name, program in running.items():
                before = program.cpu_seconds()
                figures = ask(program, rate, SECONDS)
                busy = (program.cpu_seconds() - before) / SECONDS
                taken[name].append(figures | {"core_busy": round(busy, 3)})
    medians = {
        name: {key: round(statistics.median(figures[key] for figures in rounds), 3) for key in rounds[0]}
        | {"p99_ms_calmest": min(figures["p99_ms"] for figures in rounds)}
        for name, rounds in taken.items()
    }
    for name, figures in medians.items():
        print(f"at 80 %: {name}: {figures}")
    return {"wanted_per_second": round(rate)} | medians


@contextlib.contextmanager
def _both_ends() -> Iterator[Ask]:
    """The process that is client and servers; what asks it."""
    command = [sys.executable, "-m", "bench.balancer.both_ends", *map(str, SERVER_PORTS)]
    with subprocess.Popen(
        pinned(command, OTHERS_CORE), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - they are pipes
        to, back = process.stdin, process.stdout
        back.readline()  # it listens

        def ask(program: Program, rate: float, seconds: float) -> dict[str, Any]:
            to.write(f"{program.port} {rate} {seconds}\n")
            to.flush()
            line = back.readline()
            if not line:
                raise RuntimeError(f"client and servers of {program.name} came to an end: see above")
            figures: dict[str, Any] = json.loads(line)
            return figures

        try:
            yield ask
        finally:
            to.close()  # it ends with its input
