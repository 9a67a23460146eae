"""One whole run: fresh system, load, faults, drain, evidence, verdict. The report is made from what this leaves behind.

G1  run.json exists from the first moment and says that the run is not drained until it is: a run that was broken off at
    any point is never judged valid.
G2  Ctrl-C and SIGTERM end the run in order: load, evidence, system. What is there is judged.
G3  Nothing is judged before the system is quiet: every month closed, every event applied (books.what_is_missing).
"""

import contextlib
import datetime as dt
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import checker
from checker.evidence import EvidenceMissing
from scenarios import books, month_table
from scenarios.load_process import LoadProcess
from scenarios.machine import versions
from scenarios.run_files import MONTHS_FILE, RESULT_FILE, RUN_FILE
from scenarios.system import POLL_SECONDS, Start, System, SystemFailed
from scenarios.teller import Teller
from settings import Settings

FIRST_MONTH_SECONDS_MAX = 60.0
CLOSE_SECONDS_MAX = 60.0
DRAIN_SECONDS_MAX = 120.0
WATCH_SECONDS = 0.2
UNFINISHED = "the run was broken off"
STOPPED = "stopped by the user"


class Faults(Protocol):
    """What happens to the system while the load runs."""

    def tick(self, system: System) -> None:
        """Called a few times a second."""

    def report(self) -> list[dict[str, Any]]:
        """Every fault that was done."""


@dataclass
class Recipe:
    """Everything that makes a run what it is."""

    title: str
    settings: Settings
    start: Start
    plan: dict[str, Any]
    """The load's plan; ``shop`` is filled in when the address is known."""
    seed: int
    months: int
    command: str
    faults: Faults | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """What the report should say of this run besides."""


@dataclass
class RunFailed(Exception):
    """The run could not be made; its folder holds what was learned."""

    message: str
    exit_code: int

    def __str__(self) -> str:
        return self.message


class Run:
    """Makes one run in one folder."""

    def __init__(self, recipe: Recipe, run_dir: Path, teller: Teller) -> None:
        self._recipe = recipe
        self._dir = run_dir
        self._teller = teller
        self._production = month_table.ProductionLog()
        self._months_ended: set[int] = set()
        self._phase_began = time.monotonic()
        self._phases: dict[str, float] = {}
        self._facts: dict[str, Any] = {
            "title": recipe.title,
            "seed": recipe.seed,
            "strategy": recipe.settings.distributor.strategy,
            "command": recipe.command,
            "started_at": _now(),
            "finished_at": None,
            "drained": False,
            "drain_reason": UNFINISHED,
            "settings": without_secrets(recipe.settings),
            "versions": versions(),
            "phases_seconds": self._phases,
            "faults": [],
            "facts": recipe.facts,
        }

    def make(self) -> checker.Judgement:
        """Make the run and judge it; raises RunFailed if there is nothing to judge."""
        self._write_facts()
        try:
            with interruptible():
                self._make()
        except KeyboardInterrupt:
            self._teller.say(STOPPED)
            self._facts["drain_reason"] = STOPPED
        except SystemFailed as error:
            self._facts["drain_reason"] = str(error)
            raise RunFailed(str(error), error.exit_code) from error
        finally:
            self._facts["finished_at"] = _now()
            self._write_facts()
            self._teller.close()
        return checker.judge(self._dir)

    def _make(self) -> None:
        self._next_phase("start", "starting the system")
        with System(self._recipe.start, self._dir / "system.log") as system:
            try:
                system.start(self._teller.progress)
                database = books.Database(system.runtime.database_url)
                try:
                    self._use(system, database)
                finally:
                    self._collect(system, database)
                    database.close()
            finally:
                self._next_phase("stop", "stopping the system")
                with uninterrupted():
                    self._facts["stopped_by_itself"] = system.stop()

    def _use(self, system: System, database: books.Database) -> None:
        self._facts["versions"]["postgresql"] = database.version()
        self._facts["versions"]["broker"] = broker_kind(system.runtime.broker_url)
        self._next_phase("first_month", "waiting for the first month's goods")
        self._wait_for_first_month(system, database)
        load = LoadProcess(self._dir, self._recipe.plan | {"shop": system.shop_url})
        try:
            self._next_phase("load", "signing up and shopping")
            self._watch(system, database, load)
        finally:
            with uninterrupted():
                load.stop()
        if load.exit_code != 0:
            self._facts["drain_reason"] = f"the load failed: {self._load_error()}"
            return
        self._next_phase("drain", "waiting until every event has arrived")
        self._facts["drain_reason"] = self._drain(system, database)
        self._facts["drained"] = self._facts["drain_reason"] is None

    def _wait_for_first_month(self, system: System, database: books.Database) -> None:
        """Until month 1 is open with the goods of every manufacturer."""
        wanted = self._recipe.settings.manufacturers.count
        deadline = time.monotonic() + FIRST_MONTH_SECONDS_MAX
        while True:
            system.require_running()
            with contextlib.suppress(books.BooksUnreadable):
                months = database.months()
                if months and months[0].state != "gathering" and database.manufacturers_gathered(1) == wanted:
                    return
            if time.monotonic() > deadline:
                raise SystemFailed(
                    f"month 1 is not open with the goods of {wanted} manufacturers; see {self._dir}/logs"
                )
            time.sleep(POLL_SECONDS)

    def _watch(self, system: System, database: books.Database, load: LoadProcess) -> None:
        """Tell the load about the months, do the faults, show progress, until the load has ended."""
        shopping = False
        while load.running:
            system.require_running()
            self._look_at_months(system, database, load)
            progress = load.latest()
            if progress is not None:
                signed_up = progress["signed_up"]
                shopping = shopping or signed_up["done"] == signed_up["total"]
                self._teller.progress(_progress_text(progress))
            if shopping and self._recipe.faults is not None:
                self._recipe.faults.tick(system)
            time.sleep(WATCH_SECONDS)

    def _look_at_months(self, system: System, database: books.Database, load: LoadProcess | None = None) -> bool:
        """Note months that ended; True when all months of the run are closed."""
        try:
            months = database.months()
            for month in months:
                if month.state == "closed" and month.number not in self._months_ended:
                    self._production.month_ended(month.number, books.produced(system.ledgers))
                    self._months_ended.add(month.number)
        except books.BooksUnreadable as error:
            self._teller.progress(str(error))
            return False
        over = len(self._months_ended) >= self._recipe.months
        current = months[-1] if months else None
        if load is not None and current is not None:
            load.tell_month(current.number, is_open=current.state == "open", over=over)
        return over

    def _drain(self, system: System, database: books.Database) -> str | None:
        """Wait until the books are quiet (G3); returns None, or why they are not."""
        reason: str | None = "not all months are closed"
        deadline = time.monotonic() + CLOSE_SECONDS_MAX + self._recipe.settings.simulation.month_seconds_min
        while not self._look_at_months(system, database):
            system.require_running()
            if time.monotonic() > deadline:
                return reason
            time.sleep(POLL_SECONDS)
        deadline = time.monotonic() + DRAIN_SECONDS_MAX
        while True:
            system.require_running()
            try:
                reason = books.what_is_missing(database, system.ledgers)
            except books.BooksUnreadable as error:
                reason = str(error)
            if reason is None or time.monotonic() > deadline:
                return reason
            self._teller.progress(reason)
            time.sleep(POLL_SECONDS)

    def _collect(self, system: System, database: books.Database) -> None:
        """Evidence for the checker and the monthly table, as far as they can be read."""
        self._next_phase("evidence", "collecting the evidence")
        if self._recipe.faults is not None:
            self._facts["faults"] = self._recipe.faults.report()
        try:
            with uninterrupted():
                self._look_at_months(system, database)
                checker.collect(system.runtime.database_url, system.ledgers, self._dir)
                rows = month_table.collect(database, system.ledgers, self._production.months)
                month_table.write(self._dir / MONTHS_FILE, rows)
        except (EvidenceMissing, books.BooksUnreadable, SystemFailed) as error:
            self._facts["drained"] = False
            self._facts["drain_reason"] = f"the evidence could not be read: {error}"

    def _load_error(self) -> str:
        path = self._dir / RESULT_FILE
        if path.exists():
            return str(json.loads(path.read_text(encoding="utf-8"))["error"])
        return f"it died; see {self._dir / 'load.log'}"

    def _next_phase(self, name: str, text: str) -> None:
        now = time.monotonic()
        if self._facts.get("phase"):
            self._phases[self._facts["phase"]] = round(now - self._phase_began, 3)
        self._facts["phase"] = name
        self._phase_began = now
        self._teller.phase(text)

    def _write_facts(self) -> None:
        if self._facts["finished_at"] and self._facts.get("phase"):
            self._phases[self._facts["phase"]] = round(time.monotonic() - self._phase_began, 3)
        beside = self._dir / (RUN_FILE + ".new")
        beside.write_text(json.dumps(self._facts, indent=2, default=str), encoding="utf-8")
        beside.replace(self._dir / RUN_FILE)


def _progress_text(progress: Mapping[str, Any]) -> str:
    signed_up = progress["signed_up"]
    if signed_up["done"] < signed_up["total"]:
        return f"{signed_up['done']} of {signed_up['total']} customers signed up"
    of = f" of {progress['of']}" if progress["of"] else ""
    return f"{progress['baskets']}{of} baskets"


def without_secrets(settings: Settings) -> dict[str, Any]:
    """All settings as they go into the report; addresses with a password in them lose it."""
    dumped: dict[str, Any] = settings.model_dump(mode="json")
    for section in ("database", "broker"):
        url = dumped[section]["url"]
        scheme, separator, rest = url.partition("://")
        if separator and "@" in rest:
            dumped[section]["url"] = f"{scheme}://***@{rest.rpartition('@')[2]}"
    return dumped


def broker_kind(url: str) -> str:
    return "PostgreSQL queue" if url == "postgres" else "RabbitMQ"


def command_line() -> str:
    """The command as it was given, with main.py's name alone."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does (G2)."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handling((signal.SIGTERM, signal.SIGINT), stop):
        yield


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """What must come to its end: a second Ctrl-C waits."""
    with _handling((signal.SIGTERM, signal.SIGINT), signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handling(
    numbers: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], None] | int
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def prepare_folder(out: Path | None, name: str) -> Path:
    """The run's folder: a new one below runs/, with ``latest`` pointing at it, or the one that was asked for."""
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise RunFailed(f"--out {out}: exists and is not an empty folder", 64)
        out.mkdir(parents=True, exist_ok=True)
        return out.resolve()
    stamp = dt.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    runs = Path("runs")
    for number in range(1000):
        folder = runs / (f"{stamp}-{name}" + (f"-{number}" if number else ""))
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        _point_latest(runs, folder)
        return folder.resolve()
    raise RunFailed(f"no free folder below {runs}", 70)


def _point_latest(runs: Path, folder: Path) -> None:
    """``latest`` is a convenience: where links are not possible the run goes on without it."""
    beside = runs / f".latest-{os.getpid()}"
    with contextlib.suppress(OSError):
        beside.unlink(missing_ok=True)
        beside.symlink_to(folder.name)
        beside.replace(runs / "latest")
