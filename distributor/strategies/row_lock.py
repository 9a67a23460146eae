"""row_lock: lock the rows first, then look, then write.

Idea        Whoever means to buy locks the basket's stock rows, so that what it then reads stays true until its commit.
SQL         SELECT … FROM stock … WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE OF stock
            UPDATE stock SET sold = sold + quantity FROM unnest(:ids, :quantities)
            NO KEY, because an order line's foreign key takes FOR KEY SHARE on the same row, which FOR UPDATE would
            block. OF stock, because product and manufacturer are only looked up: locking them would join strangers.
Contention  Buyers of a row wait in a queue, one after the other, until the first commits (or ``lock_timeout``). After
            the wait PostgreSQL reads the row again (READ COMMITTED), so the newest counters are judged.
Deadlocks   None: rows are locked one by one in id order, for the lock step comes after the sort.
Cost        Two statements a basket, however many lines. The rows are locked for both, the inserts and the commit.
Anomaly     None.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from distributor.strategies.contract import DEADLOCK_DETECTED, IsolationLevel, Line, Short, Taken
from distributor.strategies.stock_rows import FACTS, add_to_sold, judge, quantities_of, read
from distributor.tables import Stock

LOCK = FACTS.with_for_update(of=Stock, key_share=True)


class RowLock:
    """SELECT … FOR NO KEY UPDATE in id order, then UPDATE."""

    name = "row_lock"
    isolation: IsolationLevel = "READ COMMITTED"
    retry_on = frozenset({DEADLOCK_DETECTED})
    groups_max = 1

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        return [self._take(connection, lines) for lines in baskets]

    def _take(self, connection: Connection, lines: Sequence[Line]) -> Taken | Short:
        result = judge(lines, read(connection, LOCK, lines))
        if isinstance(result, Taken):
            add_to_sold(connection, quantities_of(lines))
        return result
