"""conditional_update: look and write in one statement, so that nothing can happen in between.

Idea        UPDATE only where there is enough; no row comes back where there is not.
SQL         for each line, in id order, sent together (psycopg's pipeline):
              UPDATE stock SET sold = sold + :quantity FROM product, manufacturer
              WHERE stock.id = :id AND supplied - withdrawn - sold >= :quantity … RETURNING …
            for the lines that came back empty: SELECT … WHERE id = ANY(:ids)      (to say how many are left)
Contention  Buyers of a row wait in a queue until the first commits (or ``lock_timeout``). After the wait PostgreSQL
            evaluates the WHERE again on the newest row (READ COMMITTED), so the condition holds when the row changes.
Deadlocks   None: each statement locks one row, and they run in id order. One UPDATE for all lines would lock in
            whatever order its plan visits them, and two such baskets can deadlock.
Cost        A single line: one statement and one round trip, the shortest lock of the correct ones. A basket of n lines:
            n statements to execute, yet still one round trip.
Anomaly     None. A basket with a short line has taken its other lines already: the caller rolls back (C3).
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection

from distributor.errors import ShortLine
from distributor.strategies.contract import DEADLOCK_DETECTED, IsolationLevel, Line, Short, Taken, TakenLine
from distributor.strategies.stock_rows import FACTS, ids_of

_TAKE_LINE = """
    UPDATE stock SET sold = sold + %(quantity)s
    FROM product, manufacturer
    WHERE stock.id = %(stock_id)s
      AND stock.supplied - stock.withdrawn - stock.sold >= %(quantity)s
      AND product.id = stock.product_id
      AND manufacturer.id = stock.manufacturer_id
    RETURNING stock.id, stock.price_minor, stock.currency, stock.name, product.sku,
              manufacturer.code, manufacturer.name AS manufacturer_name,
              stock.supplied - stock.withdrawn - stock.sold AS available
"""
"""Written out, for SQLAlchemy has no UPDATE … RETURNING for many parameter sets."""


class ConditionalUpdate:
    """UPDATE … WHERE enough, line by line in id order."""

    name = "conditional_update"
    isolation: IsolationLevel = "READ COMMITTED"
    retry_on = frozenset({DEADLOCK_DETECTED})
    groups_max = 1

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        return [self._take(connection, lines) for lines in baskets]

    def _take(self, connection: Connection, lines: Sequence[Line]) -> Taken | Short:
        taken = _update(connection, lines)
        missing = [line for line, row in zip(lines, taken, strict=True) if row is None]
        if missing:
            return Short(_shortages(connection, missing))
        return Taken(tuple(row for row in taken if row is not None))


def _update(connection: Connection, lines: Sequence[Line]) -> list[TakenLine | None]:
    """Run the statement for every line, in order; None for a line that changed nothing."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        message = f"conditional_update needs psycopg's pipeline, not {type(driver).__name__}"
        raise TypeError(message)
    with driver.cursor(row_factory=namedtuple_row) as cursor:
        cursor.executemany(
            _TAKE_LINE,
            [{"stock_id": line.stock_id, "quantity": line.quantity} for line in lines],
            returning=True,
        )
        return [_taken(line, answer.fetchone()) for line, answer in zip(lines, cursor.results(), strict=True)]


def _taken(line: Line, row: Any) -> TakenLine | None:
    if row is None:
        return None
    return TakenLine(
        stock_id=line.stock_id,
        quantity=line.quantity,
        price_minor=row.price_minor,
        currency=row.currency,
        manufacturer=row.code,
        manufacturer_name=row.manufacturer_name,
        sku=row.sku,
        name=row.name,
        left=row.available,
    )


def _shortages(connection: Connection, missing: Sequence[Line]) -> tuple[ShortLine, ...]:
    """How many are left of each; a unit that came in since the UPDATE does not make the line less short then."""
    rows = connection.execute(FACTS, ids_of(missing)).all()
    available = {row.id: row.available for row in rows}
    return tuple(
        ShortLine(line.stock_id, line.quantity, min(available.get(line.stock_id, 0), line.quantity - 1))
        for line in missing
    )
