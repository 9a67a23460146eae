"""What carts held: never more than was there, within the limits, and never refused to the one who held it.

    available to a customer = supplied - withdrawn - sold - what others hold

A run whose settings have ``cart.hold_seconds`` 0 (or none: it is older than holds) held nothing; then nothing is read.
A hold that a withdrawal cut is not a fault: the goods were the manufacturer's, and the shop wrote down what it knew.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from typing import Any

from checker.evidence import Evidence, Row
from checker.history import Learned, keys
from checker.verdict import Check, conclude

OFF = "a run without holds"


def held_is_there(evidence: Evidence) -> Check:
    """Units of live holds never exceed what is available of a stock row when the books are read."""
    name = "what carts hold is there"
    if not _limits(evidence).get("hold_seconds"):
        return conclude(name, OFF, ())
    lines = _live(evidence)
    held: Counter[int] = Counter()
    for line in lines:
        held[line["stock_id"]] += line["held"]
    available = {row["id"]: row["supplied"] - row["withdrawn"] - row["sold"] for row in evidence.database["stock"]}
    faults = (
        f"stock {stock_id}: {available.get(stock_id, 0)} available, {units} held by "
        + ", ".join(
            f"customer {line['customer_id']} ({line['held']})" for line in lines if line["stock_id"] == stock_id
        )
        for stock_id, units in held.items()
        if units > available.get(stock_id, 0)
    )
    return conclude(name, f"{len(lines)} holds on {len(held)} stock rows", faults)


def holds_keep_to_their_limits(evidence: Evidence) -> Check:
    """No hold is larger than its line or lasts longer than the settings say; no customer has more of them than allowed."""
    name = "holds keep to their limits"
    limits = _limits(evidence)
    if not limits.get("hold_seconds"):
        return conclude(name, OFF, ())
    lines = _live(evidence)

    def faults() -> Iterator[str]:
        for line in lines:
            who = f"customer {line['customer_id']}, stock {line['stock_id']}"
            if line["held"] > line["quantity"]:
                yield f"{who}: {line['held']} held of a line of {line['quantity']}"
            if line["seconds_left"] > limits["hold_seconds"]:
                yield f"{who}: held for {line['seconds_left']:.0f} s more, a hold lasts {limits['hold_seconds']} s"
            if line["holds_begun"] > 1 + limits["hold_extensions_max"]:
                yield f"{who}: its time was begun {line['holds_begun']} times"
        for customer_id, count in Counter(line["customer_id"] for line in lines).items():
            units = sum(line["held"] for line in lines if line["customer_id"] == customer_id)
            if count > limits["hold_lines_max"] or units > limits["hold_units_max"]:
                yield f"customer {customer_id} holds {units} units in {count} lines"

    return conclude(name, f"{len(lines)} holds", faults())


def what_was_held_was_not_refused(evidence: Evidence) -> Check:
    """No purchase was refused for lack of units that its customer held then: by the shop's own record and by the clients'.

    The shop writes into each refusal how much of a line its customer held. A client knows from its cart how much was
    held until when, by the database's clock; the refusal's time is by the same clock.
    """
    name = "what was held was not refused"
    if not _limits(evidence).get("hold_seconds"):
        return conclude(name, OFF, ())
    refusals = {
        (row["customer_id"], row["key"]): row
        for row in evidence.database["idempotency_key"]
        if row["short"] is not None
    }
    withdrawn = {row["id"] for row in evidence.database["stock"] if row["withdrawn"]}
    told = _told_holds(evidence)

    def faults() -> Iterator[str]:
        for identity, refusal in refusals.items():
            for line in refusal["short"]:
                where = f"customer {identity[0]}, key {identity[1]}, stock {line['stock_id']}"
                held = line["held"]
                if held >= line["wanted"]:
                    yield f"{where}: refused {line['wanted']}, although {held} were held by the shop's own record"
                    continue
                units, until = told.get(identity, {}).get(line["stock_id"], (0, None))
                if units < line["wanted"] or until is None or _moment(refusal["created_at"]) >= until:
                    continue
                if line["stock_id"] not in withdrawn:
                    yield f"{where}: refused {line['wanted']}, although {units} were held until {until}"

    return conclude(
        name, f"{len(refusals)} refusals, {sum(map(len, told.values()))} holds that clients were told", faults()
    )


def _limits(evidence: Evidence) -> dict[str, Any]:
    limits: dict[str, Any] = evidence.run.get("settings", {}).get("cart", {})
    return limits


def _live(evidence: Evidence) -> list[Row]:
    """Holds that had not ended when the carts were read, so neither at the moment of the books, which is earlier."""
    return [row for row in evidence.database["cart_line"] if row["held"] and row["seconds_left"] > 0]


def _told_holds(evidence: Evidence) -> dict[tuple[int, str], dict[int, tuple[int, dt.datetime]]]:
    """What clients whose key was refused had been told: units and their end, by stock row."""
    return {
        identity: {stock_id: (units, _moment(until)) for stock_id, units, until in key.held}
        for identity, key in keys(evidence.history).items()
        if key.held and key.learned is Learned.REFUSED
    }


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
