"""The rounds of the gather beside the leader: who is asked when, and whom a month waits for. Numbers are the modules'."""

from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import Engine

from distributor.database import transaction
from distributor.gather.booking import record_attempt, tasks
from distributor.gather.gatherer import Gatherer
from tests.conftest import wait_until
from tests.distributor_partners import FakePartners, answer, attempts, begin_month, gather, item, never, serving
from tests.distributor_world import set_month


@pytest.fixture
def fakes() -> Iterator[FakePartners]:
    with serving(FakePartners()) as running:
        yield running


def test_the_gatherer_asks_each_once_and_retries_who_is_missing(engine: Engine, fakes: FakePartners) -> None:
    """Y1, Y3, R3: the opening waits for one that is away, quickly asking again, but not for one that lies."""
    one = fakes.add("m1", item("BIKE"))
    two = fakes.add("m2", fault=answer(b"", status=500))
    liar = fakes.add("m3", fault=answer(b"lies"))
    begin_month(engine, fakes)
    now = [0.0]
    gatherer = Gatherer(engine, fakes.plan(), retry_seconds=5, clock=lambda: now[0])
    assert not gatherer.asked(1)
    gatherer.tend(1, urgent=True)
    wait_until(lambda: len(attempts(engine)) == 3, 5, "the first round ended")
    assert not gatherer.asked(1)
    two.fault = None

    def asked() -> bool:
        now[0] += 0.1
        gatherer.tend(1, urgent=True)
        return gatherer.asked(1)

    wait_until(asked, 5, "the second one is there")
    assert {code: outcome for code, (outcome, _) in attempts(engine).items()} == {
        "m1": "booked",
        "m2": "empty",
        "m3": "refused",
    }
    gatherer.stop(60)
    assert one.asked["offer 1"] == 1
    assert liar.asked["offer 1"] >= 2


def test_one_that_was_away_last_month_is_not_waited_for(engine: Engine, fakes: FakePartners) -> None:
    """R3: it delays one opening, not each; it is asked all the same."""
    fakes.add("m1", fault=never)
    begin_month(engine, fakes)
    assert not gather(engine, fakes, deadline_seconds=0.5)
    set_month(engine, "closed")
    begin_month(engine, fakes, 2)
    fakes.partners["m1"].fault = None
    gatherer = Gatherer(engine, fakes.plan(), retry_seconds=5)
    gatherer.tend(2, urgent=True)
    wait_until(lambda: gatherer.asked(2), 5, "nobody is waited for")
    wait_until(lambda: attempts(engine, 2).get("m1") == ("empty", None), 5, "it was asked")
    gatherer.stop(60)


def test_those_that_were_away_take_the_turns_of_nobody(engine: Engine, fakes: FakePartners) -> None:
    """R5: with months so short that a round ends before all had a turn, the silent ones would keep out all the others.

    Month 1 ends before m3 had a turn; in month 2 m3 is asked first, and the month ends before the silent ones had one;
    so they had no turn in month 2, but that does not make them good again in month 3.
    """
    silent = [fakes.add("m1", fault=never), fakes.add("m2", fault=never)]
    good = fakes.add("m3", item("BIKE"))
    begin_month(engine, fakes)
    with transaction(engine) as connection:
        for task in tasks(connection, ["m1", "m2"], 1):
            record_attempt(connection, task.code, 1, "timeout", "no complete answer")

    def booked(number: int) -> bool:
        return attempts(engine, number).get("m3") == ("booked", None)

    for number in (2, 3):
        set_month(engine, "closed", number - 1)
        begin_month(engine, fakes, number)
        gatherer = Gatherer(engine, fakes.plan(concurrency=1, deadline_seconds=60), retry_seconds=5)
        gatherer.tend(number)
        wait_until(partial(booked, number), 5, "m3 is booked")
        assert gatherer.asked(number)
        wait_until(lambda: sum(sum(each.asked.values()) for each in silent), 5, "the silent ones are asked, too")
        gatherer.stop(60)
    assert good.asked["offer 1"] == 0


def test_a_new_month_does_not_wait_for_a_manufacturer_of_the_old_one(engine: Engine, fakes: FakePartners) -> None:
    """Y1, Y2"""
    one = fakes.add("m1", fault=never)
    begin_month(engine, fakes)
    gatherer = Gatherer(engine, fakes.plan(deadline_seconds=60), retry_seconds=5)
    gatherer.tend(1)
    wait_until(lambda: one.asked["offer 1"], 5, "it was asked")
    set_month(engine, "closed")
    begin_month(engine, fakes, 2)
    one.fault = None

    def gathered() -> bool:
        gatherer.tend(2)
        return gatherer.asked(2)

    wait_until(gathered, 5, "month 2 was gathered")
    gatherer.stop(60)
    assert attempts(engine, 2)["m1"][0] == "empty"
