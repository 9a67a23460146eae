"""conditional_update: look and write in one statement, so that nothing can happen in between.

Idea        UPDATE only where there is enough; no row comes back where there is not.
SQL         one line:
              UPDATE stock SET sold = sold + quantity FROM … WHERE supplied - withdrawn - sold >= quantity RETURNING …
            several lines: the same UPDATE, joined to
              WITH in_order AS (SELECT id FROM stock WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE)
            for the lines that came back empty: SELECT … WHERE id = ANY(:ids)      (to say how many are left)
Contention  Buyers of a row wait in a queue until the first commits (or ``lock_timeout``). After the wait PostgreSQL
            evaluates the WHERE again on the newest row (READ COMMITTED), so the condition holds when the row changes.
Deadlocks   None. A row is updated only after ``in_order`` delivered its id, and that locks in id order. An UPDATE of
            several rows without it locks in whatever order its plan visits them: two such baskets can deadlock.
Cost        One statement and one round trip for any basket; the shortest locks of the correct strategies.
Anomaly     None. A basket with a short line has taken its other lines already: the caller rolls back (C3).
"""

from collections.abc import Sequence

from sqlalchemy import Connection, any_, select, update

from distributor.errors import ShortLine
from distributor.strategies.contract import DEADLOCK_DETECTED, IsolationLevel, Line, Short, Taken
from distributor.strategies.stock_rows import AVAILABLE, FACTS, IDS, WANTED, columns_of, ids_of, taken_line
from distributor.tables import Manufacturer, Product, Stock

TAKE = (
    update(Stock)
    .where(
        Stock.id == WANTED.c.stock_id,
        WANTED.c.quantity <= AVAILABLE,
        Product.id == Stock.product_id,
        Manufacturer.id == Stock.manufacturer_id,
    )
    .values(sold=Stock.sold + WANTED.c.quantity)
    .returning(
        Stock.id,
        Stock.name,
        Stock.price_minor,
        Stock.currency,
        AVAILABLE.label("available"),
        Product.sku,
        Manufacturer.code,
        Manufacturer.name.label("manufacturer_name"),
    )
)

_IN_ORDER = (
    select(Stock.id).where(Stock.id == any_(IDS)).order_by(Stock.id).with_for_update(key_share=True).cte("in_order")
)
TAKE_IN_ORDER = TAKE.where(Stock.id == _IN_ORDER.c.id)


class ConditionalUpdate:
    """UPDATE … WHERE enough."""

    name = "conditional_update"
    isolation: IsolationLevel = "READ COMMITTED"
    retry_on = frozenset({DEADLOCK_DETECTED})
    groups_max = 1

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        return [self._take(connection, lines) for lines in baskets]

    def _take(self, connection: Connection, lines: Sequence[Line]) -> Taken | Short:
        statement = TAKE if len(lines) == 1 else TAKE_IN_ORDER
        taken = {row.id: row for row in connection.execute(statement, columns_of(lines))}
        missing = [line for line in lines if line.stock_id not in taken]
        if missing:
            return Short(_shortages(connection, missing))
        return Taken(
            tuple(taken_line(line, taken[line.stock_id], left=taken[line.stock_id].available) for line in lines)
        )


def _shortages(connection: Connection, missing: Sequence[Line]) -> tuple[ShortLine, ...]:
    """How many are left of each; a unit that came in since the UPDATE does not make the line less short then."""
    rows = connection.execute(FACTS, ids_of(missing)).all()
    available = {row.id: row.available for row in rows}
    return tuple(
        ShortLine(line.stock_id, line.quantity, min(available.get(line.stock_id, 0), line.quantity - 1))
        for line in missing
    )
