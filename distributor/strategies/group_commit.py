"""group_commit: purchases that wait at the same time are sold together, in one transaction.

Idea        Commits are what a hot row waits for: each purchase holds the row until its commit is on the disk, so there
            are no more purchases a second than commits, one after the other. One transaction that sells for many
            buyers needs one lock and one commit for all of them. While it commits, the next group gathers.
SQL         for all baskets of the group together:
              SELECT … FROM stock … WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE OF stock
              UPDATE stock SET sold = sold + quantity FROM unnest(:ids, :quantities)      (sums over the baskets)
Contention  Inside a process there is none: a basket waits for the group before it. Groups of several processes queue
            for the rows as in row_lock. The more wait, the larger the groups, the less each of them costs.
Deadlocks   None: the rows of a whole group are locked in id order.
Cost        Two statements a group. A basket waits for the group before it, and with everyone in its own: when nobody
            else buys, the group is one purchase and costs what row_lock costs.
Anomaly     None. Each basket is judged by what those before it in the group have left, and taken whole or not at all.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from distributor.errors import ShortLine
from distributor.strategies.contract import DEADLOCK_DETECTED, IsolationLevel, Line, Short, Taken
from distributor.strategies.row_lock import LOCK
from distributor.strategies.stock_rows import add_to_sold, taken_line

GROUPS_MAX = 64  # a group holds its rows' locks for as long as all its answers take to write; chosen


class GroupCommit:
    """One SELECT … FOR NO KEY UPDATE and one UPDATE for all baskets of a group."""

    name = "group_commit"
    isolation: IsolationLevel = "READ COMMITTED"
    retry_on = frozenset({DEADLOCK_DETECTED})
    groups_max = GROUPS_MAX

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        ids = sorted({line.stock_id for lines in baskets for line in lines})
        if not ids:
            return []
        rows = {row.id: row for row in connection.execute(LOCK, {"ids": ids})}
        left = {stock_id: int(row.available) for stock_id, row in rows.items()}
        results = [_judge(lines, rows, left) for lines in baskets]
        _write(connection, results)
        return results


def _judge(lines: Sequence[Line], rows: dict[int, Any], left: dict[int, int]) -> Taken | Short:
    """One basket, whole or not at all; what it takes is no longer ``left`` for the next one."""
    short = tuple(
        ShortLine(line.stock_id, line.quantity, left.get(line.stock_id, 0))
        for line in lines
        if line.quantity > left.get(line.stock_id, 0)
    )
    if short:
        return Short(short)
    for line in lines:
        left[line.stock_id] -= line.quantity
    return Taken(tuple(taken_line(line, rows[line.stock_id], left=left[line.stock_id]) for line in lines))


def _write(connection: Connection, results: Sequence[Taken | Short]) -> None:
    sums: dict[int, int] = {}
    for result in results:
        for line in result.lines if isinstance(result, Taken) else ():
            sums[line.stock_id] = sums.get(line.stock_id, 0) + line.quantity
    if sums:
        add_to_sold(connection, sums)
