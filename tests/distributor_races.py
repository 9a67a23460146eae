"""Making races certain instead of likely: threads that start together, and purchases that stop at a chosen statement."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Engine, event

from distributor.database import transaction
from distributor.errors import DistributorError
from distributor.sales import Answer, Line, Sales
from tests.conftest import wait_until

PATIENCE_SECONDS = 60.0


class Meeting:
    """Every thread that has run a statement containing ``fragment`` waits until ``parties`` of them have.

    Where locks keep them from all getting there, the first ones go on after ``seconds``: then nobody waits any more.
    """

    def __init__(self, engine: Engine, fragment: str, parties: int, seconds: float) -> None:
        self._barrier = threading.Barrier(parties)
        self._fragment = fragment
        self._seconds = seconds
        self.all_met = False
        event.listen(engine, "after_cursor_execute", self._arrive)

    def _arrive(self, _connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        if self._fragment not in sql or self._barrier.broken or self.all_met:
            return
        try:
            self._barrier.wait(self._seconds)
            self.all_met = True
        except threading.BrokenBarrierError:
            pass  # a lock held somebody back: that is what the test is about


WAITS_FOR_A_LOCK = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def wait_for_waiters(engine: Engine, count: int = 1) -> None:
    """Until so many wait for a lock that somebody else in this database has."""

    def waiting() -> bool:
        with transaction(engine) as connection:
            return int(connection.exec_driver_sql(WAITS_FOR_A_LOCK).scalar_one()) >= count

    wait_until(waiting, what=f"{count} wait for a lock")


class Pause:
    """Stops the first purchase after (or before) a statement containing ``fragment`` until ``release`` is set."""

    def __init__(self, engine: Engine, fragment: str, *, when: str = "after_cursor_execute") -> None:
        self.reached = threading.Event()
        self.release = threading.Event()
        self._fragment = fragment
        event.listen(engine, when, self._stop)

    def _stop(self, _connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        if self._fragment in sql and not self.reached.is_set():
            self.reached.set()
            if not self.release.wait(PATIENCE_SECONDS):
                raise TimeoutError(self._fragment)


def at_once(actions: Sequence[Callable[[], object]]) -> list[Any]:
    """Run all actions in threads that start together; what each returned, or the error that it raised."""
    start = threading.Barrier(len(actions))
    results: list[Any] = [None] * len(actions)

    def run(index: int) -> None:
        start.wait(PATIENCE_SECONDS)
        try:
            results[index] = actions[index]()
        except Exception as error:  # noqa: BLE001 - handed to the test
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "a thread hangs"
    return results


def in_background(action: Callable[[], object]) -> tuple[threading.Thread, list[Any]]:
    """Start ``action``; its result or error appears in the list when the thread has ended."""
    result: list[Any] = []

    def run() -> None:
        try:
            result.append(action())
        except Exception as error:  # noqa: BLE001 - handed to the test
            result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, result


def buy(sales: Sales, customer: int, key: str, *lines: Line) -> Answer:
    return sales.place(customer, key, lines, hashlib.sha256(repr(lines).encode()).hexdigest())


def tally(results: Sequence[Any]) -> Counter[Any]:
    """How many got which status; errors by the name of their class."""
    found: Counter[Any] = Counter()
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, DistributorError):
            raise result
        found[result.status if isinstance(result, Answer) else type(result).__name__] += 1
    return found
