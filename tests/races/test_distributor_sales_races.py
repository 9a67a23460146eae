"""Races around a purchase: the same key at once, two tabs with one cart, the end of the month, a killed buyer."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text, update

from distributor import queries
from distributor.database import transaction
from distributor.errors import Busy, ShopClosed
from distributor.months.gate import close_gate
from distributor.sales import Answer, Line, Sales
from distributor.strategies import NAMES, load
from distributor.strategies.contract import DEADLOCK_DETECTED, SERIALIZATION_FAILURE, IsolationLevel
from distributor.strategies.row_lock import RowLock
from distributor.tables import Charge, Month, Order
from settings.model import Cart
from tests.conftest import wait_until
from tests.distributor_races import PATIENCE_SECONDS, Pause, at_once, buy, in_background, tally, wait_for_waiters
from tests.distributor_world import counts, discrepancies, engine_for, make_world, patient_settings, rows

STORM = 50
SHA = "0" * 64
CORRECT = [name for name in NAMES if name != "naive"]


@pytest.fixture
def engine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr("distributor.strategies.process_mutex.WAIT_SECONDS", PATIENCE_SECONDS)
    engine = engine_for(database_url, pool_size=STORM + 2)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("units", [100, 1])
def test_a_storm_of_one_key_makes_one_order_and_one_answer(engine: Engine, name: str, units: int) -> None:
    """P2, P3; with one unit for two wanted, the one answer is a refusal."""
    world = make_world(engine, [units])
    sales = Sales(engine, load(name), patient_settings())
    results = at_once([lambda: buy(sales, world.customers[0], "k", Line(world.stock[0], 2))] * STORM)
    status = 201 if units > 1 else 409
    assert tally(results) == {status: STORM}
    assert len({repr(sorted(result.body.items())) for result in results if not result.replayed}) == 1
    assert all(result.body == results[0].body for result in results)
    assert sum(not result.replayed for result in results) == 1
    made = int(status == 201)
    assert counts(engine, (Order, Charge)) == {"orders": made, "charge": made}
    assert not discrepancies(engine)


def test_control_without_the_key_a_storm_makes_many_orders(engine: Engine) -> None:
    world = make_world(engine, [100])
    sales = Sales(engine, load("row_lock"), patient_settings())
    line = Line(world.stock[0], 1)
    at_once([lambda n=n: buy(sales, world.customers[0], f"k{n}", line) for n in range(10)])  # type: ignore[misc]
    assert counts(engine, (Order,)) == {"orders": 10}


def test_who_waits_for_the_same_key_too_long_is_told_to_come_again(database_url: str) -> None:
    impatient = engine_for(database_url, lock_timeout_ms=300)
    world = make_world(impatient, [5])
    sales = Sales(impatient, load("row_lock"), patient_settings())
    pause = Pause(impatient, "INTO idempotency_key")
    thread, first = in_background(lambda: buy(sales, world.customers[0], "k", Line(world.stock[0], 1)))
    assert pause.reached.wait(60)
    with pytest.raises(Busy):
        buy(sales, world.customers[0], "k", Line(world.stock[0], 1))
    pause.release.set()
    thread.join(60)
    assert buy(sales, world.customers[0], "k", Line(world.stock[0], 1)).body == first[0].body
    impatient.dispose()


def put(engine: Engine, customer: int, stock_id: int, quantity: int) -> None:
    with transaction(engine) as connection:
        queries.put_in_cart(connection, customer, stock_id, quantity, Cart())


def test_one_cart_bought_in_two_tabs_is_bought_once(engine: Engine) -> None:
    """Different keys, so only the cart's locks keep them apart."""
    world = make_world(engine, [50, 50])
    sales = Sales(engine, load("row_lock"), patient_settings())
    for stock_id in world.stock:
        put(engine, world.customers[0], stock_id, 3)
    keys = [f"tab-{n}" for n in range(8)]
    results = at_once([lambda k=k: sales.place(world.customers[0], k, None, SHA) for k in keys])  # type: ignore[misc]
    assert tally(results) == {201: 1, 409: 7}
    assert {result.body["reason"] for result in results if result.status == 409} == {"cart_empty"}
    assert [row.sold for row in rows(engine, "SELECT sold FROM stock")] == [3, 3]


def test_a_line_put_in_while_the_cart_is_bought_is_not_lost_and_not_sold(engine: Engine) -> None:
    world = make_world(engine, [50, 50])
    sales = Sales(engine, load("row_lock"), patient_settings())
    put(engine, world.customers[0], world.stock[0], 3)
    pause = Pause(engine, "FROM cart_line")
    thread, bought = in_background(lambda: sales.place(world.customers[0], "k", None, SHA))
    assert pause.reached.wait(60)
    put(engine, world.customers[0], world.stock[1], 2)
    changing, changed = in_background(lambda: put(engine, world.customers[0], world.stock[0], 4))  # waits for the sale
    pause.release.set()
    thread.join(60)
    changing.join(60)
    assert changed == [None]
    assert [(line["stock_id"], line["quantity"]) for line in bought[0].body["lines"]] == [(world.stock[0], 3)]
    left = rows(engine, "SELECT stock_id, quantity FROM cart_line ORDER BY stock_id")
    assert [(row.stock_id, row.quantity) for row in left] == [(world.stock[0], 4), (world.stock[1], 2)]


def close_month(engine: Engine, gate: Callable[..., None] = close_gate) -> int:
    """As the leader does; the number of orders that it finds when nobody is inside any more."""
    with transaction(engine) as connection:
        gate(connection)
        connection.execute(update(Month).values(state="closing", reason="by_hand"))
        return int(connection.scalar(text("SELECT count(*) FROM orders")) or 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_purchase_past_the_gate_commits_before_the_month_closes(engine: Engine, name: str) -> None:
    """G1, G2: and the one that comes after finds the shop closed.

    With one snapshot a conflict with either may roll the purchase back; repeated, it comes after the month, definitely.
    """
    world = make_world(engine, [5])
    sales = Sales(engine, load(name), patient_settings())
    pause = Pause(engine, "nextval")
    buying, bought = in_background(lambda: buy(sales, world.customers[0], "k", Line(world.stock[0], 1)))
    assert pause.reached.wait(60)
    closing, closed = in_background(lambda: close_month(engine))
    wait_for_waiters(engine)  # the leader, for the purchase
    late, refused = in_background(lambda: buy(sales, world.customers[1], "k", Line(world.stock[0], 1)))
    pause.release.set()
    for thread in (buying, closing, late):
        thread.join(60)
    orders_after = counts(engine, (Order,))["orders"]
    assert closed == [orders_after]
    assert isinstance(refused[0], ShopClosed)
    if load(name).isolation != "READ COMMITTED" and isinstance(bought[0], ShopClosed):
        assert orders_after == 0
        return
    assert isinstance(bought[0], Answer)
    assert bought[0].status == 201
    assert orders_after == 1


def test_control_without_the_gate_a_month_is_sold_from_after_it_closed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distributor.sales.records.ENTER", ("SELECT 1", {}))
    world = make_world(engine, [5])
    sales = Sales(engine, load("row_lock"), patient_settings())
    pause = Pause(engine, "nextval")
    buying, bought = in_background(lambda: buy(sales, world.customers[0], "k", Line(world.stock[0], 1)))
    assert pause.reached.wait(60)
    assert close_month(engine) == 0
    pause.release.set()
    buying.join(60)
    assert bought[0].status == 201
    assert counts(engine, (Order,)) == {"orders": 1}


@pytest.mark.parametrize("name", CORRECT)
def test_no_order_joins_a_month_that_closes_in_the_middle_of_a_rush(engine: Engine, name: str) -> None:
    world = make_world(engine, [100_000] * 3, customers=8)
    sales = Sales(engine, load(name), patient_settings())
    rushing = threading.Event()

    def rush(customer: int) -> int:
        for number in range(10_000):
            try:
                buy(sales, customer, f"k{number}", Line(world.stock[number % 3], 1))
            except ShopClosed:
                return number
            if number == 3:
                rushing.set()
        raise AssertionError("the month never closed")

    def close() -> int:
        assert rushing.wait(60)
        return close_month(engine)

    actions: list[Callable[[], object]] = [close, *[lambda c=c: rush(c) for c in world.customers]]
    at_close, *sold = at_once(actions)
    assert sum(sold) == at_close == counts(engine, (Order,))["orders"]


class OneSnapshot(RowLock):
    """Stands for every strategy above READ COMMITTED: its snapshot is older than the gate."""

    isolation: IsolationLevel = "SERIALIZABLE"
    retry_on = frozenset({SERIALIZATION_FAILURE, DEADLOCK_DETECTED})


@pytest.mark.parametrize("protected", [True, False], ids=["held", "control"])
def test_an_old_snapshot_does_not_sell_from_a_month_that_closed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    if not protected:
        monkeypatch.setattr("distributor.sales.records.hold_month", lambda _connection: None)
    world = make_world(engine, [5])
    sales = Sales(engine, OneSnapshot(), patient_settings())
    with transaction(engine) as leader:
        close_gate(leader)
        buying, bought = in_background(lambda: buy(sales, world.customers[0], "k", Line(world.stock[0], 1)))
        wait_until(lambda: rows(engine, "SELECT 1 FROM pg_locks WHERE NOT granted") != [], 10, "it waits at the gate")
        leader.execute(update(Month).values(state="closing", reason="by_hand"))
    buying.join(60)
    assert isinstance(bought[0], ShopClosed) == protected
    assert counts(engine, (Order,)) == {"orders": int(not protected)}


KILLED = """
import os, signal, sys
from sqlalchemy import event
from distributor.sales import Line, Sales
from distributor.strategies import load
from settings import Settings
from tests.distributor_world import engine_for

url, when, fragment, customer, stock = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
engine = engine_for(url)

def die(_connection, _cursor, sql, *_rest):
    if fragment in sql:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(engine, f"{when}_cursor_execute", die)
Sales(engine, load("row_lock"), Settings()).place(customer, "k", [Line(stock, 2)], "0" * 64)
"""


@pytest.mark.parametrize(
    ("when", "fragment"),
    [("after", "INTO idempotency_key"), ("after", "FOR NO KEY"), ("before", "SET sold"), ("before", "INTO orders")],
)
def test_a_killed_process_leaves_nothing_behind_and_its_locks_go(
    engine: Engine, database_url: str, when: str, fragment: str
) -> None:
    """P5: the key, the stock and the gate are free again for the one who asks next. What goes with COMMIT has no after."""
    world = make_world(engine, [5])
    ids = str(world.customers[0]), str(world.stock[0])
    arguments = [sys.executable, "-c", KILLED, database_url, when, fragment, *ids]
    root = Path(__file__).parents[2]
    ended = subprocess.run(arguments, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    sales = Sales(engine, load("row_lock"), patient_settings())
    answer = sales.place(world.customers[0], "k", [Line(world.stock[0], 2)], SHA)
    assert (answer.status, answer.replayed) == (201, False)
    assert close_month(engine) == 1
    assert not discrepancies(engine)
