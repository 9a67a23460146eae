"""Money adds up: totals are the sum of their lines, and each order is charged once, exactly its total."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from checker.evidence import Evidence, Row
from checker.verdict import Check, conclude


def totals_add_up(evidence: Evidence) -> Check:
    """An order's total is the sum of quantity times price of its lines, in minor units; no order is empty."""
    sums: Counter[int] = Counter()
    for line in evidence.database["order_line"]:
        sums[line["order_id"]] += line["quantity"] * line["price_minor"]
    orders = evidence.database["orders"]
    faults = (
        f"order {row['id']}: total {row['total_minor']}, its lines sum to {sums[row['id']]}"
        for row in orders
        if row["total_minor"] != sums[row["id"]] or row["total_minor"] <= 0
    )
    return conclude("order totals add up", f"{len(orders)} orders", faults)


def charged_exactly_once(evidence: Evidence) -> Check:
    """One charge an order, of its total and currency; no charge without an order."""
    charges: dict[int, list[Row]] = defaultdict(list)
    for charge in evidence.database["charge"]:
        charges[charge["order_id"]].append(charge)
    orders = {row["id"]: row for row in evidence.database["orders"]}

    def faults() -> Iterator[str]:
        for order in orders.values():
            found = [(charge["amount_minor"], charge["currency"]) for charge in charges[order["id"]]]
            if found != [(order["total_minor"], order["currency"])]:
                yield f"order {order['id']}: total {order['total_minor']} {order['currency']}, charges {found}"
        for order_id in charges.keys() - orders.keys():
            yield f"charge for order {order_id}, which does not exist"

    return conclude("each order is charged exactly once (P2)", f"{len(orders)} orders", faults())
