"""How far an order has come, from facts. Numbers (F1 …) are distributor/queries/progress.py's."""

import datetime as dt

import pytest

from distributor.queries import Facts, reached, steps

MORNING = dt.datetime(2026, 3, 1, 9, 0, tzinfo=dt.UTC)
NOON = MORNING.replace(hour=12)
EVENING = MORNING.replace(hour=20)


@pytest.mark.parametrize(
    ("told", "closed", "states", "times", "word"),
    [
        ({"m1": None}, None, "done now later", [MORNING, None, None], "received"),
        ({"m1": NOON, "m2": None}, None, "done now later", [MORNING, None, None], "received"),
        ({"m1": NOON, "m2": EVENING}, None, "done done now", [MORNING, EVENING, None], "makers_told"),
        ({"m1": NOON}, EVENING, "done done done", [MORNING, NOON, EVENING], "month_closed"),
        # Pruned: an order's messages go only after the broker has confirmed them.
        ({}, EVENING, "done done done", [MORNING, None, EVENING], "month_closed"),
        # The broker is away while the month ends: neither fact is made up from the other one.
        ({"m1": None}, EVENING, "done now done", [MORNING, None, EVENING], "received"),
    ],
)
def test_a_step_is_done_when_its_fact_has_happened(
    told: dict[str, dt.datetime | None],
    closed: dt.datetime | None,
    states: str,
    times: list[dt.datetime | None],
    word: str,
) -> None:
    """F1, F2."""
    facts = Facts(MORNING, told, closed)
    way = steps(facts)
    assert [step.name for step in way] == ["received", "makers_told", "month_closed"]
    assert " ".join(step.state for step in way) == states
    assert [step.at for step in way] == times
    assert reached(facts) == word
