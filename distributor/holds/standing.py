"""What is there of stock rows and who holds how much of it, in one statement: one snapshot, one moment (H1)."""

from collections.abc import Iterable, Mapping

from sqlalchemy import ARRAY, BigInteger, Connection, bindparam, text

from distributor.holds.arithmetic import Standing

# `held > 0` lets the partial index cart_line_held serve; where nobody holds anything, it is empty.
_STANDINGS = text("""
    SELECT stock.id, stock.supplied - stock.withdrawn - stock.sold AS available,
           CASE WHEN hold.customer_id = ANY(:customer_ids) THEN hold.customer_id END AS customer_id,
           CAST(coalesce(sum(hold.held), 0) AS bigint) AS held
    FROM stock
    LEFT JOIN cart_line AS hold
      ON hold.stock_id = stock.id AND hold.held > 0 AND hold.held_until > statement_timestamp()
    WHERE stock.id = ANY(:stock_ids)
    GROUP BY 1, 2, 3
""").bindparams(bindparam("stock_ids", type_=ARRAY(BigInteger)), bindparam("customer_ids", type_=ARRAY(BigInteger)))


def standings(
    connection: Connection, stock_ids: Iterable[int], customer_ids: Iterable[int] = ()
) -> dict[int, Standing]:
    """By stock id; ids that do not exist are left out. ``customer_ids``: whose holds are told apart from all others'."""
    held: dict[int, dict[int | None, int]] = {}
    available: dict[int, int] = {}
    asked: Mapping[str, list[int]] = {"stock_ids": sorted(set(stock_ids)), "customer_ids": sorted(set(customer_ids))}
    for row in connection.execute(_STANDINGS, asked):
        available[row.id] = row.available
        held.setdefault(row.id, {})[row.customer_id] = row.held
    return {stock_id: Standing(units, held[stock_id]) for stock_id, units in available.items()}
