"""Counters against their rows: what is found, what is repaired, what is left to people (R1 to R4)."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

import main
from distributor.database import transaction
from distributor.reconciliation import counters
from distributor.reconciliation.counters import Counter, Difference, differing_money, differing_stock
from distributor.reconciliation.repair import Repaired, repair
from distributor.sales import Line, Sales
from distributor.strategies import load
from settings.model import Settings
from tests.conftest import free_port
from tests.customers_world import make_runtime
from tests.distributor_world import World, discrepancies, make_world, rows

SOLD = 3
WAITS_FOR_A_LOCK = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
SELL_ONE = (
    "UPDATE stock SET sold = sold + 1 WHERE id = :id",
    "UPDATE order_line SET quantity = quantity + 1 WHERE stock_id = :id",
)


@pytest.fixture
def world(engine: Engine) -> World:
    """Five of the first, of which three are sold; two of the second."""
    world = make_world(engine, [5, 2], customers=1)
    sales = Sales(engine, load("row_lock"), Settings())
    assert sales.place(world.customers[0], "k", [Line(world.stock[0], SOLD)], "0" * 64).status == 201
    return world


def change(engine: Engine, statement: str, **values: int) -> None:
    with transaction(engine) as connection:
        connection.execute(text(statement), values)


def found_in_stock(engine: Engine) -> list[Difference]:
    with transaction(engine) as connection:
        return [found for count in differing_stock(connection) for found in count.differences]


def test_what_was_sold_in_order_agrees(engine: Engine, world: World) -> None:
    with transaction(engine) as connection:
        assert (differing_stock(connection), differing_money(connection)) == ([], [])
    assert repair(engine, world.stock[0]) == Repaired(world.stock[0], (), 0)


def test_each_counter_of_the_stock_is_compared_and_repaired(engine: Engine, world: World) -> None:
    first, second = world.stock
    change(engine, "UPDATE stock SET sold = sold - 2, supplied = supplied + 4 WHERE id = :id", id=first)
    change(engine, "UPDATE supply_line SET withdrawn = 1 WHERE stock_id = :id", id=second)
    expected = [
        Difference(Counter.SUPPLIED, first, 9, 5),
        Difference(Counter.SOLD, first, 1, SOLD),
        Difference(Counter.WITHDRAWN, second, 0, 1),
    ]
    assert found_in_stock(engine) == expected
    assert repair(engine, first).differences == tuple(expected[:2])
    assert repair(engine, second).differences == (expected[2],)
    assert found_in_stock(engine) == []
    assert rows(engine, "SELECT supplied, withdrawn, sold FROM stock ORDER BY id") == [(5, 0, SOLD), (2, 1, 0)]


def test_money_is_compared_and_never_changed(engine: Engine, world: World) -> None:
    """R2"""
    change(engine, "UPDATE charge SET amount_minor = amount_minor - 1")
    with transaction(engine) as connection:
        (found,) = differing_money(connection)
    assert (found.counter, found.kept, found.counted) == (Counter.CHARGED, 3 * 250 - 1, 3 * 250)
    change(engine, "DELETE FROM charge")
    change(engine, "UPDATE orders SET total_minor = 1")
    with transaction(engine) as connection:
        assert [(one.counter, one.kept, one.counted) for one in differing_money(connection)] == [
            (Counter.TOTAL, 1, 750),
            (Counter.CHARGED, None, 1),
        ]


def test_more_sold_than_supplied_is_left_to_people(engine: Engine, world: World) -> None:
    """R4: the counter hides it, as a lost update does."""
    change(engine, "UPDATE order_line SET quantity = 7")
    assert repair(engine, world.stock[0]).missing == 2
    assert rows(engine, "SELECT sold FROM stock ORDER BY id") == [(SOLD,), (0,)]


def repaired_while_a_sale_commits(engine: Engine, stock_id: int, wait_until: Callable[..., None]) -> None:
    """One too many is counted; while it is repaired, one more is sold."""
    change(engine, "UPDATE stock SET sold = sold + 1 WHERE id = :id", id=stock_id)
    with ThreadPoolExecutor(1) as pool:
        with transaction(engine) as sale:
            for statement in SELL_ONE:
                sale.execute(text(statement), {"id": stock_id})
            repairing = pool.submit(repair, engine, stock_id)
            wait_until(lambda: rows(engine, WAITS_FOR_A_LOCK), what="the repair waits for the sale")
        repairing.result(60)


def test_what_is_sold_while_it_is_repaired_counts(
    engine: Engine, world: World, wait_until: Callable[..., None]
) -> None:
    """R3"""
    repaired_while_a_sale_commits(engine, world.stock[0], wait_until)
    assert not discrepancies(engine)
    assert rows(engine, "SELECT sold FROM stock WHERE id = :id", id=world.stock[0]) == [(SOLD + 1,)]


def test_control_without_the_lock_a_sale_is_lost(
    engine: Engine, world: World, wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "_LOCK_STOCK", text("SELECT CAST(:id AS bigint)"))
    repaired_while_a_sale_commits(engine, world.stock[0], wait_until)
    assert discrepancies(engine)


@pytest.fixture
def state(tmp_path: Path, database_url: str) -> Path:
    return make_runtime(tmp_path / "state", database_url).state


def reconcile(state: Path, *words: str) -> int:
    return main.run(["reconcile", "--state", str(state), *words])


def test_the_command_reports_and_repairs(
    engine: Engine, world: World, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reconcile(state) == 0
    assert capsys.readouterr().out == "all counters agree with their rows\n"
    first = world.stock[0]
    change(engine, "UPDATE stock SET sold = 0 WHERE id = :id", id=first)
    assert reconcile(state) == 1
    assert f"stock {first}: stock.sold says 0, the rows say 3\n" in capsys.readouterr().out
    assert reconcile(state, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "differences": [{"counter": "stock.sold", "row_id": first, "kept": 0, "counted": 3}],
        "repaired": [],
        "not_repaired": [],
    }
    assert reconcile(state, "--repair") == 0
    assert f"stock {first}: repaired: stock.sold 0 -> 3\n" in capsys.readouterr().out
    assert reconcile(state) == 0


def test_the_command_says_what_it_cannot_settle(
    engine: Engine, world: World, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(engine, "UPDATE order_line SET quantity = 7")
    change(engine, "UPDATE orders SET total_minor = 7 * 250")
    assert reconcile(state, "--repair") == 1
    told = capsys.readouterr().out
    assert "charge.amount_minor says 750, the rows say 1750" in told
    assert "not repaired: 2 more were sold than were ever supplied; decide by hand who does without" in told
    assert "settle these orders by hand" in told


def test_the_command_names_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reconcile(tmp_path) == 64
    assert "no system was started with this state folder" in capsys.readouterr().err
    gone = make_runtime(tmp_path / "gone", f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing")
    assert reconcile(gone.state) == 70
    assert "the database cannot be reached" in capsys.readouterr().err
