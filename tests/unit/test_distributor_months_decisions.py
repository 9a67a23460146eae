"""The calendar's arithmetic and the leader's decision table. Numbers (K1, N1 …) are those of the modules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from distributor.months.calendar import Calendar
from distributor.months.decisions import (
    Begin,
    Close,
    CurrentMonth,
    Facts,
    Open,
    Reason,
    Rules,
    Settle,
    State,
    Step,
    Wait,
    decide,
)

EPOCH = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # a night with a change of summer time: nothing may depend on it
MINUTE = timedelta(minutes=1)
CALENDAR = Calendar(EPOCH, MINUTE)
RULES = Rules(length_min=timedelta(seconds=10), gathering_max=timedelta(seconds=8), months_max=0)


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "month"), [(-60, 0), (-0.001, 0), (0, 1), (59.999999, 1), (60, 2), (3600, 61), (-3600, -59)]
)
def test_every_moment_lies_in_one_month(seconds: float, month: int) -> None:
    assert CALENDAR.month_at(at(seconds)) == month


def test_a_month_begins_where_the_one_before_ends() -> None:
    assert CALENDAR.start(1) == EPOCH
    assert CALENDAR.end(3) == CALENDAR.start(4) == at(180)


def test_after_an_early_close_the_next_month_begins_at_once() -> None:
    jumped = CALENDAR.jump_after(2, at(75))
    assert jumped.start(3) == at(75)
    assert jumped.month_at(at(75)) == 3


def test_after_the_end_of_a_month_the_calendar_does_not_jump() -> None:
    assert CALENDAR.jump_after(2, at(120)) == CALENDAR
    assert CALENDAR.jump_after(2, at(500)) == CALENDAR


def test_another_month_length_keeps_the_month_and_the_part_of_it_that_passed() -> None:
    longer = CALENDAR.with_length(timedelta(minutes=10), at(150))  # in the middle of month 3
    assert longer.month_at(at(150)) == 3
    assert longer.start(3) == at(150) - timedelta(minutes=5)
    shorter = CALENDAR.with_length(timedelta(seconds=6), at(150))
    assert (shorter.month_at(at(150)), shorter.end(3)) == (3, at(153))


def test_a_month_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="length greater than 0"):
        Calendar(EPOCH, timedelta(0))


def month(state: State, number: int = 1, opened: float | None = None, *, close_requested: bool = False) -> CurrentMonth:
    opened_at = None if opened is None else at(opened)
    return CurrentMonth(number, state, at((number - 1) * 60), opened_at, CALENDAR.end(number), close_requested)


def facts(seconds: float, current: CurrentMonth | None, *, depleted: bool = False, finished: bool = False) -> Facts:
    return Facts(at(seconds), CALENDAR, current, depleted=depleted, finished=finished)


OPEN = month(State.OPEN, opened=1)


@pytest.mark.parametrize(
    ("what", "known", "step"),
    [
        ("the first month begins at once", facts(0, None), Begin(1, at(60))),
        ("the next one begins with its time", facts(60, month(State.CLOSED)), Begin(2, at(120))),
        ("it does not begin before its time", facts(59, month(State.CLOSED)), Wait()),
        ("missed months come in order", facts(600, month(State.CLOSED)), Begin(2, at(120))),
        ("a clock that went back begins nothing", facts(-600, month(State.CLOSED)), Wait()),
        ("a gather may take its time", facts(7, month(State.GATHERING)), Wait()),
        ("but not for ever", facts(8, month(State.GATHERING)), Open(1)),
        ("an open month goes on", facts(30, OPEN), Wait()),
        ("until its time is over", facts(60, OPEN), Close(1, Reason.TIME_OVER)),
        ("by hand, also right after opening", facts(2, replace(OPEN, close_requested=True)), Close(1, Reason.BY_HAND)),
        ("sold out, but it lasts a minimum", facts(10.9, OPEN, depleted=True), Wait()),
        ("sold out", facts(11, OPEN, depleted=True), Close(1, Reason.DEPLETED)),
        ("all finished, but it lasts a minimum", facts(10.9, OPEN, finished=True), Wait()),
        ("all finished", facts(11, OPEN, finished=True), Close(1, Reason.FINISHED)),
        ("sold out before finished", facts(11, OPEN, depleted=True, finished=True), Close(1, Reason.DEPLETED)),
        ("time over before sold out", facts(60, OPEN, depleted=True), Close(1, Reason.TIME_OVER)),
        ("by hand before all", facts(99, replace(OPEN, close_requested=True), depleted=True), Close(1, Reason.BY_HAND)),
        ("what was closed is settled", facts(20, month(State.CLOSING)), Settle(1)),
        (
            "a missed month is over when it opens",
            facts(600, month(State.OPEN, 2, opened=599)),
            Close(2, Reason.TIME_OVER),
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_decisions(what: str, known: Facts, step: Step) -> None:
    assert decide(known, RULES, gathered=False) == step, what


def test_a_month_opens_when_everybody_was_asked() -> None:
    assert decide(facts(0.1, month(State.GATHERING)), RULES, gathered=True) == Open(1)


def test_no_month_begins_after_the_last_one() -> None:
    """N4"""
    last = replace(RULES, months_max=2)
    assert decide(facts(600, month(State.CLOSED, 1)), last, gathered=False) == Begin(2, at(120))
    assert decide(facts(600, month(State.CLOSED, 2)), last, gathered=False) == Wait()
