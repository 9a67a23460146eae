"""Repeating a transaction: how often, why, after how long (D5); chance and waiting come in from outside."""

import psycopg
import pytest

from distributor.database import BACKOFF_SECONDS_MAX, Retries, backoff_seconds, repeat
from distributor.errors import Busy, ConnectionLost, DatabaseUnavailable, OutcomeUnknown, TransactionConflict


class Scripted:
    """Raises the given errors, one a call, then returns 42."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.waits: list[float] = []
        self.causes: list[str] = []

    def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return 42

    def retries(self, attempts_max: int, sqlstates: frozenset[str] = frozenset()) -> Retries:
        return Retries(attempts_max, sqlstates, lambda: 1.0, self.waits.append, self.causes.append)


def test_conflicts_and_lost_connections_are_repeated_with_growing_waits() -> None:
    attempt = Scripted(TransactionConflict("40001"), ConnectionLost(), TransactionConflict("40P01"))
    assert repeat(attempt, attempt.retries(4)) == 42
    assert attempt.causes == ["40001", "lost", "40P01"]
    assert attempt.waits == [0.02, 0.04, 0.08]


@pytest.mark.parametrize(
    "error", [OutcomeUnknown(), DatabaseUnavailable(), Busy(), KeyError(), psycopg.errors.UniqueViolation()]
)
def test_everything_else_is_not(error: Exception) -> None:
    attempt = Scripted(error)
    with pytest.raises(type(error)):
        repeat(attempt, attempt.retries(4))
    assert attempt.calls == 1


def test_a_strategy_may_name_more_causes() -> None:
    attempt = Scripted(psycopg.errors.CheckViolation())
    assert repeat(attempt, attempt.retries(4, frozenset({"23514"}))) == 42
    assert attempt.causes == ["23514"]


def test_attempts_are_bounded() -> None:
    conflicts = Scripted(*[TransactionConflict("40001")] * 9)
    with pytest.raises(Busy):
        repeat(conflicts, conflicts.retries(3))
    lost = Scripted(*[ConnectionLost()] * 9)
    with pytest.raises(ConnectionLost):
        repeat(lost, lost.retries(3))
    assert (conflicts.calls, lost.calls) == (3, 3)
    with pytest.raises(ValueError, match="attempts_max"):
        repeat(conflicts, conflicts.retries(0))


def test_the_wait_is_anywhere_between_nothing_and_a_bound_that_stops_growing() -> None:
    assert [backoff_seconds(attempt, 0.0) for attempt in range(1, 50)] == [0.0] * 49
    assert backoff_seconds(3, 0.5) == backoff_seconds(3, 1.0) / 2
    assert backoff_seconds(49, 1.0) == BACKOFF_SECONDS_MAX
