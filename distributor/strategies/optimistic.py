"""optimistic: look without a lock, and write only if nothing has changed since.

Idea        Collisions are rare, so nobody waits to look. The three counters of a row only grow (T1), so together they
            are its version: a row that still has the values that were read has not been written in between.
SQL         SELECT … FROM stock … WHERE id = ANY(:ids)                          (no lock)
            UPDATE stock SET sold = sold + quantity … WHERE sold, supplied and withdrawn are still as read RETURNING id
            With several lines the UPDATE is joined to the rows locked in id order, as in conditional_update.
Contention  The first one wins; everyone else who had read the same version repeats the whole purchase after a pause.
            On a hot row most work is thrown away, and some buyers run out of attempts (503) although units are left.
Deadlocks   None: the UPDATE locks in id order.
Cost        Two statements a basket; the row is locked from the UPDATE on, so for a shorter time than in row_lock.
Anomaly     None: the condition is evaluated again on the newest row after a wait (READ COMMITTED).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, any_, bindparam, func, select, update

from distributor.errors import TransactionConflict
from distributor.strategies.contract import DEADLOCK_DETECTED, IsolationLevel, Line, Short, Taken
from distributor.strategies.stock_rows import FACTS, IDS, QUANTITIES, columns_of, ids_of, judge
from distributor.tables import Stock

VERSION_CHANGED = "version"
"""In the place of an SQLSTATE: the database found nothing wrong, we did."""

_READ = FACTS.add_columns(Stock.supplied, Stock.withdrawn)


def _counters(name: str) -> Any:
    return bindparam(f"{name}_seen", type_=ARRAY(BigInteger))


_SEEN = (
    func.unnest(IDS, QUANTITIES, _counters("supplied"), _counters("withdrawn"), _counters("sold"))
    .table_valued("stock_id", "quantity", "supplied", "withdrawn", "sold", name="seen")
    .render_derived()
)
_IN_ORDER = (
    select(Stock.id).where(Stock.id == any_(IDS)).order_by(Stock.id).with_for_update(key_share=True).cte("in_order")
)
_WRITE_ONE = (
    update(Stock)
    .where(
        Stock.id == _SEEN.c.stock_id,
        Stock.supplied == _SEEN.c.supplied,
        Stock.withdrawn == _SEEN.c.withdrawn,
        Stock.sold == _SEEN.c.sold,
    )
    .values(sold=Stock.sold + _SEEN.c.quantity)
    .returning(Stock.id)
)
_WRITE_IN_ORDER = _WRITE_ONE.where(Stock.id == _IN_ORDER.c.id)


class Optimistic:
    """SELECT, then UPDATE … WHERE the version is the one that was read."""

    name = "optimistic"
    isolation: IsolationLevel = "READ COMMITTED"
    retry_on = frozenset({DEADLOCK_DETECTED})
    groups_max = 1

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        return [self._take(connection, lines) for lines in baskets]

    def _take(self, connection: Connection, lines: Sequence[Line]) -> Taken | Short:
        rows = {row.id: row for row in connection.execute(_READ, ids_of(lines))}
        result = judge(lines, list(rows.values()))
        if isinstance(result, Taken):
            _write(connection, lines, rows)
        return result


def _write(connection: Connection, lines: Sequence[Line], rows: dict[int, Any]) -> None:
    seen = [rows[line.stock_id] for line in lines]
    versions = {f"{name}_seen": [getattr(row, name) for row in seen] for name in ("supplied", "withdrawn", "sold")}
    statement = _WRITE_ONE if len(lines) == 1 else _WRITE_IN_ORDER
    written = connection.execute(statement, {**columns_of(lines), **versions}).all()
    if len(written) < len(lines):
        raise TransactionConflict(VERSION_CHANGED)
