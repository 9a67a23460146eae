"""Connections cut at every point of a purchase: nothing half done, nothing twice, and honest about what is not known."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, text

from distributor.database import Retries
from distributor.errors import Busy, DatabaseUnavailable, OutcomeUnknown
from distributor.sales import Line, Sales
from distributor.strategies import NAMES, load
from distributor.tables import Charge, IdempotencyKey, Order, OrderLine, OutboxEvent
from settings import Settings
from tests.distributor_races import buy
from tests.distributor_world import World, assert_stored_as_told, counts, discrepancies, engine_for, make_world

WRITTEN = (Order, OrderLine, Charge, OutboxEvent, IdempotencyKey)
NOTHING = {"orders": 0, "order_line": 0, "charge": 0, "outbox": 0, "idempotency_key": 0}


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url, pool_size=6, lock_timeout_ms=1_000)
    yield engine
    engine.dispose()


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [5, 3, 0, 40])


@pytest.fixture(params=NAMES)
def sales(request: pytest.FixtureRequest, engine: Engine) -> Sales:
    return Sales(engine, load(request.param), Settings())


@pytest.fixture
def shop(engine: Engine) -> Sales:
    """For what does not depend on the strategy."""
    return Sales(engine, load("row_lock"), Settings())


def lose_at(engine: Engine, statement: str, times: int = 1, *, after: bool = False) -> list[str]:
    """Terminate the purchase's backend just before (or after) it runs ``statement``, ``times`` times."""
    happened: list[str] = []

    def strike(connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        if statement in sql and len(happened) < times:
            happened.append(sql)
            pid = connection.connection.driver_connection.info.backend_pid
            with admin.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 30000)"), {"pid": pid})

    admin = engine_for(engine.url.render_as_string(hide_password=False))
    event.listen(engine, "after_cursor_execute" if after else "before_cursor_execute", strike)
    return happened


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "statement", ["INTO idempotency_key", "pg_advisory", "nextval", "FOR NO KEY", "SET sold", "INTO orders"]
)
def test_a_connection_cut_between_any_two_statements_is_healed_without_a_trace(
    engine: Engine, world: World, shop: Sales, statement: str, after: bool
) -> None:
    struck = lose_at(engine, statement, after=after)
    answer = buy(shop, world.customers[0], "k1", Line(world.stock[0], 2))
    assert len(struck) == 1
    if statement == "INTO orders" and after:  # the cut shows at COMMIT: asked again under the same key
        assert (answer.status, answer.replayed) == (201, False)
    assert answer.status == 201
    assert counts(engine, WRITTEN) == {
        **NOTHING,
        "orders": 1,
        "order_line": 1,
        "charge": 1,
        "outbox": 1,
        "idempotency_key": 1,
    }
    assert not discrepancies(engine)


def test_a_database_that_keeps_dropping_the_connection_is_unavailable_and_nothing_happened(
    engine: Engine, world: World
) -> None:
    shop = Sales(engine, load("row_lock"), Settings(), Retries(3, sleep=lambda _seconds: None))
    struck = lose_at(engine, "FOR NO KEY", times=99)
    with pytest.raises(DatabaseUnavailable):
        buy(shop, world.customers[0], "k1", Line(world.stock[0], 2))
    assert len(struck) == 3
    assert counts(engine, WRITTEN) == NOTHING


class LostCommits:
    """Cuts the connection around COMMIT: the server gets it or not, the client never hears."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, arrives: bool, times: int = 1) -> None:
        genuine: Callable[[Any], None] = psycopg.Connection.commit
        self.left = times

        def commit(driver: Any) -> None:
            writing = driver.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL").fetchone()[0]
            if not self.left or not writing:
                genuine(driver)
                return
            self.left -= 1
            if arrives:
                genuine(driver)
            driver.pgconn.finish()
            raise psycopg.OperationalError("the connection was cut")

        monkeypatch.setattr(psycopg.Connection, "commit", commit)


@pytest.mark.parametrize("arrives", [True, False])
def test_a_commit_whose_answer_got_lost_is_resolved_by_the_key(
    engine: Engine, world: World, sales: Sales, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    LostCommits(monkeypatch, arrives=arrives)
    answer = buy(sales, world.customers[0], "k1", Line(world.stock[0], 2))
    assert (answer.status, answer.replayed) == (201, arrives)
    assert answer.contention is not None
    assert answer.contention.repeats == ("unknown",)
    if not arrives:  # what arrived had met nothing by then
        assert_stored_as_told(engine, answer)
    assert counts(engine, (Order, Charge)) == {"orders": 1, "charge": 1}
    assert not discrepancies(engine)


def test_an_outcome_that_cannot_be_learnt_is_unknown_and_the_key_tells_later(
    engine: Engine, world: World, shop: Sales, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as cut:
        LostCommits(cut, arrives=False, times=3)
        with pytest.raises(OutcomeUnknown) as caught:
            buy(shop, world.customers[0], "k1", Line(world.stock[0], 2))
    assert not caught.value.definite
    assert buy(shop, world.customers[0], "k1", Line(world.stock[0], 2)).status == 201
    assert counts(engine, (Order, Charge)) == {"orders": 1, "charge": 1}


@pytest.mark.parametrize("second", [Busy(), DatabaseUnavailable()])
def test_an_unknown_outcome_stays_unknown_when_asking_again_fails(
    world: World, shop: Sales, monkeypatch: pytest.MonkeyPatch, second: Exception
) -> None:
    """Busy is definite about itself, but not about what happened before it."""
    errors = [OutcomeUnknown(), second]

    def fail(_committer: object, _purchases: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr("distributor.sales.committer.Committer.commit_all", fail)
    with pytest.raises(OutcomeUnknown):
        buy(shop, world.customers[0], "k1", Line(world.stock[0], 2))
    assert errors == []
