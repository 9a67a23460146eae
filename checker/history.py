"""What the clients learned about each idempotency key, from their own history (Jepsen's invoke, ok, fail, info).

An ``info`` (timeout, 502) leaves a key open: it may have been executed. A later refusal *by the shop itself* (402, 409)
with the same key settles it, for the shop answers a key once and for all; a refusal on the way (429, connection refused,
503) says nothing about the earlier attempt.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from checker.evidence import Row

SETTLING = frozenset({402, 409})


class Learned(StrEnum):
    """What the client knows of a key in the end."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    OPEN = "open"


@dataclass
class Key:
    """All attempts with one customer's key."""

    customer_id: int
    key: str
    lines: tuple[tuple[int, int], ...] = ()
    held: tuple[tuple[int, int, str], ...] = ()
    """Stock row, units and end of what the client had been told that its cart holds, when it asked last."""
    acknowledged: set[tuple[int, int]] = field(default_factory=set)
    """(order id, total in minor units) of each 201."""
    refusals: int = 0
    settling_refusals: int = 0
    unknown: int = 0
    unfinished: int = 0
    """Invocations whose end the history does not have (the driver was killed)."""

    @property
    def learned(self) -> Learned:
        if self.acknowledged:
            return Learned.ACKNOWLEDGED
        if self.settling_refusals:
            return Learned.REFUSED
        if self.unknown or self.unfinished or not self.refusals:
            return Learned.OPEN
        return Learned.REFUSED


def keys(history: Iterable[Row]) -> dict[tuple[int, str], Key]:
    """Per (customer id, key): what was asked and what was learned. Raises ValueError on an end without an invocation."""
    result: dict[tuple[int, str], Key] = {}
    begun: dict[int, Key] = {}
    for row in history:
        if row.get("op") != "order":
            continue
        if row["type"] == "invoke":
            begun[row["index"]] = _invoked(result, row)
            continue
        key = begun.pop(row["index"], None)
        if key is None:
            msg = f"history: operation {row['index']} ends without having begun"
            raise ValueError(msg)
        _ended(key, row)
    return result


def _invoked(result: dict[tuple[int, str], Key], row: Row) -> Key:
    identity = (int(row["customer_id"]), str(row["key"]))
    key = result.setdefault(identity, Key(*identity))
    key.lines = tuple(sorted((int(stock), int(quantity)) for stock, quantity in row.get("lines") or []))
    key.held = tuple((int(stock), int(units), str(until)) for stock, units, until in row.get("held") or [])
    key.unfinished += 1
    return key


def _ended(key: Key, row: Row) -> None:
    key.unfinished -= 1
    match row["type"]:
        case "ok":
            key.acknowledged.add((int(row["order_id"]), int(row["total_minor"])))
        case "fail":
            key.refusals += 1
            key.settling_refusals += row.get("status") in SETTLING
        case "info":
            key.unknown += 1
        case other:
            msg = f"history: unknown type {other!r}"
            raise ValueError(msg)
