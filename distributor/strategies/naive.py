"""naive: the control. Reads, decides, writes back what it computed from what it read; sells too much.

Idea        What a beginner writes first, and what an object mapper does with ``stock.sold += n``.
SQL         SELECT … FROM stock … WHERE id = ANY(:ids)                          (no lock)
            UPDATE stock SET sold = :value_read + quantity FROM unnest(:ids, :values)
Contention  Nobody waits for the decision. Two buyers read the same ``sold``; both find enough; the second one's UPDATE
            waits for the first one's commit and then overwrites it with a value from before it.
Deadlocks   Possible: one UPDATE locks its rows in no promised order. The transaction is then repeated.
Cost        Two statements a basket, the shortest locks of all.
Anomaly     Lost update (P4): the counter falls behind the order lines, so that more is sold than was supplied although
            every CHECK holds. Only comparing the counter with the order lines shows it.
"""

from collections.abc import Sequence

from sqlalchemy import ARRAY, BigInteger, Connection, bindparam, func, update

from distributor.strategies.contract import DEADLOCK_DETECTED, IsolationLevel, Line, Short, Taken
from distributor.strategies.stock_rows import FACTS, IDS, ids_of, judge
from distributor.tables import Stock

CHECK_VIOLATION = "23514"

_VALUES = bindparam("values", type_=ARRAY(BigInteger))
_COMPUTED = func.unnest(IDS, _VALUES).table_valued("stock_id", "sold", name="computed").render_derived()
_WRITE_BACK = update(Stock).where(Stock.id == _COMPUTED.c.stock_id).values(sold=_COMPUTED.c.sold)


class Naive:
    """SELECT, then UPDATE with the value that was read."""

    name = "naive"
    isolation: IsolationLevel = "READ COMMITTED"
    retry_on = frozenset({DEADLOCK_DETECTED, CHECK_VIOLATION})  # a withdrawal may come between reading and writing
    groups_max = 1

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        return [read_then_write(connection, lines) for lines in baskets]


def read_then_write(connection: Connection, lines: Sequence[Line]) -> Taken | Short:
    """What is wrong about it depends on what surrounds it: see serializable and process_mutex."""
    rows = connection.execute(FACTS, ids_of(lines)).all()
    result = judge(lines, rows)
    if isinstance(result, Taken):
        sold = {row.id: row.sold for row in rows}
        values = [sold[line.stock_id] + line.quantity for line in lines]
        connection.execute(_WRITE_BACK, {**ids_of(lines), "values": values})
    return result
