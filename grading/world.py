"""A small shop in a real database: an open month, goods of two makers, customers with cards; and its books.

W1  ``make_world`` may be called again on the same database: the shop is opened once, every world has rows of its own.
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from distributor.database import transaction

PRICE_MINOR = 250
MONTH_SECONDS = 3_600.0

_OPEN = (
    "INSERT INTO calendar (id, epoch, month_seconds) VALUES (1, :now, :seconds) ON CONFLICT DO NOTHING",
    """INSERT INTO month (number, state, opened_at, ends_at) VALUES (:month, 'open', :now, :ends_at)
       ON CONFLICT DO NOTHING""",
    """INSERT INTO manufacturer (code, name) VALUES ('m1', 'First Works'), ('m2', 'Second Works')
       ON CONFLICT DO NOTHING""",
    """INSERT INTO supply (manufacturer_id, month, content_sha256, accepted_at)
       SELECT id, :month, repeat('0', 64), :now FROM manufacturer WHERE code IN ('m1', 'm2') ORDER BY code
       ON CONFLICT DO NOTHING""",
)
_GOODS = text("""
    WITH wanted AS (
        SELECT number, quantity, CASE number % 2 WHEN 1 THEN 'm1' ELSE 'm2' END AS code,
               CASE WHEN :first + number < 1000 THEN lpad((:first + number)::text, 3, '0')
                    ELSE (:first + number)::text END AS label
        FROM unnest(CAST(:quantities AS bigint[])) WITH ORDINALITY AS given (quantity, number)
    ), product_made AS (
        INSERT INTO product (sku) SELECT 'P' || label FROM wanted ORDER BY number RETURNING id, sku
    ), stocked AS (
        INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied)
        SELECT product_made.id, manufacturer.id, 'Product ' || (:first + number), :price_minor, 'GBP', quantity
        FROM wanted JOIN product_made ON product_made.sku = 'P' || label JOIN manufacturer USING (code)
        ORDER BY number RETURNING id, manufacturer_id, supplied
    ), supplied AS (
        INSERT INTO supply_line (supply_id, stock_id, quantity)
        SELECT supply.id, stocked.id, stocked.supplied FROM stocked
        JOIN supply ON supply.manufacturer_id = stocked.manufacturer_id AND supply.month = :month
        WHERE stocked.supplied > 0
    )
    SELECT id FROM stocked ORDER BY id
""")
_CUSTOMERS = text("""
    INSERT INTO customer (email, email_canonical, first_name, last_name, password_hash, card_token, card_brand, card_last4,
                          card_expiry)
    SELECT 'c' || number || '@example.org', 'c' || number || '@example.org', 'Ada', 'Lovelace', 'x', 'tok_1', 'visa', '4242',
           '2099-12'
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS number ORDER BY number
    RETURNING id
""")
_BOOKS = text("""
    SELECT stock.id, stock.supplied, stock.withdrawn, stock.sold, coalesce(sum(order_line.quantity), 0) AS ordered
    FROM stock LEFT JOIN order_line ON order_line.stock_id = stock.id
    WHERE CAST(:stock AS bigint[]) IS NULL OR stock.id = ANY(CAST(:stock AS bigint[]))
    GROUP BY stock.id
    HAVING stock.sold <> coalesce(sum(order_line.quantity), 0)
        OR coalesce(sum(order_line.quantity), 0) > stock.supplied - stock.withdrawn
    ORDER BY stock.id
""")


@dataclass(frozen=True)
class World:
    """Row ids of what was made: stock rows in the order of the quantities given, customers in order."""

    stock: tuple[int, ...]
    customers: tuple[int, ...]


def make_world(
    engine: Engine, quantities: Sequence[int], *, customers: int = 2, price_minor: int = PRICE_MINOR, month: int = 1
) -> World:
    """One stock row per quantity, alternately of m1 and m2: row i is product P00i. Every customer has a card."""
    with transaction(engine) as connection:
        now = dt.datetime.now(dt.UTC)
        values = {"now": now, "seconds": MONTH_SECONDS, "month": month}
        values["ends_at"] = now + dt.timedelta(seconds=MONTH_SECONDS)
        for statement in _OPEN:
            connection.execute(text(statement), values)
        goods = {"first": _count(connection, "product"), "quantities": list(quantities)}
        stock = connection.execute(_GOODS, goods | {"price_minor": price_minor, "month": month}).scalars().all()
        first = _count(connection, "customer")
        people = connection.execute(_CUSTOMERS, {"first": first, "last": first + customers - 1}).scalars().all()
    return World(tuple(stock), tuple(people))


def _count(connection: Connection, table: str) -> int:
    return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608 - two names of ours


def discrepancies(engine: Engine, stock: Sequence[int] | None = None) -> list[Any]:
    """Stock rows whose counter disagrees with their order lines, or that sold more than was supplied (P1).

    ``stock``: only these row ids. Each: id, supplied, withdrawn, sold (the counter), ordered (sum of the order lines).
    """
    with transaction(engine) as connection:
        return list(connection.execute(_BOOKS, {"stock": None if stock is None else list(stock)}))


def fingerprint(*parts: object) -> str:
    """What tells requests apart under one idempotency key."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
