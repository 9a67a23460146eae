"""One contract for every strategy (`distributor/strategies/contract.py`), on a real database."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from distributor.database import transaction
from distributor.errors import ShortLine
from distributor.strategies import NAMES, load
from distributor.strategies.contract import Line, Short, Strategy, Taken
from tests.distributor_world import World, engine_for, make_world, rows


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [5, 3, 0, 40])


@pytest.fixture(params=NAMES)
def strategy(request: pytest.FixtureRequest) -> Strategy:
    return load(request.param)


def take(engine: Engine, strategy: Strategy, *lines: Line) -> Taken | Short:
    """As the caller does: roll back what is short (C3)."""
    with transaction(engine, strategy.isolation) as connection:
        (result,) = strategy.take(connection, [lines])
        if isinstance(result, Short):
            connection.rollback()
            connection.begin()
    return result


def sold(engine: Engine) -> list[int]:
    return [row.sold for row in rows(engine, "SELECT sold FROM stock ORDER BY id")]


def test_a_basket_is_taken_with_the_facts_that_the_order_records(
    engine: Engine, world: World, strategy: Strategy
) -> None:
    first, second = world.stock[:2]
    result = take(engine, strategy, Line(first, 2), Line(second, 3))
    assert isinstance(result, Taken)
    assert [(line.stock_id, line.quantity, line.left) for line in result.lines] == [(first, 2, 3), (second, 3, 0)]
    line = result.lines[1]
    assert (line.price_minor, line.currency, line.sku, line.name) == (250, "GBP", "P002", "Product 2")
    assert (line.manufacturer, line.manufacturer_name) == ("m2", "Second Works")
    assert sold(engine) == [2, 3, 0, 0]


def test_every_short_line_is_named_and_nothing_is_taken(engine: Engine, world: World, strategy: Strategy) -> None:
    first, second, empty, plenty = world.stock
    result = take(engine, strategy, Line(first, 1), Line(second, 4), Line(empty, 1), Line(plenty, 40))
    assert result == Short((ShortLine(second, 4, 3), ShortLine(empty, 1, 0)))
    assert sold(engine) == [0, 0, 0, 0]


def test_a_stock_row_that_does_not_exist_is_short_with_nothing_left(
    engine: Engine, world: World, strategy: Strategy
) -> None:
    result = take(engine, strategy, Line(world.stock[0], 1), Line(2**62, 1))
    assert result == Short((ShortLine(2**62, 1, 0),))


def test_a_strategy_leaves_commit_and_rollback_to_the_caller(engine: Engine, world: World, strategy: Strategy) -> None:
    """C1"""
    with pytest.raises(KeyError), transaction(engine, strategy.isolation) as connection:
        strategy.take(connection, [[Line(world.stock[0], 1)]])
        raise KeyError
    assert sold(engine) == [0, 0, 0, 0]


def test_no_basket_is_no_work(engine: Engine, world: World, strategy: Strategy) -> None:
    with transaction(engine, strategy.isolation) as connection:
        assert strategy.take(connection, []) == []


def test_withdrawn_units_cannot_be_taken(engine: Engine, world: World, strategy: Strategy) -> None:
    with transaction(engine) as connection:
        connection.exec_driver_sql("UPDATE stock SET withdrawn = 4 WHERE id = %s", (world.stock[0],))
    assert take(engine, strategy, Line(world.stock[0], 2)) == Short((ShortLine(world.stock[0], 2, 1),))
