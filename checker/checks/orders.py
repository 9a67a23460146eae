"""P2 and P3: what was acknowledged exists exactly once, what was refused does not exist, a key has one answer."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from checker.evidence import Evidence, Row
from checker.history import Key, Learned, keys
from checker.verdict import Check, conclude

Identity = tuple[int, str]


def acknowledged_orders_exist_once(evidence: Evidence) -> Check:
    """Every 201 is an order with that id, total and lines, and there is one order a key."""
    known = keys(evidence.history)
    acknowledged = [key for key in known.values() if key.learned is Learned.ACKNOWLEDGED]
    orders, lines = _orders_by_key(evidence), _lines_by_order(evidence)

    def faults() -> Iterator[str]:
        for key in acknowledged:
            found = orders.get((key.customer_id, key.key), [])
            if len(found) != 1:
                shown = ", ".join(f"order {row['id']}" for row in found) or "no order"
                yield f"customer {key.customer_id}, key {key.key}: acknowledged as {sorted(key.acknowledged)}, found {shown}"
            else:
                yield from _differences(key, found[0], lines[found[0]["id"]])

    return conclude("acknowledged orders exist exactly once (P2)", f"{len(acknowledged)} acknowledged orders", faults())


def refused_orders_do_not_exist(evidence: Evidence) -> Check:
    """A key whose last word was a refusal has no order."""
    refused = [key for key in keys(evidence.history).values() if key.learned is Learned.REFUSED]
    orders = _orders_by_key(evidence)
    faults = (
        f"customer {key.customer_id}, key {key.key}: refused, yet order {row['id']} exists"
        for key in refused
        for row in orders.get((key.customer_id, key.key), [])
    )
    return conclude("refused orders do not exist (P2)", f"{len(refused)} refused keys", faults)


def no_order_was_never_asked_for(evidence: Evidence) -> Check:
    """Every order carries a key that a client sent, at most one order a key."""
    known = keys(evidence.history)
    orders = evidence.database["orders"]
    counted = Counter((row["customer_id"], row["idempotency_key"]) for row in orders)

    def faults() -> Iterator[str]:
        for row in orders:
            identity = (row["customer_id"], row["idempotency_key"])
            if identity not in known:
                yield f"order {row['id']}: no client ever sent key {identity[1]} for customer {identity[0]}"
        for identity, count in counted.items():
            if count > 1:
                yield f"customer {identity[0]}, key {identity[1]}: {count} orders"

    return conclude("no order that nobody asked for (P2)", f"{len(orders)} orders", faults())


def same_key_same_answer(evidence: Evidence) -> Check:
    """One key, one answer: in the client's history, and in the shop's stored answers against its orders."""
    known = keys(evidence.history)
    orders = _orders_by_key(evidence)
    answers = evidence.database["idempotency_key"]

    def faults() -> Iterator[str]:
        for key in known.values():
            if len(key.acknowledged) > 1 or (key.acknowledged and key.settling_refusals):
                yield (
                    f"customer {key.customer_id}, key {key.key}: answered as {sorted(key.acknowledged)} "
                    f"and refused {key.settling_refusals} times"
                )
        stored: dict[Identity, Row] = {(row["customer_id"], row["key"]): row for row in answers}
        for identity, rows in orders.items():
            answer = stored.get(identity)
            if answer is None or answer["status"] != 201 or answer["order_id"] != rows[0]["id"]:
                yield f"order {rows[0]['id']}: its stored answer is {answer}"
        for identity, answer in stored.items():
            if answer["status"] == 201 and identity not in orders:
                yield f"customer {identity[0]}, key {identity[1]}: stored answer 201 without an order"

    return conclude("the same key gets the same answer (P3)", f"{len(known)} keys, {len(answers)} answers", faults())


def orders_lie_within_their_month(evidence: Evidence) -> Check:
    """An order was made between the month's gather and its closing, by the database's clock."""
    months = {row["number"]: row for row in evidence.database["month"]}
    orders = evidence.database["orders"]

    def outside(order: Row) -> bool:
        month = months.get(order["month"])
        if month is None or order["created_at"] < month["gathering_at"]:
            return True
        return month["closing_at"] is not None and order["created_at"] > month["closing_at"]

    faults = (
        f"order {row['id']} of {row['created_at']} lies outside month {row['month']}" for row in orders if outside(row)
    )
    return conclude("orders lie within their month", f"{len(orders)} orders, {len(months)} months", faults)


def _differences(key: Key, order: Row, lines: Counter[int]) -> Iterator[str]:
    for order_id, total in key.acknowledged:
        if (order_id, total) != (order["id"], order["total_minor"]):
            yield f"key {key.key}: acknowledged as order {order_id} over {total}, found {order['id']} over {order['total_minor']}"
    asked: Counter[int] = Counter()
    for stock, quantity in key.lines:
        asked[stock] += quantity
    if key.lines and asked != lines:
        yield f"order {order['id']}: asked for {sorted(asked.items())}, booked {sorted(lines.items())}"


def _orders_by_key(evidence: Evidence) -> dict[Identity, list[Row]]:
    result: dict[Identity, list[Row]] = defaultdict(list)
    for row in evidence.database["orders"]:
        result[(row["customer_id"], row["idempotency_key"])].append(row)
    return dict(result)


def _lines_by_order(evidence: Evidence) -> dict[int, Counter[int]]:
    result: dict[int, Counter[int]] = defaultdict(Counter)
    for line in evidence.database["order_line"]:
        result[line["order_id"]][line["stock_id"]] += line["quantity"]
    return result
