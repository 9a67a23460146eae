"""How far an order has come, by facts that are written down anyway: nobody moves an order on, so none can be forgotten.

F1  Every step is a fact, with its time where that is still known, or it has not happened; none is assumed from another one.
F2  ``received``: the sale's own transaction. ``makers_told``: the broker has confirmed the sale's message to every
    manufacturer concerned (the outbox). ``month_closed``: the order's month is closed; its totals are told soon after.
    Its messages leave the outbox some time after that (distributor/retention); without any it was told, nobody knows when.
F3  The goods are simulated: no step claims that something was packed or posted.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection

from distributor.database import Statement, trip
from distributor.sales.contention import Contention

StepName = Literal["received", "makers_told", "month_closed"]
StepState = Literal["done", "now", "later"]


@dataclass(frozen=True)
class Facts:
    """Of one order. ``told``: manufacturer's code to the time when the broker took its message, None before that; empty
    once the messages were pruned, which happens to confirmed ones only."""

    received_at: dt.datetime
    told: dict[str, dt.datetime | None]
    month_closed_at: dt.datetime | None
    card_brand: str | None = None
    card_last4: str | None = None
    sold: Contention | None = None
    """What the sale met; None for an order of before this was kept."""


@dataclass(frozen=True)
class Step:
    """``at``: when it happened; ``state`` is ``now`` for the first one that is still to come."""

    name: StepName
    state: StepState
    at: dt.datetime | None


def steps(facts: Facts) -> tuple[Step, ...]:
    """The way of an order, in the order in which it usually goes (F1, F2)."""
    told = [at for at in facts.told.values() if at is not None]
    all_told = len(told) == len(facts.told)
    way: list[tuple[StepName, bool, dt.datetime | None]] = [
        ("received", True, facts.received_at),
        ("makers_told", all_told, max(told) if told and all_told else None),
        ("month_closed", facts.month_closed_at is not None, facts.month_closed_at),
    ]
    first_open = next((name for name, happened, _ in way if not happened), None)
    return tuple(
        Step(name, "done" if happened else "now" if name == first_open else "later", at) for name, happened, at in way
    )


def reached(facts: Facts) -> StepName:
    """The one word for a list: the last step that has happened, as far as everything before it has, too."""
    name: StepName = "received"
    for step in steps(facts):
        if step.state != "done":
            break
        name = step.name
    return name


_FACTS = """
    SELECT orders.id, orders.created_at, month.closed_at, charge.card_brand, charge.card_last4,
           orders.strategy, orders.queued_us, orders.lock_us, orders.together, orders.repeats,
           told.manufacturer, told.published_at
    FROM orders
    JOIN month ON month.number = orders.month
    LEFT JOIN charge ON charge.order_id = orders.id
    LEFT JOIN outbox AS told
           ON told.type = 'sale.recorded' AND (told.body ->> 'order_id')::bigint = orders.id
    WHERE orders.id = ANY(%(order_ids)s)
"""


def asking_for_facts(order_ids: Sequence[int]) -> Statement:
    """`facts_in` reads the answer. The caller makes sure whose orders these are."""
    return _FACTS, {"order_ids": list(order_ids)}


def facts_in(rows: Iterable[Any]) -> dict[int, Facts]:
    """By order."""
    found: dict[int, Facts] = {}
    for row in rows:
        facts = found.get(row.id)
        if facts is None:
            facts = Facts(row.created_at, {}, row.closed_at, row.card_brand, row.card_last4, _met(row))
            found[row.id] = facts
        if row.manufacturer is not None:
            facts.told[row.manufacturer] = row.published_at
    return found


def _met(row: Any) -> Contention | None:
    if row.together is None:
        return None
    repeats = tuple(row.repeats or ())
    return Contention(row.strategy, row.queued_us / 1_000_000, row.lock_us / 1_000_000, repeats, row.together)


def facts_of(connection: Connection, order_ids: Sequence[int]) -> dict[int, Facts]:
    """One statement for a whole page of orders."""
    [rows] = trip(connection, [asking_for_facts(order_ids)])
    return facts_in(rows)
