"""The end of a month in several parts: any order, duplicates, loss and redelivery, kills in between (L5, L7)."""

import random
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.contract import MONTH_CLOSED, Message
from manufacturers.ledger import Books, Event, EventRefused, Product
from manufacturers.messages import check

GOODS = [Product(f"P{number}", "Good", 5, "GBP", 0) for number in range(12)]
AT = "2026-01-02T03:04:05Z"


def end_of_month(parts: Sequence[Sequence[int]], month: int = 1, reason: str = "finished") -> list[Message]:
    """One message for each part, which lists the numbers of its goods; of each 2 were sold and 1 is left."""
    return [
        Message(
            uuid.uuid5(uuid.NAMESPACE_OID, f"{month} {reason} {part} {goods} {len(parts)}"),
            MONTH_CLOSED,
            "m1",
            {
                "month": month,
                "reason": reason,
                "part": part,
                "parts": len(parts),
                "totals": [{"sku": f"P{number}", "supplied": 3, "sold": 2, "unsold": 1} for number in goods],
                "closed_at": AT,
            },
        )
        for part, goods in enumerate(parts, start=1)
    ]


def event(message: Message) -> Event:
    return check(message, "m1", {good.sku for good in GOODS})


@contextmanager
def ledger() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "m1.sqlite"


@settings(max_examples=25, deadline=None)
@given(data=st.data(), number_of_parts=st.integers(1, 5))
def test_a_month_ends_once_and_when_all_parts_are_in(data: st.DataObject, number_of_parts: int) -> None:
    """Each delivery is one part, by the event that told it or by another with the same content; at last all are delivered
    again, as a broker does with what nobody acknowledged. Between two of them the process may die."""
    split: list[list[int]] = [[] for _ in range(number_of_parts)]
    for number in range(len(GOODS)):
        split[data.draw(st.integers(0, number_of_parts - 1), label="part of a good")].append(number)
    messages = end_of_month(split)
    deliveries = data.draw(st.lists(st.integers(0, number_of_parts - 1), max_size=12), label="deliveries")
    again = list(range(number_of_parts))
    random.Random(data.draw(st.integers(0, 99), label="order")).shuffle(again)
    heard: set[int] = set()
    with ledger() as path:
        books = Books(path, "m1", "Alder & Finch", GOODS)
        for position in [*deliveries, *again]:
            message = messages[position]
            if data.draw(st.booleans(), label="another event"):
                message = Message(uuid.uuid4(), message.type, message.recipient, message.body)
            assert books.take_in(event(message)) is (position not in heard)
            heard.add(position)
            is_over = len(heard) == number_of_parts
            report = books.report()
            assert [(month["closed"], month["unsold_units"]) for month in report["months"]] == [(True, 12)] * is_over
            assert [len(month["drift"]) for month in report["months"]] == [12] * is_over
            if data.draw(st.booleans(), label="a new life"):
                books.close()
                books = Books(path, "m1", "Alder & Finch", GOODS)
        assert report["events_applied"] == number_of_parts
        books.close()


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (end_of_month([[0], [1], [2]])[1], "others are of 2, finished"),
        (end_of_month([[0], [1]], reason="depleted")[1], "others are of 2, finished"),
        (end_of_month([[7], [8]])[0], "told before, by event .*, with another content"),
        (end_of_month([[9], [0]])[1], "has a product that another part has, too"),
    ],
)
def test_a_part_that_contradicts_one_that_is_known_changes_nothing(other: Message, why: str) -> None:
    first, second = end_of_month([[0], [1]])
    with ledger() as path:
        books = Books(path, "m1", "Alder & Finch", GOODS)
        books.take_in(event(first))
        with pytest.raises(EventRefused, match=why):
            books.take_in(event(other))
        assert books.report()["months"] == []
        assert books.take_in(event(second))
        assert books.report()["months"][0]["unsold_units"] == 2
        books.close()


def test_a_month_that_an_older_program_closed_stays_closed() -> None:
    """Its ledger has no parts, and gets the tables for them when it is opened."""
    whole = end_of_month([[0, 1]])[0]
    body = {name: value for name, value in whole.body.items() if name not in ("part", "parts")}
    with ledger() as path:
        books = Books(path, "m1", "Alder & Finch", GOODS)
        books.take_in(event(Message(whole.id, whole.type, "m1", body)))
        assert books.report()["months"][0]["closed"]
        for statement in ("DROP TABLE month_part", "DROP TABLE nonce"):
            books._connection.execute(statement)
        books.close()
        books = Books(path, "m1", "Alder & Finch", GOODS)
        assert books.nonces() == {}
        assert not books.take_in(event(Message(whole.id, whole.type, "m1", body)))
        with pytest.raises(EventRefused, match="month 1 was closed before"):
            books.take_in(event(Message(uuid.uuid4(), whole.type, "m1", body)))
        books.close()
