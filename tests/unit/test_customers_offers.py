"""What is offered for lost lines, and what a page writes of a cart. Numbers (O1 …) are customers/pages/offers.py's."""

import datetime as dt

import pytest

from customers.errors import MalformedRequest
from customers.pages import cart_shown, offers
from distributor.queries import Cart, CartLine, Item, Maker, Order, OrderLine

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def item(stock_id: int, available: int, price_minor: int = 100) -> Item:
    return Item(stock_id, f"P{stock_id}", "Chair", Maker(f"m{stock_id}", f"M{stock_id}"), price_minor, "GBP", available)


def cart(*lines: tuple[Item, int]) -> Cart:
    return Cart(tuple(CartLine(thing, quantity, thing.price_minor, NOW) for thing, quantity in lines))


def offered(lost: offers.Lost) -> list[tuple[int, int]]:
    return [(other.item.stock_id, other.quantity) for other in lost.others]


def test_who_has_enough_comes_first_then_who_is_cheapest() -> None:
    """O2: and a shorter offer says how many it is."""
    others = {1: [item(2, 1, 80), item(3, 9, 90), item(4, 9, 95), item(5, 9, 99)]}
    (lost,) = offers.lost_lines(cart((item(1, 1), 3), (item(9, 5), 5)), others)
    assert lost.left == 1
    assert offered(lost) == [(3, 3), (4, 3), (5, 3)]
    (lost,) = offers.lost_lines(cart((item(1, 0), 3)), {1: [item(2, 1, 80), item(3, 9, 90)]})
    assert offered(lost) == [(3, 3), (2, 1)]


def test_what_the_cart_has_already_is_not_offered_twice() -> None:
    """O1."""
    lines = cart((item(1, 0), 3), (item(2, 4), 2), (item(3, 2), 2))
    (lost,) = offers.lost_lines(lines, {1: [item(2, 4), item(3, 2)]})
    assert offered(lost) == [(2, 2)]


def test_the_rest_is_what_can_be_bought() -> None:
    lines = cart((item(1, 0), 1), (item(2, 4), 4), (item(3, 4), 5))
    assert [line.item.stock_id for line in offers.rest(lines).lines] == [2]
    assert offers.rest(lines).totals_minor == {"GBP": 400}


def test_a_cart_is_read_as_it_was_written() -> None:
    shown = cart((item(7, 9, 250), 3), (item(2, 9, 199), 1))
    read = cart_shown.read(cart_shown.write(shown.lines), "5,6")
    assert [(line.stock_id, line.quantity) for line in read.lines] == [(2, 1), (7, 3)]
    assert read.prices == {7: 250, 2: 199}
    assert read.left_out == {5, 6}
    for lines, left_out in (("", ""), ("1:1", ""), ("1:1:1", "x"), ("1:1:1", ","), ("01:1:1", "")):
        with pytest.raises(MalformedRequest):
            cart_shown.read(lines, left_out)


def test_an_order_is_what_a_page_offered_only_down_to_the_price() -> None:
    read = cart_shown.read("7:3:250,2:1:199")
    lines = [OrderLine(2, "P2", "Chair", Maker("m", "M"), 1, 199), OrderLine(7, "P7", "Chair", Maker("m", "M"), 3, 250)]

    def order(*bought: OrderLine) -> Order:
        return Order(1, "confirmed", 1, bought, 949, "GBP", NOW)

    assert read.was_bought_as(order(*lines))
    assert not read.was_bought_as(order(lines[0]))
    assert not read.was_bought_as(order(lines[0], OrderLine(7, "P7", "Chair", Maker("m", "M"), 3, 251)))
