"""What a child of the nursery does: tries one strategy on one database, and writes what it finds as events.

Events, one JSON object a line: {"begun": step}, {"moved": true}, {"home": file}, {"check": …}, {"figures": …},
{"ended": true}. A child that ends without the last one was ended by its strategy. It is thrown away afterwards, with
whatever the strategy did to it.
"""

import faulthandler
import gc
import json
import resource
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine

from distributor.database import make_engine
from distributor.errors import DistributorError
from distributor.strategies import UnusableStrategy, load
from grading import faults, measuring, races
from grading.checks import CONTRACT, Check
from grading.conduct import Conduct, finding
from grading.contract import CASES, Unmet
from grading.crowd import Ground, Stuck
from grading.world import World
from settings import Settings
from settings.model import Database

POOL_SIZE = 32
ADDRESS_SPACE_BYTES_MAX = 4 * 2**30
OUTPUT_BYTES_MAX = 64 * 2**20
EVENTS_FILE, OUTPUT_FILE, STACKS_FILE, GO_FILE = "events.jsonl", "output.txt", "stacks.txt", "go"
GO_SECONDS_MAX = 30.0
MOVED_SECONDS = 0.5
# Races have many waiters on one row; a wait there must not be taken for a fault.
WAITS = {"lock_timeout_ms": 20_000, "statement_timeout_ms": 25_000, "idle_in_transaction_timeout_ms": 30_000}
WAITS |= {"pool_wait_ms": 20_000}


@dataclass(frozen=True)
class Task:
    """``exercise``: contract, races, faults, instance or measure. ``folder``: where the events go. ``settings``: as JSON."""

    exercise: str
    strategy: str
    url: str
    folder: str
    seed: int
    quick: bool
    settings: dict[str, Any]
    parameters: dict[str, Any]


def run(task: Task) -> None:
    """Everything; returns when the child may end."""
    folder = Path(task.folder)
    with (folder / EVENTS_FILE).open("a", encoding="utf-8") as events, (folder / STACKS_FILE).open("w") as stacks:
        faulthandler.register(signal.SIGUSR1, file=stacks, all_threads=True)
        _Pupil(task, _Events(events.write, events.flush)).work()


class _Events:
    def __init__(self, write: Callable[[str], object], flush: Callable[[], None]) -> None:
        self._write, self._flush = write, flush
        self._lock = threading.Lock()

    def tell(self, **event: Any) -> None:
        with self._lock:
            self._write(json.dumps(event) + "\n")
            self._flush()


class _Pupil:
    def __init__(self, task: Task, events: _Events) -> None:
        self._task = task
        self._tell = events.tell
        self._moved_at = time.monotonic()

    def work(self) -> None:
        self._tell(begun="loading")
        settings = Settings.model_validate(self._task.settings)
        conduct = Conduct(self._check, self._moved)
        conduct.watch_process()  # a file's `from time import sleep` must get what is watched
        try:
            strategy = conduct.watched(load(self._task.strategy))
        except UnusableStrategy as error:
            self._check(finding("loads", str(error)))
            return
        self._tell(home=str(conduct.home))
        database = Database.model_validate(settings.database.model_dump() | WAITS)
        settings = settings.model_copy(update={"database": database})
        engine = make_engine(self._task.url, database, pool_size=POOL_SIZE, application_name=f"grade {strategy.name}")
        conduct.watch_engine(engine)
        ground = Ground(
            engine, strategy, conduct, settings, self._task.seed, self._task.quick, self._check, self._begin
        )
        try:
            self._exercise(ground)
        except (DistributorError, Stuck) as error:
            self._check(finding("raises", f"{type(error).__name__}: {error}", conduct.home.name))
        self._tell(begun="leaving")
        self._look_for_leaks(engine, conduct)
        self._tell(causes=dict(ground.causes))
        self._tell(ended=True)

    def _begin(self, step: str) -> None:
        self._tell(begun=step)

    def _moved(self) -> None:
        """A long step is no hang as long as purchases end in it."""
        now = time.monotonic()
        if now - self._moved_at > MOVED_SECONDS:
            self._moved_at = now
            self._tell(moved=True)

    def _check(self, check: Check) -> None:
        self._tell(check=asdict(check))

    def _exercise(self, ground: Ground) -> None:
        match self._task.exercise:
            case "contract":
                _contract(ground)
            case "races":
                races.run(ground)
            case "faults":
                faults.run(ground)
            case "measure":
                self._tell(figures=measuring.run(ground, float(self._task.parameters["seconds"])))
            case "instance":
                given = self._task.parameters
                world = World(tuple(given["stock"]), tuple(given["customers"]))
                ground.begin("instance")
                self._tell(figures=races.instance(ground, world, int(given["number"]), self._wait_for_go))

    def _wait_for_go(self) -> None:
        """All instances begin together: each says that it is there, whoever started them makes a file."""
        self._tell(waiting=True)
        deadline = time.monotonic() + GO_SECONDS_MAX
        while not (Path(self._task.folder).parent / GO_FILE).exists():
            if time.monotonic() > deadline:
                raise Stuck("the other instance never came")
            threading.Event().wait(0.005)

    def _look_for_leaks(self, engine: Engine, conduct: Conduct) -> None:
        gc.collect()
        out = engine.pool.checkedout()  # type: ignore[attr-defined]
        engine.dispose()
        port = engine.url.port
        sockets = psutil.Process().net_connections("tcp")
        kept = sum(c.status == psutil.CONN_ESTABLISHED and bool(c.raddr) and c.raddr.port == port for c in sockets)
        if kept:
            what = "taken from the pool and not given back" if out else "opened and not closed"
            where = conduct.line_of.get("connects", conduct.home.name)
            conduct.note("leaks", f"{kept} connection(s) {what}", where)


def _contract(ground: Ground) -> None:
    for case in CASES:
        ground.begin(case.name)
        seen = ""
        try:
            case.run(ground.engine, ground.strategy)
        except Unmet as unmet:
            seen = str(unmet)
        except Exception as error:  # noqa: BLE001 - whatever a strategy raises is a case not met
            seen = f"{type(error).__name__}: {str(error).partition(chr(10))[0]:.200}"
        ground.tell(Check(CONTRACT, case.name, case.sentence, not seen, seen, clause=case.clause))


def limit_resources() -> None:
    """Beyond these the kernel says no; long before, the grader sees it."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES_MAX, ADDRESS_SPACE_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_BYTES_MAX, OUTPUT_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
