"""Fills a database with a year of a shop's life, by sets, in the true tables.

F1  The result is what rows inserted one by one would be: foreign keys are taken off for the time of the filling and put on
    again, which PostgreSQL does only after checking every row; indexes are made anew from their own definitions.
F2  The books balance: counters, totals, charges and answers agree, so the checker would call them valid.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from distributor.migrate import upgrade

MAKERS = 100
MONTHS = 12
UNITS = 100_000
"""Supplied of each stock row: nobody is to be refused."""

_STEPS = (Path(__file__).parent / "filling.sql").read_text(encoding="utf-8").split("-- ;\n")

_EMPTY = """
    DO $$ BEGIN
        EXECUTE (SELECT 'TRUNCATE ' || string_agg(oid::regclass::text, ', ') FROM pg_class
                 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version');
    END $$
"""
_FOREIGN_KEYS = """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
"""
_INDEXES = """
    SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


@dataclass(frozen=True)
class Size:
    """How many rows a shop has; all customers have a card, each tenth a session, each twentieth something in the cart."""

    stock_rows: int
    customers: int
    orders: int

    @property
    def goods(self) -> int:
        """Products: one in ten is made by two manufacturers."""
        return self.stock_rows - self.stock_rows // 10

    def scaled(self, factor: float) -> "Size":
        return Size(*(max(1_000, round(number * factor)) for number in (self.stock_rows, self.customers, self.orders)))


def fill(url: str, size: Size) -> float:
    """Make the schema and the rows in the empty database ``url``; the seconds it took."""
    begun = time.monotonic()
    upgrade(url)
    values = {
        "makers": MAKERS,
        "months": MONTHS,
        "units": UNITS,
        "stock_rows": size.stock_rows,
        "goods": size.goods,
        "customers": size.customers,
        "orders": size.orders,
    }
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for setting in ("maintenance_work_mem = '512MB'", "work_mem = '256MB'", "temp_buffers = '256MB'"):
            connection.execute(f"SET {setting}".encode())
        keys = connection.execute(_FOREIGN_KEYS).fetchall()
        indexes = connection.execute(_INDEXES).fetchall()
        taken_off = [drop for drop, _ in (*keys, *indexes)]
        put_on = [make for _, make in (*indexes, *keys)]
        with (
            connection.transaction()
        ):  # tables that were emptied in it need no log of what is written after that (wal_level minimal)
            connection.execute(_EMPTY)
            for statement in (*taken_off, *(step.format(**values) for step in _STEPS), *put_on):
                connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")
    return time.monotonic() - begun
