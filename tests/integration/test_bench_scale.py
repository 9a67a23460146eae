"""A shop filled by sets has balanced books, and no statement of a purchase or a page has to read a whole table of it."""

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event

from bench.scale.filling import Size, fill
from bench.scale.operations import Shop
from distributor.database import transaction
from distributor.outbox.pending import claim, mark_published, unpublished
from tests.distributor_world import engine_for, rows

SIZE = Size(stock_rows=1_000, customers=1_000, orders=2_000)
LARGE = "stock|product|supply_line|customer|customer_session|cart_line|orders|order_line|charge|idempotency_key|outbox"
WHOLE_TABLE = re.compile(rf"Seq Scan on ({LARGE})\b.*")

DIFFERENCES = {
    "what is sold of a good is what its orders say": """
        SELECT count(*) FROM stock WHERE sold <> (SELECT coalesce(sum(quantity), 0) FROM order_line WHERE stock_id = stock.id)
    """,
    "what was supplied is what its supplies say": """
        SELECT count(*) FROM stock WHERE supplied <> (SELECT sum(quantity) FROM supply_line WHERE stock_id = stock.id)
    """,
    "an order costs what its lines cost, and that was charged": """
        SELECT count(*) FROM orders LEFT JOIN charge ON charge.order_id = orders.id
        WHERE total_minor <> (SELECT sum(quantity * price_minor) FROM order_line WHERE order_id = orders.id)
           OR total_minor IS DISTINCT FROM amount_minor
    """,
    "an order lies in its month": """
        SELECT count(*) FROM orders JOIN month ON month.number = orders.month
        WHERE created_at < gathering_at OR created_at > coalesce(closing_at, 'infinity')
    """,
    "each manufacturer was told of each sale since the last pruning": """
        SELECT count(*) FROM orders WHERE created_at >= (SELECT up_to FROM pruned WHERE kind = 'outbox')
          AND (SELECT count(DISTINCT manufacturer_id) FROM order_line JOIN stock ON stock.id = stock_id
               WHERE order_id = orders.id) <> (SELECT count(*) FROM outbox WHERE (body ->> 'order_id')::bigint = orders.id)
    """,
}


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    fill(database_url, SIZE)
    engine = engine_for(database_url, pool_size=1)
    yield Shop(engine, SIZE, random.Random(1), "test")
    engine.dispose()


def test_a_filled_shop_has_balanced_books_and_works_by_indexes(shop: Shop) -> None:
    """One test, for the filling takes most of its time. Sequential scans are forbidden to PostgreSQL, which would prefer them in
    tables of a thousand rows: where it scans all the same, no index serves the statement."""
    for promise, difference in DIFFERENCES.items():
        assert [tuple(row) for row in rows(shop.engine, difference)] == [(0,)], promise
    statements = said_by(shop)
    assert len(statements) > 25
    assert whole_tables_read(shop.engine, statements) == []
    control: dict[str, Any] = {"SELECT count(*) FROM stock WHERE sold = 1": {}}
    assert whole_tables_read(shop.engine, control) == ["SELECT count(*) FROM stock WHERE sold = 1: Seq Scan on stock"]


def said_by(shop: Shop) -> dict[str, Any]:
    """Every statement of every operation and of the relay, with the values that it was sent with."""
    said: dict[str, Any] = {}

    def note(_connection: object, _cursor: object, statement: str, values: Any, *_more: object) -> None:
        said.setdefault(statement, values)

    event.listen(shop.engine, "before_cursor_execute", note)
    for operation in shop.operations().values():
        operation()
    with transaction(shop.engine) as connection:
        mark_published(connection, [event.row_id for event in claim(connection, 100, 15.0)])
        unpublished(connection)
    event.remove(shop.engine, "before_cursor_execute", note)
    return said


def whole_tables_read(engine: Engine, statements: dict[str, Any]) -> list[str]:
    found = []
    with transaction(engine) as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for statement, values in statements.items():
            if re.match(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", statement):
                plan = connection.exec_driver_sql("EXPLAIN (COSTS OFF) " + statement, values)
                found += [f"{statement}: {scan[0]}" for row in plan if (scan := WHOLE_TABLE.search(row[0]))]
    return found
