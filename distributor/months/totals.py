"""The totals of closed months, told to the manufacturers beside the next month's sale.

O1  A closed month is told once: its events and ``told_at`` are written in one transaction, by one process at a time.
O2  What is told is how things stood when the month was closed, whenever it is told: supplies and orders of later months are left
    out again, by one statement and so as of one moment. (Units of a supply that were taken back until then are not told.)
O3  Months are told in their order.

A million goods take many seconds, and what nobody waits for must not keep the shop closed. Called by telling.py.
"""

from sqlalchemy import Connection, text

TELLING = 0x4344_5306  # beside distributor.months.gate.SALES_GATE
TELLING_TIMEOUT_MS = 300_000
"""The totals of a month with millions of sales may take longer than any other statement may; chosen. Were they given up,
they would be each time, and the manufacturers would never hear of them."""

TELLING_MEMORY = "64MB"
"""For each sort and hash of that one statement: with 4 MB, a million goods are sorted on the disk."""

_ALONE = text("SELECT pg_try_advisory_xact_lock(:lock)")

_UNTOLD = text("SELECT number FROM month WHERE state = 'closed' AND told_at IS NULL ORDER BY number LIMIT 1")

_FOR_TOTALS = text("SELECT set_config('statement_timeout', :timeout, true), set_config('work_mem', :memory, true)")

PART_PRODUCTS = 10_000
"""Products of which one month.closed tells: 1.7 MB at most, well below the broker's 4 MB a message."""

# One month.closed for every manufacturer, also for one that had nothing to sell, or several for one of very many products:
# part 1 to n of n. Of each product that came in, was sold or was left: `unsold` is what was left at the end of the month,
# carried over to the next (O2).
_TELL = text(
    """
    WITH supplied AS (
        SELECT line.stock_id, sum(line.quantity - line.withdrawn) FILTER (WHERE supply.month = :number)::bigint AS units,
               sum(line.quantity - line.withdrawn) FILTER (WHERE supply.month > :number)::bigint AS later
        FROM supply JOIN supply_line AS line ON line.supply_id = supply.id
        WHERE supply.month >= :number GROUP BY line.stock_id
    ), sold AS (
        SELECT line.stock_id, sum(line.quantity) FILTER (WHERE orders.month = :number)::bigint AS units,
               sum(line.quantity) FILTER (WHERE orders.month > :number)::bigint AS later
        FROM orders JOIN order_line AS line ON line.order_id = orders.id
        WHERE orders.month >= :number GROUP BY line.stock_id
    ), total AS (
        SELECT stock.manufacturer_id, product.sku, coalesce(supplied.units, 0) AS supplied, coalesce(sold.units, 0) AS sold,
               stock.supplied - stock.withdrawn - stock.sold - coalesce(supplied.later, 0) + coalesce(sold.later, 0) AS unsold
        FROM stock JOIN product ON product.id = stock.product_id
        LEFT JOIN supplied ON supplied.stock_id = stock.id
        LEFT JOIN sold ON sold.stock_id = stock.id
    ), numbered AS (
        SELECT *, (row_number() OVER (PARTITION BY manufacturer_id ORDER BY sku) - 1) / :part_products + 1 AS part
        FROM total WHERE supplied > 0 OR sold > 0 OR unsold > 0
    ), told AS (
        SELECT manufacturer_id, part, jsonb_agg(
            jsonb_build_object('sku', sku, 'supplied', supplied, 'sold', sold, 'unsold', unsold) ORDER BY sku
        ) AS totals
        FROM numbered GROUP BY manufacturer_id, part
    )
    INSERT INTO outbox (event_id, type, manufacturer, body)
    SELECT gen_random_uuid(), 'month.closed', manufacturer.code, jsonb_build_object(
        'month', month.number, 'reason', month.reason, 'totals', coalesce(told.totals, '[]'::jsonb),
        'part', coalesce(told.part, 1), 'parts', count(*) OVER (PARTITION BY manufacturer.id),
        'closed_at', to_char(month.closed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    )
    FROM month CROSS JOIN manufacturer LEFT JOIN told ON told.manufacturer_id = manufacturer.id
    WHERE month.number = :number
    ORDER BY manufacturer.id, told.part
    """
)

_TOLD = text("UPDATE month SET told_at = clock_timestamp() WHERE number = :number")


def tell_next(connection: Connection) -> int | None:
    """Write the events of the first closed month that was not told yet (O1, O3); its number, None if there is none.

    Also None while another process tells one.
    """
    if connection.scalar(_UNTOLD) is None or not connection.scalar(_ALONE, {"lock": TELLING}):
        return None
    number: int | None = connection.scalar(_UNTOLD)  # again, behind the lock: who held it has committed
    if number is None:
        return None
    connection.execute(_FOR_TOTALS, {"timeout": str(TELLING_TIMEOUT_MS), "memory": TELLING_MEMORY})
    connection.execute(_TELL, {"number": number, "part_products": PART_PRODUCTS})
    connection.execute(_TOLD, {"number": number})
    return number
