"""Many buyers, few units: the same tests for every strategy, and the control that they can fail (P1).

``naive`` comes first: where it does not sell too much, the test set-up proves nothing.
"""

import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, Engine

from distributor.database import Retries, transaction
from distributor.errors import TransactionConflict
from distributor.sales import Line, Sales
from distributor.strategies import CONTROLS, NAMES, load
from distributor.strategies.conditional_update import TAKE
from distributor.strategies.contract import Strategy
from distributor.strategies.stock_rows import columns_of
from tests.distributor_races import PATIENCE_SECONDS, Meeting, at_once, buy, tally
from tests.distributor_world import World, discrepancies, engine_for, make_world, patient_settings, rows

BUYERS = 20
CORRECT = [name for name in NAMES if name not in CONTROLS]
WAITING = ("row_lock", "conditional_update", "advisory_lock", "group_commit")
"""Contention shows as waiting in PostgreSQL's queues, never as a repetition: nobody runs out of attempts."""
LOOK_AT_STOCK = {"conditional_update": "UPDATE stock"}
ATTEMPTS_MAX = 200  # so that every buyer learns the outcome, however often the strategy makes them repeat


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url, pool_size=BUYERS + 2)
    yield engine
    engine.dispose()


def contest(engine: Engine, strategy: Strategy, units: int, *, meet: bool) -> tuple[World, dict[object, int]]:
    """All buyers want one unit of the same row at the same time; they meet after having looked at the stock."""
    world = make_world(engine, [units], customers=BUYERS)
    sales = Sales(engine, strategy, patient_settings(), patient(strategy))
    if meet:
        # Only who is not locked out can meet all others; whoever is lets those who came wait in vain.
        seconds = PATIENCE_SECONDS if strategy.name == "naive" else 0.5
        Meeting(engine, LOOK_AT_STOCK.get(strategy.name, "FROM stock"), BUYERS, seconds=seconds)
    line = Line(world.stock[0], 1)
    return world, tally(at_once([lambda c=c: buy(sales, c, "k", line) for c in world.customers]))  # type: ignore[misc]


def patient(strategy: Strategy) -> Retries:
    """Repeats without a pause worth speaking of: what is sold is tested here, not how long it takes."""
    return Retries(ATTEMPTS_MAX, strategy.retry_on, sleep=lambda seconds: time.sleep(seconds / 20))


def test_control_naive_sells_the_last_unit_many_times(engine: Engine) -> None:
    _world, results = contest(engine, load("naive"), 1, meet=True)
    assert results == {201: BUYERS}
    (stock,) = discrepancies(engine)
    assert (stock.supplied, stock.sold, stock.ordered) == (1, 1, BUYERS)  # the counter looks healthy: lost updates


@pytest.mark.parametrize("meet", [True, False], ids=["meeting", "free"])
@pytest.mark.parametrize("units", [1, 7])
@pytest.mark.parametrize("name", CORRECT)
def test_units_are_sold_exactly_as_often_as_they_are_there(engine: Engine, name: str, units: int, meet: bool) -> None:
    _world, results = contest(engine, load(name), units, meet=meet)
    assert results == {201: units, 409: BUYERS - units}
    assert not discrepancies(engine)
    assert [row.type for row in rows(engine, "SELECT type FROM outbox WHERE type = 'stock.depleted'")] == [
        "stock.depleted"
    ]


@pytest.mark.parametrize("name", CORRECT)
def test_baskets_of_many_lines_are_taken_whole_or_not_at_all(engine: Engine, name: str) -> None:
    """Each basket holds the scarce row and 20 plentiful ones; only three can have it."""
    world = make_world(engine, [3] + [1_000] * 20, customers=BUYERS)
    sales = Sales(engine, load(name), patient_settings(), patient(load(name)))
    basket = [Line(stock_id, 2 if stock_id != world.stock[0] else 1) for stock_id in world.stock]
    results = tally(at_once([lambda c=c: buy(sales, c, "k", *basket) for c in world.customers]))  # type: ignore[misc]
    assert results == {201: 3, 409: BUYERS - 3}
    assert not discrepancies(engine)
    assert {row.sold for row in rows(engine, "SELECT sold FROM stock WHERE supplied = 1000")} == {6}


PLANS = {
    "as planned": "",
    "nested loops": "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off",
    "hash joins": "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off",
}
"""Ways in which PostgreSQL may visit the rows of one UPDATE: in the basket's order, or in the table's."""

SLOW_ROWS = """
    CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END';
    CREATE TRIGGER linger BEFORE UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION linger();
"""
"""Holds an UPDATE back at each of its rows, so that two of them surely overlap."""

Take = Callable[[Connection, list[Line]], object]


def deadlocks(engine: Engine, take: Take, plan: str, *, threads: int, rounds: int) -> int:
    """Half of the threads buy the rows upwards, half downwards; how many were victims, in the first round that had one."""
    make_world(engine, [100_000] * 40)
    with transaction(engine) as connection:
        connection.exec_driver_sql(SLOW_ROWS)
    up = [Line(row.id, 1) for row in rows(engine, "SELECT id FROM stock ORDER BY id")]

    def once(lines: list[Line]) -> None:
        with transaction(engine) as connection:
            connection.exec_driver_sql(PLANS[plan])
            take(connection, lines)

    baskets = [up, up[::-1]] * (threads // 2)
    for _round in range(rounds):
        results = at_once([lambda lines=lines: once(lines) for lines in baskets])  # type: ignore[misc]
        victims = sum(isinstance(result, TransactionConflict) and result.sqlstate == "40P01" for result in results)
        if victims:
            return victims
    return 0


def test_control_one_update_without_an_order_deadlocks(engine: Engine) -> None:
    """conditional_update without its ``in_order``, given lines in the customer's order."""

    def take(connection: Connection, lines: list[Line]) -> None:
        connection.execute(TAKE, columns_of(lines))

    Meeting(engine, "SET LOCAL", 2, seconds=PATIENCE_SECONDS)
    assert (
        deadlocks(engine, take, "nested loops", threads=2, rounds=50) > 0
    )  # on a busy machine they may miss each other


def test_control_line_by_line_in_the_customers_order_deadlocks(engine: Engine) -> None:
    def take(connection: Connection, lines: list[Line]) -> None:
        for line in lines:
            connection.execute(TAKE, columns_of([line]))

    Meeting(engine, "UPDATE stock", 2, seconds=PATIENCE_SECONDS)
    assert deadlocks(engine, take, "as planned", threads=2, rounds=1) == 1


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", WAITING)
def test_the_strategies_that_wait_lock_in_one_order_whatever_they_are_given(
    engine: Engine, name: str, plan: str
) -> None:
    """Stronger than needed, for callers sort too (C2); so no plan of PostgreSQL's choosing can bring a deadlock."""
    strategy = load(name)
    assert deadlocks(engine, lambda c, lines: strategy.take(c, [lines]), plan, threads=10, rounds=2) == 0


@pytest.mark.parametrize("name", WAITING)
def test_crossing_baskets_are_sold_without_a_single_repetition(engine: Engine, name: str) -> None:
    world = make_world(engine, [10_000] * 6, customers=8)
    causes: list[str] = []
    sales = Sales(engine, load(name), patient_settings(), Retries(5, on_retry=causes.append))

    def shop(customer: int) -> None:
        for number in range(10):
            ids = world.stock if (customer + number) % 2 else world.stock[::-1]
            assert buy(sales, customer, f"k{number}", *[Line(stock_id, 1) for stock_id in ids]).status == 201

    assert at_once([lambda c=c: shop(c) for c in world.customers]) == [None] * 8  # type: ignore[misc]
    assert causes == []
    assert not discrepancies(engine)
