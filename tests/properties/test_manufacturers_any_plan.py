"""Any plan, looked at whenever: the rate is kept, the capacity never exceeded (N1, N2 of manufacturers/line.py)."""

from hypothesis import given
from hypothesis import strategies as st

from manufacturers.line import Conditions, Plan, chances, first, step

SECONDS = 120.0
ROUNDING_UNITS = 1e-6

plans = st.builds(
    Plan,
    rates=st.dictionaries(st.sampled_from("ABCD"), st.floats(0.01, 500.0), min_size=1),
    batch_units=st.integers(1, 20),
    lead_time_seconds=st.floats(0, 30),
    breakdown_probability=st.just(0.0),
    repair_seconds=st.floats(0, 10),
)
broken_plans = plans.flatmap(
    lambda plan: st.floats(0, 1).map(
        lambda chance: Plan(plan.rates, plan.batch_units, plan.lead_time_seconds, chance, plan.repair_seconds)
    )
)


@given(plan=plans, lateness=st.floats(0, 0.9))
def test_the_rate_is_kept_however_late_the_line_is_looked_at(plan: Plan, lateness: float) -> None:
    """N1: late by less than a batch takes costs no unit."""
    shortest = min(plan.batch(sku) / rate for sku, rate in plan.rates.items())
    line, now = first(plan, 0.0), 0.0
    made = dict.fromkeys(plan.rates, 0)
    while now < SECONDS:
        result = step(plan, line, Conditions(now, lambda _sku: 10**9, (), lambda _attempt: 1.0))
        line = result.line
        for sku, units in result.finished.items():
            made[sku] += units
        for sku, rate in plan.rates.items():
            started = made[sku] + sum(batch.units for batch in line.in_work if batch.sku == sku)
            assert abs(started - rate * now) <= plan.batch(sku) + ROUNDING_UNITS
        assert result.wake_at is not None
        assert result.wake_at >= now
        now = result.wake_at + lateness * shortest


@given(
    plan=broken_plans,
    capacity=st.integers(0, 300),
    looks=st.lists(st.tuples(st.floats(0, 20), st.integers(0, 300)), max_size=60),
    seed=st.integers(0, 9),
)
def test_stock_and_work_never_exceed_the_capacity(
    plan: Plan, capacity: int, looks: list[tuple[float, int]], seed: int
) -> None:
    """N2, with breakdowns, and with goods taken away at any time; a line that sleeps has a reason (N4)."""
    line, now = first(plan, 0.0), 0.0
    stock = dict.fromkeys(plan.rates, 0)
    chance = chances(seed, "m1", 1)
    for pause, taken in looks:
        now += pause
        for sku in stock:
            stock[sku] = max(0, stock[sku] - taken)
        result = step(plan, line, Conditions(now, lambda sku: capacity - stock[sku], (), chance))
        line = result.line
        for sku, units in result.finished.items():
            stock[sku] += units
        for sku in plan.rates:
            assert stock[sku] + sum(batch.units for batch in line.in_work if batch.sku == sku) <= capacity
        if result.wake_at is None:
            assert not line.in_work
            assert all(stock[sku] == capacity for sku in plan.rates)
