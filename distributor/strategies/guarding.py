"""Somebody's own strategy in the running shop: it may be wrong, but it does not take an instance with it.

G1  ``take`` is given up after ``seconds``. By then PostgreSQL has ended whatever it was about: a statement by
    ``statement_timeout``, a transaction that only sits there by ``idle_in_transaction_session_timeout``. So the rows are
    free, the purchase ends with StrategyFailed (definite), and the log names the line at which the strategy hangs.
G2  Python cannot end a thread, so the call is left behind. After ``HUNG_MAX`` of them no further purchase is begun.
G3  What is neither the database's error nor the distributor's becomes StrategyFailed, and so does an answer of the wrong
    shape: never a fault of the shop, never half a purchase. SystemExit ends nothing.
G4  Our own strategies are not wrapped: they are tested instead, and a thread a purchase costs time.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from distributor.errors import DistributorError, StrategyFailed
from distributor.strategies.answers import problem_of
from distributor.strategies.contract import Line, Short, Strategy, Taken
from distributor.strategies.loading import NAMES, load
from distributor.strategies.wrapping import Wrapping
from settings.model import Database

HUNG_MAX = 20  # threads left behind: some megabytes of address space, and a reason to look at the log; chosen
_PASSED_ON = (DBAPIError, psycopg.Error, DistributorError)

log = logging.getLogger(__name__)


def load_guarded(name: str, database: Database) -> Strategy:
    """The strategy called ``name``, wrapped if it is not one of ours (G4); raises UnusableStrategy."""
    strategy = load(name)
    if name in NAMES:
        return strategy
    return Guarded(strategy, seconds=database.idle_in_transaction_timeout_ms / 1000 + 1)


@dataclass
class _Call:
    """One ``take`` in a thread of its own; ``results`` or ``error`` is set when it has ended."""

    strategy: Strategy
    connection: Connection
    baskets: Sequence[Sequence[Line]]
    results: object = None
    error: BaseException | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name="strategy", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.results = self.strategy.take(self.connection, self.baskets)
        except BaseException as error:  # noqa: BLE001 - told by whoever waits for it (G3)
            self.error = error


class Guarded(Wrapping):
    """In the place of the strategy that it wraps; shared by all threads of a process."""

    def __init__(self, strategy: Strategy, seconds: float) -> None:
        super().__init__(strategy)
        self._seconds = seconds
        self._hung: list[_Call] = []
        self._lock = threading.Lock()

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        """Raises StrategyFailed, or what the database raises."""
        self._refuse_where_many_hang()
        call = _Call(self._strategy, connection, baskets)
        call.thread.join(self._seconds)
        if call.thread.is_alive():
            raise self._gave_up(call)
        if call.error is not None:
            raise call.error if isinstance(call.error, _PASSED_ON) else self._failed(call.error) from call.error
        problem = problem_of(baskets, call.results)
        if problem:
            raise StrategyFailed(self._told(f"take {problem}"))
        results: list[Taken | Short] = list(call.results)  # type: ignore[call-overload]  # problem_of looked at it
        return results

    def _refuse_where_many_hang(self) -> None:
        with self._lock:
            self._hung = [call for call in self._hung if call.thread.is_alive()]
            if len(self._hung) >= HUNG_MAX:
                raise StrategyFailed(
                    f"{len(self._hung)} calls of the strategy {self.name} hang; correct it and restart"
                )

    def _gave_up(self, call: _Call) -> StrategyFailed:
        with self._lock:
            self._hung.append(call)
        frame = sys._current_frames().get(call.thread.ident or 0)  # noqa: SLF001 - there is no other way
        where = _line(traceback.extract_stack(frame)) if frame else ""
        return StrategyFailed(self._told(f"take did not end within {self._seconds:g} s{where}"))

    def _failed(self, error: BaseException) -> StrategyFailed:
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        return StrategyFailed(self._told(f"take raised {said}{_line(traceback.extract_tb(error.__traceback__))}"))

    def _told(self, what: str) -> str:
        message = f"strategy {self.name}: {what}"
        log.error("%s", message)
        return message


def _line(frames: traceback.StackSummary) -> str:
    """The innermost line that is neither a library's nor ours: where its author has to look."""
    for frame in reversed(frames):
        if "site-packages" in frame.filename or frame.filename == __file__ or frame.filename.startswith("<"):
            continue
        if Path(frame.filename).is_relative_to(sys.base_prefix) or "distributor" in Path(frame.filename).parts:
            continue
        return f", at {frame.filename}:{frame.lineno}"
    return ""
