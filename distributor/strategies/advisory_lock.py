"""advisory_lock: agree on numbers to lock, and leave the rows alone.

Idea        Whoever means to buy locks a number that stands for the stock row, until the end of the transaction. The
            database attaches no meaning to it: it protects only against those who ask for the same number.
SQL         SELECT pg_advisory_xact_lock_shared(:space, 0)
            SELECT pg_advisory_xact_lock(:space, key) FROM unnest(:keys) AS key     (sorted)
            SELECT … FROM stock … WHERE id = ANY(:ids)
            UPDATE stock SET sold = sold + quantity FROM unnest(:ids, :quantities)
            A basket of more than 32 lines locks the whole space instead, for each lock takes room in shared memory
            that all sessions share (max_locks_per_transaction), and PostgreSQL fails everyone when it is used up.
Contention  Buyers of a row wait in a queue (or ``lock_timeout``). What is read afterwards, by a later statement with a
            newer snapshot, stays true: that the lock and the look are two statements is essential.
Deadlocks   None: keys are locked in one order, the whole space before any of them.
Cost        Four statements a basket. Two rows whose ids have the same key wait for each other without need; that is
            harmless, a key too narrow only costs waiting.
Anomaly     None among purchases. The gather takes no such lock, it only adds to other counters; a withdrawal between
            look and write runs into the CHECK (23514), and the purchase is repeated.
"""

from collections.abc import Sequence

from sqlalchemy import ARRAY, Connection, Integer, bindparam, text

from distributor.strategies.contract import DEADLOCK_DETECTED, IsolationLevel, Line, Short, Taken
from distributor.strategies.naive import CHECK_VIOLATION
from distributor.strategies.stock_rows import FACTS, add_to_sold, judge, quantities_of, read

LOCK_SPACE = 0x5354  # "ST"; the first half of the lock's key, apart from the other uses of advisory locks
WHOLE_SPACE = 0
KEYS = 2**31 - 1  # the second half is a PostgreSQL integer, from 1
LINES_LOCKED_MAX = 32  # well below max_locks_per_transaction (64) a session; chosen

_SHARE = text("SELECT pg_advisory_xact_lock_shared(:space, :key)")
_LOCK_ALL = text("SELECT pg_advisory_xact_lock(:space, :key)")
_LOCK = text("SELECT pg_advisory_xact_lock(:space, wanted.key) FROM unnest(:keys) AS wanted (key)").bindparams(
    bindparam("keys", type_=ARRAY(Integer))
)


class AdvisoryLock:
    """pg_advisory_xact_lock on every row's number in order, then SELECT, then UPDATE."""

    name = "advisory_lock"
    isolation: IsolationLevel = "READ COMMITTED"
    retry_on = frozenset({DEADLOCK_DETECTED, CHECK_VIOLATION})
    groups_max = 1

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        return [self._take(connection, lines) for lines in baskets]

    def _take(self, connection: Connection, lines: Sequence[Line]) -> Taken | Short:
        _lock(connection, lines)
        result = judge(lines, read(connection, FACTS, lines))
        if isinstance(result, Taken):
            add_to_sold(connection, quantities_of(lines))
        return result


def _lock(connection: Connection, lines: Sequence[Line]) -> None:
    whole = {"space": LOCK_SPACE, "key": WHOLE_SPACE}
    if len(lines) > LINES_LOCKED_MAX:
        connection.execute(_LOCK_ALL, whole)
        return
    connection.execute(_SHARE, whole)
    connection.execute(_LOCK, {"space": LOCK_SPACE, "keys": sorted({key_of(line.stock_id) for line in lines})})


def key_of(stock_id: int) -> int:
    """The number that stands for a stock row, 1 to 2**31 - 1; not injective, which only costs waiting."""
    return stock_id % KEYS + 1
