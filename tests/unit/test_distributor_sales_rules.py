"""What a purchase comes to, by values alone (R1-R6)."""

import datetime as dt
import itertools
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributor.sales.rules import (
    Answer,
    Basket,
    Buyer,
    CartLine,
    Purchase,
    basket_of,
    card_is_valid,
    events_of,
    refusal_after,
    refusal_before,
    rfc3339,
    sale_of,
    total_of,
)
from distributor.strategies.contract import Line, TakenLine

NOW = dt.datetime(2026, 12, 31, 23, 30, tzinfo=dt.UTC)
BUYER = Buyer(order_id=7, month=3, now=NOW, card_token="tok", card_expiry="2026-12")
PURCHASE = Purchase(customer_id=1, key="k", request_sha256="0" * 64, lines=(Line(1, 1),))


def ids() -> Callable[[], uuid.UUID]:
    numbers = itertools.count(1)
    return lambda: uuid.UUID(int=next(numbers))


def taken(stock_id: int, **changes: Any) -> TakenLine:
    values: dict[str, Any] = {
        "stock_id": stock_id,
        "quantity": 1,
        "price_minor": 100,
        "currency": "GBP",
        "manufacturer": "m1",
        "manufacturer_name": "First Works",
        "sku": f"S{stock_id}",
        "name": "Thing",
        "left": 9,
    }
    return TakenLine(**{**values, **changes})


def basket(**seen: int) -> Basket:
    return Basket(1, (Line(1, 1),), {int(key[1:]): price for key, price in seen.items()}, from_cart=False)


@pytest.mark.parametrize(
    ("expiry", "valid"), [("2026-12", True), ("2027-01", True), ("2026-11", False), (None, False), ("", False)]
)
def test_a_card_is_valid_until_the_end_of_its_month(expiry: str | None, valid: bool) -> None:
    assert card_is_valid(expiry, NOW) is valid


def test_the_month_of_a_card_is_that_of_utc() -> None:
    """23:30 UTC is January already in Berlin."""
    berlin = NOW.astimezone(dt.timezone(dt.timedelta(hours=1)))
    assert berlin.month == 1
    assert card_is_valid("2026-12", berlin)


def test_times_are_told_in_utc() -> None:
    assert rfc3339(NOW.astimezone(dt.timezone(dt.timedelta(hours=1)))) == "2026-12-31T23:30:00Z"


def test_a_cart_is_bought_as_it_was_seen() -> None:
    cart = [CartLine(4, 2, 100), CartLine(9, 1, 50)]
    purchase = Purchase(1, "k", "0" * 64, None, {9: 60})
    assert basket_of(purchase, cart) == Basket(1, (Line(4, 2), Line(9, 1)), {4: 100, 9: 60}, from_cart=True)


def test_named_lines_do_not_look_at_the_cart() -> None:
    assert basket_of(PURCHASE, [CartLine(4, 2, 100)]) == Basket(1, (Line(1, 1),), {}, from_cart=False)


def test_without_a_card_the_refusal_comes_before_everything_else() -> None:
    refusal = refusal_before(Buyer(7, 3, NOW, None, None), Basket(1, (), {}, from_cart=True))
    assert refusal is not None
    assert (refusal.status, refusal.body) == (402, {"reason": "no_card"})
    assert refusal_before(BUYER, basket()) is None


@pytest.mark.parametrize(
    ("lines", "seen", "reason"),
    [
        ([taken(1)], {}, None),
        ([taken(1)], {"s1": 100}, None),
        ([taken(1)], {"s1": 99}, "price_changed"),
        ([taken(1), taken(2, currency="EUR")], {}, "currencies_differ"),
        ([taken(1, price_minor=2**62, quantity=2)], {}, "total_too_large"),
        ([taken(1, price_minor=2**63 - 1)], {}, None),
    ],
)
def test_what_shows_only_in_the_taken_rows(lines: list[TakenLine], seen: dict[str, int], reason: str | None) -> None:
    refusal = refusal_after(basket(**seen), lines)
    assert (refusal.body["reason"] if refusal else None) == reason


def test_each_manufacturer_hears_its_own_lines_then_what_ran_out() -> None:
    lines = [taken(1, left=0), taken(2, manufacturer="m2"), taken(3)]
    events = events_of(7, 3, rfc3339(NOW), lines, ids())
    assert [(event.type, event.manufacturer) for event in events] == [
        ("sale.recorded", "m1"),
        ("sale.recorded", "m2"),
        ("stock.depleted", "m1"),
    ]
    assert [line["sku"] for line in events[0].body["lines"]] == ["S1", "S3"]
    assert events[2].body == {"month": 3, "sku": "S1", "at": "2026-12-31T23:30:00Z"}
    assert len({event.event_id for event in events}) == 3


LINES = st.lists(
    st.builds(
        taken,
        st.integers(1, 1_000),
        quantity=st.integers(1, 999),
        price_minor=st.integers(1, 10**9),
        left=st.integers(0, 3),
        manufacturer=st.sampled_from(["m1", "m2", "m3"]),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda line: line.stock_id,
)


@given(LINES)
def test_order_charge_events_and_answer_agree_to_the_unit(lines: list[TakenLine]) -> None:
    """R3, R5: two ways to the same sums."""
    sale = sale_of(PURCHASE, BUYER, basket(), lines, ids())
    told = [line for event in sale.events if event.type == "sale.recorded" for line in event.body["lines"]]
    assert sale.total_minor == total_of(lines) == sum(line["quantity"] * line["price_minor"] for line in told)
    assert sale.answer["total"] == {"amount": sale.total_minor, "currency": "GBP"}
    assert sum(line["subtotal"]["amount"] for line in sale.answer["lines"]) == sale.total_minor
    assert sorted(line["sku"] for line in told) == sorted(line.sku for line in lines)
    depleted = [event for event in sale.events if event.type == "stock.depleted"]
    assert len(depleted) == sum(line.left == 0 for line in lines)


def test_a_sale_without_month_card_or_lines_is_a_mistake_of_the_caller() -> None:
    for buyer, lines in ((Buyer(7, None, NOW, "t", "2026-12"), [taken(1)]), (BUYER, [])):
        with pytest.raises(ValueError, match="a sale needs"):
            sale_of(PURCHASE, buyer, basket(), lines, ids())


def test_a_sale_is_told_in_the_order_in_which_the_database_tells_it_again() -> None:
    """R6. `Answer.first` sorts any document; a sale's is made in that order, which is not the one of the alphabet."""
    told = sale_of(PURCHASE, BUYER, basket(), [taken(1), taken(2, name="Other")], ids()).answer
    assert json.dumps(told) == json.dumps(Answer.first(201, told).body)
    assert json.dumps(told) != json.dumps(told, sort_keys=True)
