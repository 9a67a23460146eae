"""What the ledger says, for the distributor and for people: per product and per month, and where the two books differ.

``drift`` lists the products of a closed month whose own sales (Σ of the sales heard of) differ from the total that the
distributor told at the close. While sales are still on their way it is expected; after a drained run it must be empty.
"""

import sqlite3
from typing import Any

PRODUCTS = """
SELECT product.sku, produced, in_stock, returned,
    coalesce(on_offer.units, 0), coalesce(taken.units, 0), coalesce(sales.units, 0)
FROM product
LEFT JOIN (SELECT sku, sum(quantity) AS units FROM offer_line JOIN offer USING (month)
    WHERE state = 'offered' AND (:month IS NULL OR month = :month) GROUP BY sku) AS on_offer USING (sku)
LEFT JOIN (SELECT sku, sum(quantity) AS units FROM offer_line JOIN offer USING (month)
    WHERE state = 'accepted' AND (:month IS NULL OR month = :month) GROUP BY sku) AS taken USING (sku)
LEFT JOIN (SELECT sku, sum(quantity) AS units FROM sale_line
    WHERE :month IS NULL OR month = :month GROUP BY sku) AS sales USING (sku)
ORDER BY product.sku
"""

MONTHS = """
WITH known AS (SELECT month FROM offer UNION SELECT month FROM sale_line UNION SELECT month FROM month_closed)
SELECT month, (SELECT state FROM offer WHERE offer.month = known.month),
    (SELECT reason FROM month_closed WHERE month_closed.month = known.month),
    (SELECT coalesce(sum(quantity), 0) FROM sale_line WHERE sale_line.month = known.month),
    (SELECT sum(unsold) FROM month_total JOIN month_closed USING (month) WHERE month = known.month)
FROM known WHERE :month IS NULL OR month = :month ORDER BY month
"""

DRIFT = """
WITH own AS (SELECT month, sku, sum(quantity) AS sold FROM sale_line
        WHERE month IN (SELECT month FROM month_closed) GROUP BY month, sku),
    both AS (SELECT month, sku FROM own UNION SELECT month, sku FROM month_total JOIN month_closed USING (month))
SELECT month, sku, coalesce(own.sold, 0), coalesce(month_total.sold, 0)
FROM both LEFT JOIN own USING (month, sku) LEFT JOIN month_total USING (month, sku)
WHERE coalesce(own.sold, 0) <> coalesce(month_total.sold, 0) AND (:month IS NULL OR month = :month)
ORDER BY month, sku
"""


def report(connection: sqlite3.Connection, month: int | None) -> dict[str, Any]:
    """All figures; with ``month``, what was offered, accepted and sold in that one (produced and returned stay totals)."""
    chosen = {"month": month}
    drift: dict[int, list[dict[str, Any]]] = {}
    for of_month, sku, own, told in connection.execute(DRIFT, chosen):
        drift.setdefault(of_month, []).append({"sku": sku, "own_sold": own, "told_sold": told})
    return {
        "products": [
            dict(zip(("sku", "produced", "in_stock", "returned", "offered", "accepted", "sold"), row, strict=True))
            for row in connection.execute(PRODUCTS, chosen)
        ],
        "months": [
            {
                "month": of_month,
                "offer": offer,
                "closed": reason is not None,
                "reason": reason,
                "sold_units": sold,
                "unsold_units": unsold,
                "drift": drift.get(of_month, []),
            }
            for of_month, offer, reason, sold, unsold in connection.execute(MONTHS, chosen)
        ],
        "events_applied": connection.execute("SELECT count(*) FROM event").fetchone()[0],
    }
