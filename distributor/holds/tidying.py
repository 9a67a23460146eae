"""What ends holds without any lock on stock (H6): buying uses them up, and the sweeper tidies those whose time is over."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ARRAY, BigInteger, Connection, bindparam, text

TIDY_LINES_MAX = 1_000  # of one transaction, which holds as many row locks; chosen

_USE = text("""
    UPDATE cart_line AS line
    SET held = greatest(line.held - bought.quantity, 0),
        held_until = CASE WHEN line.held > bought.quantity THEN line.held_until END
    FROM (
        SELECT customer_id, stock_id, sum(quantity) AS quantity
        FROM unnest(:customer_ids, :stock_ids, :quantities) AS bought (customer_id, stock_id, quantity)
        GROUP BY customer_id, stock_id
    ) AS bought
    WHERE line.customer_id = bought.customer_id AND line.stock_id = bought.stock_id AND line.held > 0
""").bindparams(*(bindparam(name, type_=ARRAY(BigInteger)) for name in ("customer_ids", "stock_ids", "quantities")))

# The lock evaluates the condition again on the line's newest version: a line that was held again, bought or put back
# meanwhile is left alone, and one that somebody is working on is skipped until the next time.
_TIDY = text("""
    WITH over AS (
        SELECT customer_id, stock_id FROM cart_line
        WHERE held > 0 AND held_until <= statement_timestamp()
        ORDER BY stock_id, customer_id LIMIT :lines_max FOR UPDATE SKIP LOCKED
    )
    UPDATE cart_line AS line SET held = 0, held_until = NULL FROM over
    WHERE line.customer_id = over.customer_id AND line.stock_id = over.stock_id
      AND line.held > 0 AND line.held_until <= statement_timestamp()
""")


class Bought(NamedTuple):
    """What was bought while a line of the same goods stays in its buyer's cart: the hold of that line was for it."""

    customer_id: int
    stock_id: int
    quantity: int


def use(connection: Connection, bought: Sequence[Bought]) -> None:
    """The holds shrink by what was bought."""
    if bought:
        values = {
            "customer_ids": [one.customer_id for one in bought],
            "stock_ids": [one.stock_id for one in bought],
            "quantities": [one.quantity for one in bought],
        }
        connection.execute(_USE, values)


def tidy(connection: Connection) -> int:
    """Take the marks of ended holds off cart lines, so that the index of holds stays small; how many it were.

    Nothing depends on it (H1): an ended hold counts for nothing from its moment on.
    """
    return connection.execute(_TIDY, {"lines_max": TIDY_LINES_MAX}).rowcount
