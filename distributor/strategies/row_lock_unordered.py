"""row_lock_unordered: a control. Locks the rows, but in whatever order they come; runs into deadlocks.

Idea        row_lock as one writes it in a loop over the cart, forgetting that another cart may hold the same goods in
            another order. The callers of a strategy sort, so this one shuffles again.
SQL         for each line, in random order:
              SELECT … FROM stock … WHERE id = :id FOR NO KEY UPDATE OF stock
            UPDATE stock SET sold = sold + quantity FROM unnest(:ids, :quantities)
Contention  Two baskets that hold each other's next row wait until ``deadlock_timeout`` (1 s) has passed; then
            PostgreSQL looks for the circle and fails one of them (40P01), which is repeated.
Deadlocks   Yes: with two lines in common already. Baskets of one line are safe.
Cost        One statement a line, and a second of waiting, with all of the other locks held, for each deadlock.
Anomaly     None: what is sold is right. It only takes long, and sometimes longer than the customer waits.
"""

import random
from collections.abc import Sequence

from sqlalchemy import Connection

from distributor.strategies.contract import DEADLOCK_DETECTED, IsolationLevel, Line, Short, Taken
from distributor.strategies.row_lock import LOCK
from distributor.strategies.stock_rows import add_to_sold, judge, quantities_of, read


class RowLockUnordered:
    """SELECT … FOR NO KEY UPDATE row by row in random order, then UPDATE."""

    name = "row_lock_unordered"
    isolation: IsolationLevel = "READ COMMITTED"
    retry_on = frozenset({DEADLOCK_DETECTED})
    groups_max = 1

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        return [self._take(connection, lines) for lines in baskets]

    def _take(self, connection: Connection, lines: Sequence[Line]) -> Taken | Short:
        shuffled = random.sample(lines, len(lines))  # no secret depends on it
        rows = [row for line in shuffled for row in read(connection, LOCK, [line])]
        result = judge(lines, rows)
        if isinstance(result, Taken):
            add_to_sold(connection, quantities_of(lines))
        return result
