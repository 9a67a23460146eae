"""P1: stock is arithmetic on counters that only grow, and never more is sold than was supplied."""

from collections import Counter, defaultdict

from checker.evidence import Evidence
from checker.verdict import Check, conclude


def counters_add_up(evidence: Evidence) -> Check:
    """supplied, withdrawn, sold and available are each >= 0 in every stock row."""
    rows = evidence.database["stock"]
    faults = (
        f"stock {row['id']}: supplied {row['supplied']} - withdrawn {row['withdrawn']} - sold {row['sold']} "
        f"= {row['supplied'] - row['withdrawn'] - row['sold']} available"
        for row in rows
        if min(row["supplied"], row["withdrawn"], row["sold"], row["supplied"] - row["withdrawn"] - row["sold"]) < 0
    )
    return conclude("stock counters add up", f"{len(rows)} stock rows", faults)


def sold_is_what_was_ordered(evidence: Evidence) -> Check:
    """The counter ``sold`` equals the units in order lines: a lost update shows here."""
    rows = evidence.database["stock"]
    ordered = ordered_units(evidence)
    differing = sorted(
        ((row, ordered[row["id"]]) for row in rows if row["sold"] != ordered[row["id"]]),
        key=lambda pair: abs(pair[0]["sold"] - pair[1]),
    )
    faults = (
        f"stock {row['id']}: its counter says {row['sold']} sold, its order lines say {units} "
        f"({_orders_of(evidence, row['id'])})"
        for row, units in differing
    )
    return conclude("the sold counter is what was ordered", f"{len(rows)} stock rows", faults)


def never_sold_more_than_supplied(evidence: Evidence) -> Check:
    """Units in order lines never exceed units in supplies less withdrawals (the counters are not even read)."""
    supplied: Counter[int] = Counter()
    for line in evidence.database["supply_line"]:
        supplied[line["stock_id"]] += line["quantity"] - line["withdrawn"]
    ordered = ordered_units(evidence)
    over = sorted((units - supplied[stock], stock) for stock, units in ordered.items() if units > supplied[stock])
    faults = (
        f"stock {stock}: {supplied[stock]} supplied, {ordered[stock]} sold, {excess} too many; "
        f"took more than there was: {_orders_beyond(evidence, stock, supplied[stock])}"
        for excess, stock in over
    )
    return conclude("never sold more than supplied (P1)", f"{len(ordered)} products sold", faults)


def supplied_is_what_was_booked(evidence: Evidence) -> Check:
    """The counters ``supplied`` and ``withdrawn`` equal the supply lines."""
    supplied: Counter[int] = Counter()
    withdrawn: Counter[int] = Counter()
    for line in evidence.database["supply_line"]:
        supplied[line["stock_id"]] += line["quantity"]
        withdrawn[line["stock_id"]] += line["withdrawn"]
    rows = evidence.database["stock"]
    faults = (
        f"stock {row['id']}: counters {row['supplied']} supplied, {row['withdrawn']} withdrawn; "
        f"supply lines {supplied[row['id']]}, {withdrawn[row['id']]}"
        for row in rows
        if (row["supplied"], row["withdrawn"]) != (supplied[row["id"]], withdrawn[row["id"]])
    )
    return conclude("the supplied counter is what was booked", f"{len(rows)} stock rows", faults)


def ordered_units(evidence: Evidence) -> Counter[int]:
    """Units in order lines, per stock row."""
    units: Counter[int] = Counter()
    for line in evidence.database["order_line"]:
        units[line["stock_id"]] += line["quantity"]
    return units


def _orders_of(evidence: Evidence, stock_id: int) -> str:
    ids = sorted(line["order_id"] for line in evidence.database["order_line"] if line["stock_id"] == stock_id)
    shown = ", ".join(str(order) for order in ids[-6:])
    return f"its last orders: {shown}" if ids else "no orders"


def _orders_beyond(evidence: Evidence, stock_id: int, supplied: int) -> str:
    """The orders, in order of their ids, from the one that passed the supply on."""
    lines: dict[int, int] = defaultdict(int)
    for line in evidence.database["order_line"]:
        if line["stock_id"] == stock_id:
            lines[line["order_id"]] += line["quantity"]
    taken, beyond = 0, []
    for order in sorted(lines):
        taken += lines[order]
        if taken > supplied:
            beyond.append(f"order {order} ({lines[order]} units)")
    return ", ".join(beyond[:4]) + (f" and {len(beyond) - 4} more" if len(beyond) > 4 else "")
