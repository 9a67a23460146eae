"""The pure core of a production line (N1 to N4 of manufacturers/line.py)."""

import pytest

from manufacturers.line import (
    LOOK_SECONDS_MIN,
    Conditions,
    Line,
    Plan,
    Status,
    Step,
    chances,
    first,
    look_seconds,
    share_out,
    step,
)


def plan(**changed: object) -> Plan:
    values: dict[str, object] = {
        "rates": {"A": 1.0},
        "batch_units": 3,
        "lead_time_seconds": 0.5,
        "breakdown_probability": 0.0,
        "repair_seconds": 4.0,
    }
    return Plan(**(values | changed))  # type: ignore[arg-type]


def look(
    a_plan: Plan, line: Line, now: float, *, room: int = 1_000, urgent: tuple[str, ...] = (), chance: float = 0.5
) -> Step:
    return step(a_plan, line, Conditions(now, lambda _sku: room, urgent, lambda _attempt: chance))


def run(a_plan: Plan, seconds: float, capacity: int = 10**9) -> dict[str, int]:
    """What comes off the line until ``seconds``, when it is looked at exactly when it asks to be."""
    line, now = first(a_plan, 0.0), 0.0
    made = dict.fromkeys(a_plan.rates, 0)
    while True:
        result = step(a_plan, line, Conditions(now, lambda sku: capacity - made[sku], (), lambda _attempt: 0.5))
        line = result.line
        for sku, units in result.finished.items():
            made[sku] += units
        if result.wake_at is None or result.wake_at > seconds:
            return made
        now = result.wake_at


@pytest.mark.parametrize(("rate", "batch"), [(1.0, 3), (0.05, 3), (700.0, 3), (2.5, 1), (0.9, 50)])
def test_a_line_keeps_its_rate_to_within_one_batch(rate: float, batch: int) -> None:
    """N1, for slow and for fast lines."""
    a_plan = plan(rates={"A": rate}, batch_units=batch, lead_time_seconds=0.0)
    made = run(a_plan, 600.0)["A"]
    assert abs(made - rate * 600) <= a_plan.batch("A")


def test_a_lead_time_longer_than_a_batch_takes_delays_but_does_not_slow_down() -> None:
    made = run(plan(lead_time_seconds=60.0), 660.0)["A"]
    assert abs(made - 600) <= 3


def test_products_share_a_line_by_their_rates() -> None:
    made = run(plan(rates={"A": 1.0, "B": 0.25, "C": 2.0}, lead_time_seconds=0.0), 400.0)
    assert abs(made["A"] - 400) <= 3
    assert abs(made["B"] - 100) <= 3
    assert abs(made["C"] - 800) <= 3


def test_first_batches_are_spread_over_the_time_that_one_takes() -> None:
    dues = sorted(first(plan(rates=dict.fromkeys("ABC", 1.0)), 100.0).due.values())
    assert dues == [101.0, 102.0, 103.0]


def test_a_line_stops_at_capacity_with_a_smaller_last_batch_and_sleeps() -> None:
    """N2, N4."""
    assert run(plan(), 10_000.0, capacity=10) == {"A": 10}
    full = look(plan(), Line({"A": 0.0}), 0.0, room=0)
    assert (full.status, full.wake_at, full.finished) == (Status.FULL, None, {})


def test_unfinished_work_takes_room_too() -> None:
    """N2: three units are in work, four fit, so one more may be started."""
    started = look(plan(lead_time_seconds=9.0), Line({"A": 0.0}), 0.0, room=4)
    assert [batch.units for batch in started.line.in_work] == [3]
    again = look(plan(lead_time_seconds=9.0), started.line, 3.0, room=4)
    assert [batch.units for batch in again.line.in_work] == [3, 1]


def test_what_is_finished_in_this_very_step_takes_room() -> None:
    """N2: the caller's ``room`` does not know of it yet."""
    started = look(plan(lead_time_seconds=1.0), Line({"A": 0.0}), 0.0, room=3)
    result = look(plan(lead_time_seconds=1.0), started.line, 3.0, room=3)
    assert result.finished == {"A": 3}
    assert result.line.in_work == ()


def test_where_many_products_make_looks_rare_as_much_is_made_in_larger_batches() -> None:
    """N1: 500,000 products in a process let their lines look every two seconds; a month's units come off all the same."""
    assert look_seconds(100) == LOOK_SECONDS_MIN
    pause = look_seconds(500_000)
    assert pause == 2.0
    rare = plan(rates={"A": 2.0}, batch_units=1, look_seconds=pause)
    line, made = first(rare, 0.0), 0
    for number in range(1, 101):
        result = look(rare, line, number * pause)
        line, made = result.line, made + sum(result.finished.values())
    assert abs(made - 2.0 * 100 * pause) <= rare.batch("A") * 2


def test_being_full_builds_up_no_debt() -> None:
    """N2: after an hour at capacity the line goes on at its rate; at most one batch is caught up."""
    idle = look(plan(), Line({"A": 0.0}), 3_600.0, room=0).line
    result = look(plan(), idle, 3_600.0, room=1_000)
    assert [batch.units for batch in result.line.in_work] == [3]
    assert result.line.due["A"] == 3_600.0
    assert look(plan(), result.line, 3_600.0).line.due["A"] == 3_603.0


def test_a_breakdown_stops_the_line_until_it_is_repaired_but_what_is_in_work_comes_off() -> None:
    broken_plan = plan(breakdown_probability=0.6, rates={"A": 1.0, "B": 1.0})
    working = look(plan(rates={"A": 1.0, "B": 1.0}), Line({"A": 0.0, "B": 9.0}), 0.0).line
    broken = look(broken_plan, Line({"A": 0.4, "B": 0.4}, working.in_work), 0.4, chance=0.5)
    assert broken.status is Status.BROKEN
    assert broken.wake_at == 0.5  # the batch in work
    later = look(broken_plan, broken.line, 0.5)
    assert later.finished == {"A": 3}
    assert later.wake_at == 4.4
    repaired = look(broken_plan, later.line, 4.4, chance=0.7)
    assert repaired.status is Status.RUNNING
    assert {batch.sku for batch in repaired.line.in_work} == {"A", "B"}


def test_breakdowns_depend_on_the_attempt_only() -> None:
    """N3, and the seed matters."""
    one, again, other = chances(7, "m1", 1), chances(7, "m1", 1), chances(8, "m1", 1)
    assert [one(n) for n in (3, 1, 2)] == [again(n) for n in (3, 1, 2)]
    assert [one(n) for n in range(9)] != [other(n) for n in range(9)]
    assert one(1) != chances(7, "m2", 1)(1) != chances(7, "m2", 2)(1)
    sample = [one(n) for n in range(4_000)]
    assert all(0 <= chance < 1 for chance in sample)
    assert 0.47 < sum(sample) / len(sample) < 0.53


def test_what_is_sold_out_is_made_before_what_has_been_due_for_longer() -> None:
    a_plan = plan(rates={"A": 1.0, "B": 1.0, "C": 1.0})
    line = Line({"A": 0.0, "B": 2.5, "C": 99.0})
    result = look(a_plan, line, 1.0, urgent=("B", "C"))
    assert [batch.sku for batch in result.line.in_work] == ["B", "A"]  # C is more than a batch ahead of its time


def test_urgency_does_not_raise_the_rate() -> None:
    """N1: urgent all the time, it is at most one batch ahead."""
    a_plan, line, now, made = plan(lead_time_seconds=0.0), first(plan(), 0.0), 0.0, 0
    while now < 300:
        result = look(a_plan, line, now, urgent=("A",))
        line, made, now = result.line, made + sum(result.finished.values()), now + 0.25
    assert made <= 300 + 2 * 3


def test_a_line_with_nothing_to_make_is_idle() -> None:
    result = look(plan(rates={}), first(plan(rates={}), 0.0), 0.0)
    assert (result.status, result.wake_at) == (Status.IDLE, None)


def test_products_are_shared_out_in_turn_and_those_without_rate_are_not_made() -> None:
    shares = share_out({"A": 1.0, "B": 0.0, "C": 2.0, "D": 3.0}, 2)
    assert shares == [{"A": 1.0, "D": 3.0}, {"C": 2.0}]
    assert share_out({"A": 1.0}, 3) == [{"A": 1.0}, {}, {}]
