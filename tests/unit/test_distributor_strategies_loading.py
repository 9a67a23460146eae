"""Strategies without a database: finding them by name, and baskets before any SQL."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.errors import InvalidBasket
from distributor.strategies import NAMES, UnusableStrategy, load
from distributor.strategies.baskets import STOCK_ID_MAX, merge
from distributor.strategies.contract import Line

OWN = """
class Mine:
    name = "mine"
    isolation = "READ COMMITTED"
    retry_on = frozenset()
    groups_max = 1

    def take(self, connection, baskets):
        return []
"""


@pytest.mark.parametrize("name", NAMES)
def test_every_name_leads_to_a_strategy_of_that_name(name: str) -> None:
    assert load(name).name == name


def test_a_dotted_path_leads_to_a_strategy() -> None:
    assert load("distributor.strategies.row_lock.RowLock").name == "row_lock"


def test_a_file_of_ones_own_is_a_strategy(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    assert load(str(path)).name == "mine"


def test_a_file_may_use_dataclasses_with_postponed_annotations(tmp_path: Path) -> None:
    """They look their module up in sys.modules."""
    path = tmp_path / "mine.py"
    source = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    path.write_text(f"{source}\n@dataclass\nclass Seen:\n    units: int\n{OWN}")
    assert load(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("row_lok", "did you mean 'row_lock'?"),
        ("zzz", "there are: naive, row_lock, nowait, conditional_update"),
        ("no_such.module.Mine", "cannot be imported"),
        ("distributor.strategies.row_lock.Nothing", "has no class 'Nothing'"),
        ("distributor.strategies.contract.Taken", "needs arguments"),
        ("distributor.errors.Busy", "`name` must be a text"),
        ("missing.py", "does not exist"),
        ("tests.py", "does not exist"),
        (".row_lock", "there is no strategy '.row_lock'"),
        ("row_lock.", "did you mean 'row_lock'?"),
        ("a..b", "there is no strategy"),
        ("", "there is no strategy"),
    ],
)
def test_a_wrong_name_is_explained(name: str, expected: str) -> None:
    with pytest.raises(UnusableStrategy) as caught:
        load(name)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("syntax error", "SyntaxError"),
        ("def f(:\n", "line 1"),
        ("\x00", "null bytes"),
        ("x = 1\nimport no_such_module_of_anybody\n", "line 2: ModuleNotFoundError"),
        ("import sys\n\nsys.exit(3)\n", "line 3: SystemExit: 3"),
        ("1 / 0\n", "line 1: ZeroDivisionError"),
        (OWN + "    def __init__(self):\n        raise ValueError('no')\n", "line 11: ValueError: no"),
        (OWN + "    def __init__(self):\n        len(3)\n", "line 11: TypeError"),
        (OWN + "    def __init__(self, pool):\n        pass\n", "needs arguments"),
        (OWN.replace("(self, connection, baskets)", "(self, session)"), "not (self, session)"),
        (OWN.replace("def take", "async def take"), "not `async def`"),
        (OWN.replace("return []", "yield []"), "must return a list"),
        (OWN.replace("groups_max = 1", "groups_max = True"), "`groups_max` must be"),
        (OWN.replace("frozenset()", "frozenset({'deadlock'})"), "`retry_on` must be"),
        (OWN.replace('"mine"', '"a\\x00b"'), "`name` must be"),
        ("x = 1", "must define one class with a method take, found 0"),
        (OWN + OWN.replace("Mine", "Other"), "found 2"),
        (OWN.replace('"READ COMMITTED"', '"CHAOS"'), "`isolation` must be one of"),
        (OWN.replace("frozenset()", "['40001']"), "`retry_on` must be a frozenset"),
        (OWN.replace("groups_max = 1", "groups_max = 0"), "`groups_max` must be"),
        (OWN.replace('"mine"', '""'), "`name` must be"),
    ],
)
def test_a_file_that_does_not_fit_is_explained(tmp_path: Path, source: str, expected: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(UnusableStrategy) as caught:
        load(str(path))
    assert expected in str(caught.value)


def bounded(lines: list[Line]) -> tuple[Line, ...]:
    return merge(lines, lines_max=5, quantity_max=10)


def test_lines_of_one_stock_row_are_summed_and_sorted() -> None:
    assert bounded([Line(9, 2), Line(3, 1), Line(9, 4)]) == (Line(3, 1), Line(9, 6))


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        ([], "lines"),
        ([Line(n, 1) for n in range(1, 7)], "lines"),
        ([Line(1, 0)], "lines[0].quantity"),
        ([Line(1, 1), Line(2, -5)], "lines[1].quantity"),
        ([Line(1, True)], "lines[0].quantity"),
        ([Line(1, 1.0)], "lines[0].quantity"),  # type: ignore[arg-type]
        ([Line(1, 11)], "lines[0].quantity"),
        ([Line(1, 6), Line(2, 1), Line(1, 5)], "lines[2].quantity"),
        ([Line(0, 1)], "lines[0].stock_id"),
        ([Line(STOCK_ID_MAX + 1, 1)], "lines[0].stock_id"),
        ([Line("1", 1)], "lines[0].stock_id"),  # type: ignore[arg-type]
    ],
)
def test_a_basket_out_of_bounds_names_the_field(lines: list[Line], field: str) -> None:
    with pytest.raises(InvalidBasket) as caught:
        bounded(lines)
    assert caught.value.field == field


@given(st.lists(st.builds(Line, st.integers(1, 5), st.integers(1, 20)), min_size=1, max_size=50))
def test_merging_loses_and_invents_no_unit(lines: list[Line]) -> None:
    merged = merge(lines, lines_max=50, quantity_max=1_000)
    assert sum(line.quantity for line in merged) == sum(line.quantity for line in lines)
    assert [line.stock_id for line in merged] == sorted({line.stock_id for line in lines})
