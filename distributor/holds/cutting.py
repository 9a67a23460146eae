"""When goods go away that were held: a withdrawal takes free units first, and of held ones the latest to end.

Of holds that no longer fit, those that end last are cut first, so that the rest can still be bought (H2). Were they
left, every holder would stand in every other one's way until their times are over.
"""

from collections.abc import Sequence

from sqlalchemy import ARRAY, BigInteger, Connection, bindparam, text

_STOCK_IDS = bindparam("stock_ids", type_=ARRAY(BigInteger))

_LOCK_HOLDERS = text("""
    SELECT FROM cart_line WHERE stock_id = ANY(:stock_ids) AND held > 0 ORDER BY stock_id, customer_id FOR UPDATE
""").bindparams(_STOCK_IDS)

_CUT = text("""
    WITH kept AS (
        SELECT line.customer_id, line.stock_id, line.held,
               least(line.held, stock.supplied - stock.withdrawn - stock.sold - coalesce(sum(line.held) OVER (
                   PARTITION BY line.stock_id ORDER BY line.held_until, line.customer_id
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
               ), 0)) AS units
        FROM cart_line AS line JOIN stock ON stock.id = line.stock_id
        WHERE line.stock_id = ANY(:stock_ids) AND line.held > 0 AND line.held_until > statement_timestamp()
    )
    UPDATE cart_line AS line
    SET held = greatest(kept.units, 0), held_until = CASE WHEN kept.units > 0 THEN line.held_until END
    FROM kept
    WHERE line.customer_id = kept.customer_id AND line.stock_id = kept.stock_id AND kept.units < kept.held
""").bindparams(_STOCK_IDS)


def lock_holders(connection: Connection, stock_ids: Sequence[int]) -> None:
    """The cart lines that hold units of these rows, before the rows themselves (H7)."""
    connection.execute(_LOCK_HOLDERS, {"stock_ids": list(stock_ids)})


def cut_to_fit(connection: Connection, stock_ids: Sequence[int]) -> int:
    """Cut holds that exceed what is left of these rows, which the caller has locked; how many were cut."""
    return connection.execute(_CUT, {"stock_ids": list(stock_ids)}).rowcount
