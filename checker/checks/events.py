"""What the distributor told: each sale once to each manufacturer concerned, each closed month once to every one."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from checker.evidence import Evidence
from checker.verdict import Check, conclude

SALE_RECORDED = "sale.recorded"
MONTH_CLOSED = "month.closed"

Told = Counter[tuple[str, int, int]]
"""(sku, price in minor units, month) -> units."""


def every_sale_is_told_once(evidence: Evidence) -> Check:
    """One sale.recorded an order and manufacturer, with exactly that order's lines of that manufacturer; or pruned since."""
    told: dict[tuple[int, str], list[Told]] = defaultdict(list)
    for event in evidence.database["outbox"]:
        if event["type"] == SALE_RECORDED:
            told[(event["body"]["order_id"], event["manufacturer"])].append(_told(event["body"]))
    sold = sold_lines(evidence)
    pruned = Pruned.of(evidence)

    def faults() -> Iterator[str]:
        for (order, manufacturer), lines in sold.items():
            found = told.get((order, manufacturer), [])
            if found != [lines] and (found or order not in pruned.orders):
                yield f"order {order}: sold {_shown(lines)} of {manufacturer}, told {[_shown(t) for t in found]}"
        for order, manufacturer in told.keys() - sold.keys():
            yield f"{manufacturer} was told of order {order}, which has no line of it"

    return conclude("every sale is told exactly once", f"{len(sold)} sales to a manufacturer", faults())


def every_closed_month_is_told_once(evidence: Evidence) -> Check:
    """One month.closed, or each part of one, a closed month and manufacturer known by then; sold units are the order lines'."""
    told: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for event in evidence.database["outbox"]:
        if event["type"] == MONTH_CLOSED:
            told[(event["body"]["month"], event["manufacturer"])].append(event["body"])
    closed = {row["number"] for row in evidence.database["month"] if _is_told(row)}
    concerned = {(month, code) for month, code in _suppliers(evidence) if month in closed}
    sold: Counter[tuple[int, str, str]] = Counter()
    for (_, manufacturer), lines in sold_lines(evidence).items():
        for (sku, _, month), units in lines.items():
            sold[(month, manufacturer, sku)] += units

    pruned = Pruned.of(evidence)

    def faults() -> Iterator[str]:
        for month, code in sorted(concerned | told.keys()):
            bodies = told.get((month, code), [])
            if not bodies and month in pruned.months:
                continue
            # as they are told by runs from before there were parts: one part of one
            parts = sorted((body.get("part", 1), body.get("parts", 1)) for body in bodies)
            if (
                not bodies
                or parts != [(part, len(bodies)) for part in range(1, len(bodies) + 1)]
                or month not in closed
            ):
                yield f"month {month}: {code} was told {len(bodies)} times of its end, parts {parts}"
            else:
                yield from _wrong_totals(month, code, [line for body in bodies for line in body["totals"]], sold)

    return conclude("every closed month is told exactly once", f"{len(closed)} months", faults())


@dataclass(frozen=True)
class Pruned:
    """Orders and closed months whose events are old enough to be gone from the outbox (distributor/retention)."""

    orders: frozenset[int]
    months: frozenset[int]

    @classmethod
    def of(cls, evidence: Evidence) -> "Pruned":
        """By the database's clock alone. Runs from before there was pruning pruned nothing."""
        up_to = next((row["up_to"] for row in evidence.database.get("pruned", []) if row["kind"] == "outbox"), None)
        if up_to is None:
            return cls(frozenset(), frozenset())
        moment = dt.datetime.fromisoformat(up_to)
        return cls(
            frozenset(row["id"] for row in evidence.database["orders"] if _before(row["created_at"], moment)),
            frozenset(row["number"] for row in evidence.database["month"] if _before(row["closed_at"], moment)),
        )


def _is_told(month: dict[str, Any]) -> bool:
    """Runs from before months were told after their end told them with it."""
    return month["state"] == "closed" and month.get("told_at", month["closed_at"]) is not None


def _before(written: str | None, moment: dt.datetime) -> bool:
    return written is not None and dt.datetime.fromisoformat(written) < moment


def sold_lines(evidence: Evidence) -> dict[tuple[int, str], Told]:
    """(order id, manufacturer code) -> what that order bought of that manufacturer."""
    codes = {row["id"]: row["code"] for row in evidence.database["manufacturer"]}
    skus = {row["id"]: row["sku"] for row in evidence.database["product"]}
    stock = {row["id"]: (codes[row["manufacturer_id"]], skus[row["product_id"]]) for row in evidence.database["stock"]}
    months = {row["id"]: row["month"] for row in evidence.database["orders"]}
    result: dict[tuple[int, str], Told] = defaultdict(Counter)
    for line in evidence.database["order_line"]:
        code, sku = stock[line["stock_id"]]
        order = line["order_id"]
        result[(order, code)][(sku, line["price_minor"], months[order])] += line["quantity"]
    return dict(result)


def _told(body: dict[str, Any]) -> Told:
    lines: Told = Counter()
    for line in body["lines"]:
        lines[(line["sku"], line["price_minor"], body["month"])] += line["quantity"]
    return lines


def _wrong_totals(
    month: int, code: str, totals: list[dict[str, Any]], sold: Counter[tuple[int, str, str]]
) -> Iterator[str]:
    told: Counter[str] = Counter()
    for line in totals:  # a product that is in two parts counts twice, and is found by that
        told[line["sku"]] += line["sold"]
    expected = {sku: units for (m, c, sku), units in sold.items() if (m, c) == (month, code)}
    for sku in sorted(told.keys() | expected.keys()):
        if told[sku] != expected.get(sku, 0):
            yield f"month {month}, {code}, {sku}: told {told[sku]} sold, ordered {expected.get(sku, 0)}"


def _suppliers(evidence: Evidence) -> set[tuple[int, str]]:
    codes = {row["id"]: row["code"] for row in evidence.database["manufacturer"]}
    return {(row["month"], codes[row["manufacturer_id"]]) for row in evidence.database["supply"]}


def _shown(lines: Told) -> str:
    return ", ".join(f"{units} x {sku} at {price}" for (sku, price, _), units in sorted(lines.items())[:4]) or "nothing"
