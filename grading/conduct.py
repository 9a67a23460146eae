"""How a strategy behaves while it takes: watched inside its own process, each finding with the author's line.

W1  What is watched is the call of ``take``: outside it (in the shop's code) nothing is noted.
W2  Nothing is prevented, only noted: a strategy that sleeps does sleep. What cannot be noted from inside (a hang, memory,
    a killed process) is seen from outside, by supervision.py.
W3  One finding a kind and line, the first one that was seen.

The child process that this runs in is thrown away afterwards, so it may replace functions of the standard library.
"""

import builtins
import inspect
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

from distributor.database import CONFLICTS, SESSION_ENDED, WAITED_TOO_LONG, sqlstate_of
from distributor.errors import DistributorError, StrategyFailed
from distributor.strategies.answers import problem_of
from distributor.strategies.contract import Line, Short, Strategy, Taken
from distributor.strategies.wrapping import Wrapping
from grading.checks import CONDUCT, Check

CPU_SECONDS_MAX = 0.5  # of one take; ours need a millisecond
OUTSIDE_SECONDS_MAX = 1.0  # of one take, neither in the database nor computing; ours need a millisecond
PRINTED_CHARACTERS_MAX = 50_000  # in one exercise
_EXPECTED_STATES = CONFLICTS | WAITED_TOO_LONG | SESSION_ENDED
_ENDS_TRANSACTION = re.compile(
    r"\s*(COMMIT|END|ROLLBACK(?!\s+TO)|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION)\b", re.I
)
_STOCK = re.compile(r"\bstock\b", re.I)

SENTENCES = {
    "raises": ("take raises nothing but the database's errors.", "C4"),
    "answers": ("take answers with one Taken or Short for each basket.", "C3"),
    "commits": ("take leaves commit and rollback to the caller.", "C1"),
    "swallows": ("take lets the database's errors through, so that the whole purchase is repeated.", "C1"),
    "sleeps": ("take does not sleep while rows are locked.", "C4"),
    "connects": ("take uses the connection that it is given, and no other.", "C4"),
    "calls": ("take calls nothing but the database.", "C4"),
    "computes": ("take leaves the processor to others.", "C4"),
    "waits": ("take waits for nothing but the database.", "C4"),
    "leaks": ("No connection is kept after the purchase.", "C4"),
    "exits": ("The strategy does not end the process.", "C4"),
    "hangs": ("take comes back.", "C4"),
    "memory": ("The strategy does not eat the memory.", "C4"),
    "prints": ("The strategy does not flood the log.", "C4"),
    "idles": ("No session sits idle in a transaction.", "C4"),
    "loads": ("The file can be loaded, and its class fits the contract.", "C1"),
}


def finding(kind: str, seen: str, where: str = "") -> Check:
    sentence, clause = SENTENCES[kind]
    return Check(CONDUCT, kind, sentence, passed=False, seen=seen, where=where, clause=clause)


@dataclass
class _Call:
    """One ``take`` that is going on in a thread."""

    began: float
    cpu_began: float
    sql_seconds: float = 0.0
    statement_began: float = 0.0
    error: str = ""
    error_where: str = ""
    met: bool = False


class Rendezvous:
    """Everybody who has looked at stock for the first time in a ``take`` waits until ``parties`` have, or ``seconds``.

    So a race takes place with certainty wherever a strategy allows it. Where locks keep them apart, the wait ends by itself.
    """

    def __init__(self, parties: int, seconds: float) -> None:
        self._barrier = threading.Barrier(parties)
        self._seconds = seconds

    def arrive(self) -> None:
        if not self._barrier.broken:
            try:
                self._barrier.wait(self._seconds)
            except threading.BrokenBarrierError:
                return


class Conduct:
    """Watches one strategy in this process: `watch_process`, then load the strategy, then `watched`."""

    def __init__(self, tell: Callable[[Check], None], moved: Callable[[], None] = lambda: None) -> None:
        """``tell``: of each finding; ``moved``: after each take, whatever came of it."""
        self.home = Path()
        self._moved = moved
        self.rendezvous: Rendezvous | None = None
        self._tell = tell
        self.line_of: dict[str, str] = {}
        """Where each kind of finding was seen first."""
        self._told: set[tuple[str, str]] = set()
        self._printed = 0
        self._lock = threading.Lock()
        self._here = threading.local()

    def watched(self, strategy: Strategy) -> Strategy:
        """What the shop is given in the place of ``strategy``."""
        self.home = Path(inspect.getfile(type(strategy))).resolve()
        return Watched(strategy, self)

    # -- notes ------------------------------------------------------------------------------------------------------

    def note(self, kind: str, seen: str, where: str | None = None) -> None:
        where = self.where() if where is None else where
        with self._lock:
            self.line_of.setdefault(kind, where)
            if (kind, where) in self._told:
                return
            self._told.add((kind, where))
        self._tell(finding(kind, seen, where))

    def where(self, frames: traceback.StackSummary | None = None) -> str:
        """The author's innermost line among these frames (default: where we are)."""
        for frame in reversed(frames or traceback.extract_stack(sys._getframe(1))):  # noqa: SLF001 - as traceback does
            if Path(frame.filename).resolve() == self.home:
                return f"{self.home.name}:{frame.lineno}"
        return ""

    @property
    def call(self) -> _Call | None:
        call: _Call | None = getattr(self._here, "call", None)
        return call

    # -- one take ---------------------------------------------------------------------------------------------------

    def take(
        self, strategy: Strategy, connection: Connection, baskets: Sequence[Sequence[Line]]
    ) -> list[Taken | Short]:
        """Call it; raises what the database raises, and StrategyFailed for whatever else is wrong."""
        call = self._here.call = _Call(time.perf_counter(), time.thread_time())
        try:
            results: object = strategy.take(connection, baskets)
        except (DBAPIError, psycopg.Error) as error:
            self._note_unexpected(error, strategy)
            raise
        except DistributorError:
            raise
        except BaseException as error:
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            kinds = {SystemExit: "exits", MemoryError: "memory"}
            self.note(kinds.get(type(error), "raises"), said, self._raised_at(error))
            raise StrategyFailed(f"take raised {said}") from error
        finally:
            self._here.call = None
            self._note_time(call)
            self._moved()
        self._note_status(connection, call)
        problem = problem_of(baskets, results)
        if problem:
            self.note("answers", f"take {problem}", self._defined_at(strategy))
            raise StrategyFailed(f"take {problem}")
        return list(results)  # type: ignore[call-overload,no-any-return]  # problem_of looked at it

    def _raised_at(self, error: BaseException) -> str:
        return self.where(traceback.extract_tb(error.__traceback__))

    def _defined_at(self, strategy: Strategy) -> str:
        try:
            return f"{self.home.name}:{inspect.getsourcelines(type(strategy).take)[1]}"
        except (OSError, TypeError):
            return self.home.name

    def _note_unexpected(self, error: DBAPIError | psycopg.Error, strategy: Strategy) -> None:
        state = sqlstate_of(error) or ""
        if state and state not in _EXPECTED_STATES and state not in strategy.retry_on:
            said = str(getattr(error, "orig", None) or error).partition("\n")[0]
            hint = "; put it into retry_on if repeating helps" if state == "23514" else ""
            self.note("raises", f"the database's {state}, {said}{hint}", self._raised_at(error))

    def _note_time(self, call: _Call) -> None:
        computed = time.thread_time() - call.cpu_began
        outside = time.perf_counter() - call.began - call.sql_seconds - computed
        if computed > CPU_SECONDS_MAX:
            self.note("computes", f"one take needed {computed:.1f} s of the processor", self.home.name)
        if outside > OUTSIDE_SECONDS_MAX:
            self.note(
                "waits", f"one take spent {outside:.1f} s outside the database, with its locks held", self.home.name
            )

    def _note_status(self, connection: Connection, call: _Call) -> None:
        driver: Any = connection.connection.driver_connection
        if call.error and driver.info.transaction_status is TransactionStatus.INERROR:
            self.note("swallows", f"{call.error} was caught; the transaction is lost all the same", call.error_where)

    # -- what is watched --------------------------------------------------------------------------------------------

    def watch_process(self) -> None:
        """Replace what a strategy could sleep, exit or connect with, before its file is loaded."""
        self._replace(time, "sleep", "sleeps", lambda seconds: f"time.sleep({seconds})")
        self._replace(os, "_exit", "exits", lambda code: f"os._exit({code})", always=True)
        self._replace(os, "abort", "exits", lambda: "os.abort()", always=True)
        self._replace(psycopg, "connect", "connects", lambda *_a, **_k: "a second connection was opened within take")
        self._replace(
            psycopg.Connection, "connect", "connects", lambda *_a, **_k: "a second connection was opened within take"
        )
        self._watch_print()
        sys.addaudithook(self._audit)

    def _watch_print(self) -> None:
        genuine = builtins.print

        def instead(*values: Any, **named: Any) -> None:
            if self.call:
                self._printed += sum(len(str(value)) for value in values)
                if self._printed > PRINTED_CHARACTERS_MAX:
                    self.note("prints", f"{self._printed:,} characters were printed, and counting")
            genuine(*values, **named)

        builtins.print = instead

    def _replace(self, module: Any, name: str, kind: str, says: Callable[..., str], *, always: bool = False) -> None:
        genuine = getattr(module, name)

        def instead(*arguments: Any, **named: Any) -> Any:
            if self.call or always:
                self.note(kind, says(*arguments, **named))
            return genuine(*arguments, **named)

        setattr(module, name, instead)

    def _audit(self, happening: str, arguments: tuple[Any, ...]) -> None:
        if getattr(self._here, "call", None) is None:
            return
        if happening == "socket.connect":
            self.note("calls", f"a network connection to {arguments[1]!r:.60}")
        elif happening in {"subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.exec"}:
            self.note("calls", f"another program was started ({happening})")

    def watch_engine(self, engine: Engine) -> None:
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)
        event.listen(engine, "handle_error", self._failed)
        event.listen(engine, "commit", lambda _connection: self._ended("connection.commit()"))
        event.listen(engine, "rollback", lambda _connection: self._ended("connection.rollback()"))
        event.listen(engine.pool, "checkout", lambda *_: self._checked_out())

    def _checked_out(self) -> None:
        if self.call:
            self.note("connects", "a second connection was taken from the pool within take")

    def _ended(self, said: str) -> None:
        if self.call:
            self.note("commits", f"{said} within take")

    def _before(self, _connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        call = self.call
        if call is None:
            return
        call.statement_began = time.perf_counter()
        if _ENDS_TRANSACTION.match(sql):
            self.note("commits", f"{sql.strip()[:40]} within take")

    def _after(self, _connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        call = self.call
        if call is None:
            return
        if self.rendezvous and not call.met and _STOCK.search(sql):
            call.met = True
            self.rendezvous.arrive()
        call.sql_seconds += time.perf_counter() - call.statement_began

    def _failed(self, context: Any) -> None:
        call = self.call
        if call is None:
            return
        call.sql_seconds += time.perf_counter() - call.statement_began
        said = str(context.original_exception).partition("\n")[0]
        call.error = f"{sqlstate_of(context.original_exception) or 'an error'} ({said})"
        call.error_where = self.where()


class Watched(Wrapping):
    """The strategy, as the shop sees it; every ``take`` goes through `Conduct`."""

    def __init__(self, strategy: Strategy, conduct: Conduct) -> None:
        super().__init__(strategy)
        self._conduct = conduct

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        return self._conduct.take(self._strategy, connection, baskets)
