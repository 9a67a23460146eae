"""A purchase under a strategy that hangs with the rows locked: an honest answer, free rows, a whole pool (G1)."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Connection, Engine, text

from distributor.errors import Busy, StrategyFailed
from distributor.sales import Line, Sales
from distributor.strategies import load
from distributor.strategies.contract import Short, Taken
from distributor.strategies.guarding import Guarded
from distributor.strategies.row_lock import RowLock
from distributor.tables import IdempotencyKey, Order
from settings import Settings
from tests.distributor_races import buy
from tests.distributor_world import counts, engine_for, make_world, rows


class HangsOnce(RowLock):
    """``how``: in Python, or in a statement. The first purchase never comes back by itself."""

    def __init__(self, how: str) -> None:
        self._how = how
        self._first = True
        self.over = threading.Event()

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        results = super().take(connection, baskets)
        if self._first:
            self._first = False
            if self._how == "statement":
                connection.execute(text("SELECT pg_sleep(30)"))
            self.over.wait(30)
        return results


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url, pool_size=2, lock_timeout_ms=1_500, statement_timeout_ms=2_000,
                        idle_in_transaction_timeout_ms=2_000)  # fmt: skip
    yield engine
    engine.dispose()


@pytest.mark.parametrize(("how", "error"), [("python", StrategyFailed), ("statement", Busy)])
def test_a_hang_ends_with_an_answer_and_holds_up_nobody_else(engine: Engine, how: str, error: type[Exception]) -> None:
    """A statement is ended by PostgreSQL before the guard has to."""
    world = make_world(engine, [5])
    hanging = HangsOnce(how)
    sales = Sales(engine, Guarded(hanging, seconds=3.0), Settings())
    line = Line(world.stock[0], 2)
    with pytest.raises(error):
        buy(sales, world.customers[0], "k", line)
    assert counts(engine, (Order, IdempotencyKey)) == {"orders": 0, "idempotency_key": 0}
    assert buy(Sales(engine, load("row_lock"), Settings()), world.customers[1], "k", line).status == 201
    assert buy(sales, world.customers[0], "k", line).status == 201
    assert [row.sold for row in rows(engine, "SELECT sold FROM stock")] == [4]
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    hanging.over.set()
