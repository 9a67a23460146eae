"""What a number of calls cost: blocks that PostgreSQL looked at, CPU on both sides, time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text

_BLOCKS = text("SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()")
_NOW = text("SELECT pg_stat_force_next_flush(), pg_backend_pid()")


@dataclass(frozen=True)
class Turn:
    """Of one call on average; milliseconds."""

    blocks: float
    postgres_ms: float
    own_ms: float
    ms: float

    @property
    def cpu_ms(self) -> float:
        return self.postgres_ms + self.own_ms


def measure(engine: Engine, call: Callable[[], object], calls: int) -> Turn:
    """``engine`` has one connection, and nothing else uses its database."""
    pid, blocks = _counted(engine)
    computed, own, begun = _computed_ms(pid), time.thread_time(), time.perf_counter()
    for _call in range(calls):
        call()
    waited, own = time.perf_counter() - begun, time.thread_time() - own
    computed = _computed_ms(pid) - computed
    return Turn((_counted(engine)[1] - blocks) / calls, computed / calls, 1000 * own / calls, 1000 * waited / calls)


def _counted(engine: Engine) -> tuple[int, int]:
    """Pid of the connection's process, and the blocks that it has looked at; its own counters are written with a commit."""
    with engine.begin() as connection:
        _, pid = connection.execute(_NOW).one()
    with engine.begin() as connection:
        return pid, int(connection.scalar(_BLOCKS) or 0)


def _computed_ms(pid: int) -> float:
    """On a processor, in nanoseconds' resolution: 40 calls of 0.1 ms are less than a tick of the clock in /proc/PID/stat."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e6
