"""Somebody's own strategy in the running shop (distributor/strategies/guarding.py), without a database."""

import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from distributor.errors import Busy, ShortLine, StrategyFailed
from distributor.strategies import guarding, load_guarded
from distributor.strategies.contract import IsolationLevel, Line, Short
from distributor.strategies.guarding import Guarded
from settings.model import Database
from tests.conftest import wait_until

SHORT = Short((ShortLine(1, 2, 0),))
BASKETS = [(Line(1, 2),)]


class Own:
    name = "own"
    isolation: IsolationLevel = "READ COMMITTED"
    retry_on: frozenset[str] = frozenset()
    groups_max = 1

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act = act

    def take(self, _connection: object, _baskets: Sequence[Sequence[Line]]) -> Any:
        return self._act()


def take(act: Callable[[], Any], seconds: float = 10) -> object:
    return Guarded(Own(act), seconds).take(None, BASKETS)  # type: ignore[arg-type]


def test_what_a_sound_strategy_answers_is_passed_on() -> None:
    assert take(lambda: (SHORT,)) == [SHORT]


@pytest.mark.parametrize("error", [Busy(), psycopg.errors.DeadlockDetected()])
def test_errors_of_the_database_and_of_the_distributor_keep_their_meaning(error: Exception) -> None:
    """They decide whether the transaction is repeated."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        take(fail)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: sys.exit(3), "SystemExit: 3"),
        (lambda: None, "returned None"),
        (lambda: [SHORT, SHORT], "returned 2 results for 1 baskets"),
    ],
)
def test_any_other_failure_is_the_strategys_own_and_definite(act: Callable[[], Any], said: str) -> None:
    """G3"""
    with pytest.raises(StrategyFailed, match=said) as caught:
        take(act)
    assert caught.value.definite


def test_a_failure_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def act():\n    return 1 / 0\n")
    scope: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), scope)
    with pytest.raises(StrategyFailed, match=f"at {file}:2"):
        take(scope["act"])


def test_a_call_that_hangs_is_given_up_and_after_many_none_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """G1, G2; a call that ended meanwhile no longer counts."""
    monkeypatch.setattr(guarding, "HUNG_MAX", 2)
    over = threading.Event()
    begun: list[int] = []

    def hang() -> list[Short]:
        begun.append(1)
        over.wait(30)
        return [SHORT]

    guarded = Guarded(Own(hang), 0.02)
    for _call in range(3):
        with pytest.raises(StrategyFailed, match=r"did not end within|2 calls of the strategy own hang"):
            guarded.take(None, BASKETS)  # type: ignore[arg-type]
    assert len(begun) == 2
    over.set()
    wait_until(lambda: threading.active_count() == 1 or not any(t.name == "strategy" for t in threading.enumerate()))
    assert guarded.take(None, BASKETS) == [SHORT]  # type: ignore[arg-type]


def test_our_own_are_not_wrapped_and_a_mutex_of_the_students_is_kept(tmp_path: Path) -> None:
    """G4"""
    assert type(load_guarded("row_lock", Database())).__name__ == "RowLock"
    guarded = load_guarded("distributor.strategies.process_mutex.ProcessMutex", Database())
    assert isinstance(guarded, Guarded)
    assert callable(guarded.whole_transaction)
