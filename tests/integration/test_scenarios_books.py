"""The driver's own looks into real books: the monthly table, and when a system is drained (K2)."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scenarios import books, month_table
from scenarios.month_table import ProductionLog

SALE, CLOSE = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"

# One month, two manufacturers: m1 supplied 10, withdrew 1, sold 4; a customer wanted 9 where 5 were left, while m2 was
# still asked for its goods.
BOOKS = f"""
INSERT INTO manufacturer (id, code, name) VALUES (1, 'm1', 'One'), (2, 'm2', 'Two');
INSERT INTO product (id, sku) VALUES (1, '10001');
INSERT INTO stock (id, product_id, manufacturer_id, name, price_minor, currency, supplied, withdrawn, sold)
     VALUES (1, 1, 1, 'A', 125, 'GBP', 10, 1, 4), (2, 1, 2, 'A', 130, 'GBP', 7, 0, 0);
INSERT INTO month (number, state, reason, gathering_at, opened_at, closing_at, closed_at, told_at, ends_at)
     VALUES (1, 'closed', 'finished', '2025-01-01 10:00Z', '2025-01-01 10:00:03Z', '2025-01-01 10:01Z', '2025-01-01 10:01Z',
             '2025-01-01 10:01Z', '2025-01-01 10:01Z');
INSERT INTO supply (id, manufacturer_id, month, content_sha256, accepted_at)
     VALUES (1, 1, 1, 'x', now()), (2, 2, 1, 'x', now());
INSERT INTO supply_line (supply_id, stock_id, quantity, withdrawn) VALUES (1, 1, 10, 1), (2, 2, 7, 0);
INSERT INTO customer (id, first_name, last_name) VALUES (1, 'a', 'b');
INSERT INTO orders (id, customer_id, idempotency_key, month, total_minor, currency, strategy)
     VALUES (1, 1, 'k', 1, 500, 'GBP', 'row_lock');
INSERT INTO order_line (order_id, stock_id, quantity, price_minor) VALUES (1, 1, 4, 125);
INSERT INTO idempotency_key (customer_id, key, request_sha256, status, answer, created_at)
     VALUES (1, 'k', 'x', 201, '{{"id": 1, "lines": [{{"stock_id": 1, "quantity": 4}}]}}', '2025-01-01 10:00:01Z'),
            (1, 'short', 'x', 409, '{{"lines": [{{"stock_id": 1, "wanted": 9, "available": 5}}]}}', '2025-01-01 10:00:02Z'),
            (1, 'card', 'x', 402, '{{"type": "no-card"}}', '2025-01-01 10:00:03Z');
INSERT INTO outbox (event_id, type, manufacturer, body, published_at)
     VALUES ('{SALE}', 'sale.recorded', 'm1', '{{}}', now()),
            ('{CLOSE}', 'month.closed', 'm1', '{{"month": 1, "totals": [{{"sku": "10001", "unsold": 5}}]}}', now());
"""
LEDGER = f"""
CREATE TABLE product (sku TEXT, produced INTEGER);
CREATE TABLE offer_line (month INTEGER, sku TEXT, quantity INTEGER);
CREATE TABLE event (event_id TEXT);
INSERT INTO product VALUES ('10001', 12);
INSERT INTO offer_line VALUES (1, '10001', 10);
INSERT INTO event VALUES ('{SALE}'), ('{CLOSE}');
"""


@pytest.fixture
def ledgers(tmp_path: Path) -> Path:
    for code, script in (("m1", LEDGER), ("m2", LEDGER.replace(SALE, "other"))):
        with closing(sqlite3.connect(tmp_path / f"{code}.sqlite")) as connection:
            connection.executescript(script)
    return tmp_path


@pytest.fixture
def database(database_url: str) -> Iterator[books.Database]:
    execute(database_url, BOOKS)
    looked_at = books.Database(database_url)
    yield looked_at
    looked_at.close()


def execute(url: str, script: str) -> None:
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        connection.execute(script.encode())


def test_the_monthly_table_takes_each_figure_from_whoever_knows_it(database: books.Database, ledgers: Path) -> None:
    production = ProductionLog()
    production.month_ended(1, books.produced(ledgers))
    one, two = month_table.collect(database, ledgers, production.months)
    assert (one.manufacturer, one.reason, one.produced, one.offered, one.supplied) == ("m1", "finished", 12, 10, 9)
    assert (one.ordered, one.sold, one.refused, one.unsold, one.revenue_minor) == (8, 4, 4, 5, 500)
    assert (two.manufacturer, two.sold, two.supplied, two.unsold) == ("m2", 0, 7, 0)
    month_table.write(ledgers / "months.csv", [one, two])
    assert (ledgers / "months.csv").read_text().splitlines()[1] == "1,m1,finished,12,10,9,8,4,4,5,500"


def test_production_is_counted_from_month_end_to_month_end() -> None:
    production = ProductionLog()
    production.month_ended(1, {"m1": 10, "m2": 3})
    production.month_ended(2, {"m1": 15, "m2": 3})
    assert dict(production.months) == {1: {"m1": 10, "m2": 3}, 2: {"m1": 5, "m2": 0}}


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (None, None),
        (f"UPDATE outbox SET published_at = NULL WHERE event_id = '{SALE}'", "1 events are not published yet"),
        ("UPDATE supply SET accepted_at = NULL WHERE id = 2", "1 supplies are neither accepted nor refused yet"),
        (
            f"UPDATE outbox SET manufacturer = 'm2' WHERE event_id = '{SALE}'",
            "manufacturer m2 has not applied 1 of 1 events yet",
        ),
        ("UPDATE month SET told_at = NULL", "the totals of 1 closed months are not told yet"),
        (f"UPDATE outbox SET manufacturer = 'm3' WHERE event_id = '{SALE}'", "manufacturer m3 has no ledger"),
    ],
)
def test_a_system_is_drained_when_every_event_was_applied_and_every_supply_settled(
    database: books.Database, database_url: str, ledgers: Path, change: str | None, missing: str | None
) -> None:
    """K2."""
    if change:
        execute(database_url, change)
    assert books.what_is_missing(database, ledgers) == missing


def test_looking_never_writes(database: books.Database) -> None:
    """K1."""
    with pytest.raises(books.BooksUnreadable, match="read-only"):
        database.rows("DELETE FROM outbox RETURNING 1 AS one")


def test_books_that_cannot_be_read_are_said_to_be_so_and_read_again_later(database: books.Database) -> None:
    assert [month.number for month in database.months()] == [1]
    rows: list[dict[str, Any]] = database.rows("SELECT pg_backend_pid() AS pid")
    with pytest.raises(books.BooksUnreadable):
        database.rows("SELECT pg_terminate_backend(%(pid)s)", rows[0])
    assert [month.number for month in database.months()] == [1]
    with pytest.raises(books.BooksUnreadable, match=r"none\.sqlite"):
        books.ledger_rows(Path("none.sqlite"), "SELECT 1")
    assert json.dumps(database.version())
