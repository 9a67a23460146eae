"""nowait: lock the rows first, but never stand in a queue for them.

Idea        As row_lock, with NOWAIT: a row that somebody else holds is an error at once, and the whole purchase is
            repeated after a pause of random length. The wait moves from the database's lock queue into the shop.
SQL         SELECT … FROM stock … WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE OF stock NOWAIT
            UPDATE stock SET sold = sold + quantity FROM unnest(:ids, :quantities)
Contention  SQLSTATE 55P03 at once. Nobody queues, so nobody is served in turn: under many buyers of one row some are
            lucky, some run out of attempts and are told that the shop is busy (503), although units are left.
Deadlocks   None: who waits for nothing closes no circle.
Cost        Two statements a basket, and as many begun and rolled back transactions as there were collisions.
Anomaly     None.
"""

from collections.abc import Sequence

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from distributor.errors import TransactionConflict
from distributor.strategies.contract import DEADLOCK_DETECTED, IsolationLevel, Line, Short, Taken
from distributor.strategies.stock_rows import FACTS, add_to_sold, judge, quantities_of, read
from distributor.tables import Stock

LOCK_NOT_AVAILABLE = "55P03"

_LOCK_OR_FAIL = FACTS.with_for_update(of=Stock, key_share=True, nowait=True)


class Nowait:
    """SELECT … FOR NO KEY UPDATE NOWAIT in id order, then UPDATE."""

    name = "nowait"
    isolation: IsolationLevel = "READ COMMITTED"
    retry_on = frozenset({DEADLOCK_DETECTED})
    groups_max = 1

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        return [self._take(connection, lines) for lines in baskets]

    def _take(self, connection: Connection, lines: Sequence[Line]) -> Taken | Short:
        result = judge(lines, _locked(connection, lines))
        if isinstance(result, Taken):
            add_to_sold(connection, quantities_of(lines))
        return result


def _locked(connection: Connection, lines: Sequence[Line]) -> Sequence[object]:
    """A refused lock is a conflict to repeat; the same SQLSTATE elsewhere means that lock_timeout was waited out."""
    try:
        return read(connection, _LOCK_OR_FAIL, lines)
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise TransactionConflict(LOCK_NOT_AVAILABLE) from error
        raise
