"""The arithmetic of holds, without a database. Numbers (A1 …) are arithmetic.py's."""

import pytest

from distributor.errors import HoldRefused, ShortLine
from distributor.holds.arithmetic import (
    Grant,
    HeldLine,
    Standing,
    grant_again,
    grant_by_change,
    judge,
    may_begin,
    shortages,
)
from distributor.strategies.contract import Line
from settings.model import Cart as Limits

ADA, BOB = 1, 2
LIMITS = Limits(hold_seconds=60, hold_extensions_max=1, hold_lines_max=3, hold_units_max=10)


@pytest.mark.parametrize(
    ("standing", "reader", "others", "left"),
    [
        (Standing(5, {}), ADA, 0, 5),
        (Standing(5, {ADA: 2, BOB: 1, None: 1}), ADA, 2, 3),
        (Standing(5, {ADA: 2, BOB: 1, None: 1}), None, 4, 1),
        (Standing(5, {None: 5}), ADA, 5, 0),
        (Standing(2, {None: 5}), ADA, 2, 0),
        (Standing(0, {None: 5}), ADA, 0, 0),
    ],
    ids=[
        "nobody holds",
        "own ones do not count",
        "a guest holds nothing",
        "all held",
        "more than there is",
        "sold out",
    ],
)
def test_what_is_left_for_a_reader(standing: Standing, reader: int | None, others: int, left: int) -> None:
    """A1; where more is held than is there, no more is in others' carts than is there."""
    assert (standing.others(reader), standing.left_for(reader)) == (others, left)


def test_a_basket_must_leave_what_others_hold() -> None:
    """Three were there, Bob holds two; Ada has taken two."""
    judgement = judge({7: Standing(1, {BOB: 2, ADA: 0})}, [(ADA, [Line(7, 2)])])
    assert judgement.short == ((ShortLine(7, 2, 1, 2, 0),),)
    assert judgement.left[7].available == 3  # given back


def test_baskets_are_judged_in_order_and_use_up_their_own_holds() -> None:
    """Five were there, each holds one. Ada's three and Bob's one fit; then one is left, which nobody holds any more."""
    after = {7: Standing(0, {ADA: 1, BOB: 1})}
    judgement = judge(after, [(ADA, [Line(7, 3)]), (BOB, [Line(7, 1)]), (3, [Line(7, 1)])])
    assert judgement.short == ((), (), ())
    assert judgement.left[7] == Standing(0, {ADA: 0, BOB: 0, 3: 0})


def test_who_must_give_back_leaves_it_to_the_next() -> None:
    """Two were there, Bob holds one: Ada's two do not fit, so the third customer's one does."""
    judgement = judge({7: Standing(-1, {BOB: 1})}, [(ADA, [Line(7, 2)]), (3, [Line(7, 1)])])
    assert [bool(short) for short in judgement.short] == [True, False]


def test_a_known_shortage_stays_one_whatever_was_freed_since() -> None:
    lines = [Line(7, 2), Line(8, 1), Line(9, 1)]
    standings = {7: Standing(9, {}), 8: Standing(9, {})}
    short = shortages(standings, ADA, lines, {7: ShortLine(7, 2, 0)})
    assert short == (ShortLine(7, 2, 1, 0, 0), ShortLine(9, 1, 0, 0, 0))  # 9 does not exist


@pytest.mark.parametrize(
    ("line", "grant"),
    [
        (HeldLine(4, 0, 0, 0, 0), Grant(4, begins=True)),
        (HeldLine(4, 0, 0, 0, 7), Grant(3, begins=True)),
        (HeldLine(4, 0, 0, 0, 10), Grant(0, begins=False)),
        (HeldLine(4, 0, 0, 3, 3), Grant(0, begins=False)),
        (HeldLine(4, 2, 1, 0, 0), Grant(4, begins=False)),
        (HeldLine(4, 2, 1, 0, 9), Grant(2, begins=False)),
        (HeldLine(1, 2, 1, 3, 10), Grant(1, begins=False)),
        (HeldLine(4, 0, 1, 0, 0), Grant(0, begins=False)),
    ],
    ids=[
        "a new line",
        "as far as the units go",
        "no units left",
        "no lines left",
        "more of a held line",
        "more, beyond the limit",
        "less of it",
        "its time is over",
    ],
)
def test_what_a_changed_line_may_hold(line: HeldLine, grant: Grant) -> None:
    """A2, A3"""
    assert grant_by_change(line, LIMITS) == grant


@pytest.mark.parametrize("held", [0, 4], ids=["over", "not over yet"])
def test_a_line_is_held_again(held: int) -> None:
    assert grant_again(HeldLine(4, held, 1, 0, 0), LIMITS) == Grant(4, begins=True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (HeldLine(4, 4, 2, 0, 0), "extensions"),
        (HeldLine(4, 0, 1, 3, 3), "lines"),
        (HeldLine(4, 0, 1, 1, 10), "units"),
    ],
)
def test_a_limit_is_named(line: HeldLine, reason: str) -> None:
    with pytest.raises(HoldRefused) as caught:
        grant_again(line, LIMITS)
    assert caught.value.reason == reason


def test_how_often_a_hold_may_begin() -> None:
    """A3: the first time, and once more; never where carts hold nothing."""
    assert [may_begin(begun, LIMITS) for begun in range(3)] == [True, True, False]
    assert not may_begin(0, Limits())
