"""One contract for every strategy (`distributor/strategies/contract.py`), on a real database: the cases of `grading`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from distributor.database import WITH_COMMIT, send
from distributor.errors import ShortLine
from distributor.strategies import NAMES, load
from distributor.strategies.answers import problem_of
from distributor.strategies.contract import Line, Short, Taken, TakenLine
from distributor.strategies.row_lock import RowLock
from grading.contract import CASES, Case, Unmet


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_keeps_the_contract(engine: Engine, name: str) -> None:
    """All cases in a row: each makes a world of its own."""
    broken = {}
    for case in CASES:
        try:
            case.run(engine, load(name))
        except Unmet as unmet:
            broken[case.name] = str(unmet)
    assert broken == {}


Results = list[Any]


def takes_more(connection: Connection, results: Results) -> Results:
    send(connection)
    connection.execute(text("UPDATE stock SET sold = sold + 1 WHERE sold < supplied - withdrawn"))
    return results


def commits(connection: Connection, results: Results) -> Results:
    send(connection)
    connection.commit()
    return results


def forgets_to_write(connection: Connection, results: Results) -> Results:
    connection.info[WITH_COMMIT].clear()
    return results


def unlocks(connection: Connection, results: Results) -> Results:
    connection.rollback()
    return forgets_to_write(connection, results)


SPOILT: dict[str, Callable[[Connection, Results], Results]] = {
    "facts_of_a_taken_basket": takes_more,
    "every_short_line_is_named": lambda _connection, results: [Short(results[0].lines[:1])],
    "an_unknown_row_is_short": lambda _connection, _results: [None],
    "the_caller_rolls_back": commits,
    "one_transaction": commits,
    "no_basket": lambda _connection, _results: [None],
    "withdrawn_units": lambda _connection, _results: [Short((ShortLine(1, 2, 0),))],
    "one_after_the_other": forgets_to_write,
    "a_large_basket": forgets_to_write,
    "several_baskets": lambda _connection, results: results[::-1],
    "rows_are_locked": unlocks,
    "nothing_else_is_written": takes_more,
}


class Spoilt(RowLock):
    """row_lock, but what it has done is spoilt before it answers."""

    groups_max = 3

    def __init__(self, spoil: Callable[[Connection, Results], Results]) -> None:
        self._spoil = spoil

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> Results:
        return self._spoil(connection, super().take(connection, baskets))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_control_each_case_finds_a_strategy_that_breaks_it(engine: Engine, case: Case) -> None:
    with pytest.raises(Unmet):
        case.run(engine, Spoilt(SPOILT[case.name]))


TAKEN = Taken((TakenLine(7, 2, 250, "GBP", "m1", "First Works", "P1", "Product", 3),))


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([TAKEN], None),
        ((Short((ShortLine(7, 2, 1),)),), None),
        (None, "returned None, not a list"),
        ([], "returned 0 results for 1 baskets"),
        ([True], "result 0 is bool True, neither"),
        ([Taken(())], "took other lines"),
        ([Taken(("7",))], "no sequence of TakenLine"),  # type: ignore[arg-type]
        ([replace(TAKEN, lines=(replace(TAKEN.lines[0], quantity=1),))], "took other lines"),
        ([replace(TAKEN, lines=(replace(TAKEN.lines[0], left=-1),))], "leaves -1 units"),
        ([replace(TAKEN, lines=(replace(TAKEN.lines[0], price_minor=2.5),))], "price_minor float 2.5, not int"),  # type: ignore[arg-type]
        ([Short(())], "names no line"),
        ([Short((ShortLine(8, 2, 1),))], "what the basket does not have"),
        ([Short((ShortLine(7, 2, 2),))], "although 2 of the 2"),
        ([Short([7])], "no sequence of ShortLine"),  # type: ignore[arg-type]
    ],
)
def test_an_answer_of_the_wrong_shape_is_named(results: object, expected: str | None) -> None:
    problem = problem_of([(Line(7, 2),)], results)
    assert problem is None if expected is None else expected in str(problem)
