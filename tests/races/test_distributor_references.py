"""References without foreign keys: nothing points nowhere, whoever writes or deletes. Numbers (N1 …) are references.py's."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from distributor.references import REFERENCES
from tests.conftest import wait_until
from tests.distributor_world import engine_for, make_world, rows

NOWHERE = 10**9
_LINE = "INSERT INTO supply_line (supply_id, stock_id, quantity) VALUES (:supply, :stock, 1) RETURNING 1"
_STOCK = "INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency) VALUES (:product, :maker, 'x', 1, 'GBP')"
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url)
    make_world(engine, [5, 5])
    yield engine
    engine.dispose()


def test_what_points_nowhere_is_refused_whole(engine: Engine) -> None:
    """N1, of several rows in one statement, too."""
    before = rows(engine, "SELECT count(*) FROM supply_line")
    for statement, values, said in (
        (_LINE, {"supply": 1, "stock": NOWHERE}, "there is no stock 1000000000"),
        (_LINE, {"supply": NOWHERE, "stock": 1}, "there is no supply 1000000000"),
        (_STOCK, {"product": NOWHERE, "maker": 1}, "there is no product 1000000000"),
        (_STOCK, {"product": 1, "maker": NOWHERE}, "there is no manufacturer 1000000000"),
        (
            "INSERT INTO supply_line (supply_id, stock_id, quantity) SELECT 1, n, 1 FROM generate_series(100, 102) n",
            {},
            "there is no stock 10",
        ),
    ):
        with pytest.raises(IntegrityError, match=said):
            rows(engine, statement, **values)
    assert rows(engine, "SELECT count(*) FROM supply_line") == before


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda each: f"{each.table}.{each.column}")
def test_neither_end_of_a_reference_goes_or_changes(engine: Engine, reference: object) -> None:
    """N2, N3."""
    table, column, target = reference.table, reference.column, reference.target  # type: ignore[attr-defined]
    for statement in (
        f"DELETE FROM {target}",
        f"UPDATE {target} SET id = id + 1000",
        f"UPDATE {table} SET {column} = {column} + 1000",
    ):
        with pytest.raises(IntegrityError, match=r"is pointed at by|neither end|foreign key"):
            rows(engine, statement)


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "control-without-the-trigger"])
def test_a_supply_is_not_deleted_under_a_line_that_is_being_written(engine: Engine, guarded: bool) -> None:
    """N2: neither transaction sees what the other has not committed; the deletion waits for the line, then sees it."""
    rows(
        engine, "INSERT INTO month (number, state, reason, ends_at) VALUES (2, 'closed', 'by_hand', now()) RETURNING 1"
    )
    added = "INSERT INTO supply (manufacturer_id, month, content_sha256) VALUES (1, 2, '') RETURNING id"
    [(supply,)] = rows(engine, added)
    if not guarded:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER supply_referenced ON supply")
    refused = []

    def delete() -> None:
        try:
            rows(engine, "DELETE FROM supply WHERE id = :id RETURNING id", id=supply)
        except IntegrityError:
            refused.append(supply)

    deleting = threading.Thread(target=delete)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO supply_line (supply_id, stock_id, quantity) VALUES ({supply}, 1, 1)")
        deleting.start()
        wait_until(lambda: rows(engine, _WAITING)[0][0] if guarded else not deleting.is_alive())
    deleting.join()
    dangling = "SELECT count(*) FROM supply_line WHERE NOT EXISTS (SELECT FROM supply WHERE supply.id = supply_id)"
    assert (bool(refused), rows(engine, dangling)[0][0]) == ((True, 0) if guarded else (False, 1))
