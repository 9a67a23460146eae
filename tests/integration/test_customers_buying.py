"""Buying on the pages, on a real database. Numbers (B1 …) are customers/pages/checkout_views.py's."""

import re

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from distributor.database import transaction
from tests.customers_world import CARD, CARD_NUMBER, Person, alert, form_fields
from tests.distributor_world import (
    World,
    add_same_good,
    cart,
    discrepancies,
    order_count,
    ordered,
    rows,
    sell_to_others,
)


def test_a_new_customer_buys_on_one_page(app: Flask, world: World, engine: Engine) -> None:
    """Lines, total, card and button; the card is kept as the account page keeps it, and the order names it."""
    ada = Person(app.test_client()).sign_up()
    ada.put_in_cart(world.stock[0], 2)
    page = ada.get("/checkout").text
    for part in ("Product 1", "First Works", "£5.00", 'inputmode="numeric"', 'autocomplete="cc-number"', "Buy now for"):
        assert part in page, part
    bought = ada.buy(ada.checkout(), **CARD)
    assert bought.status_code == 303
    assert re.fullmatch(r"/orders/\d+\?done=bought", bought.headers["Location"])
    order = ada.get(bought.headers["Location"]).text
    for part in ("Paid with Visa ending in 4242.", "Product 1", "First Works", "£5.00", "month 1", "Thank you."):
        assert part in order, part
    (customer,) = rows(engine, "SELECT * FROM customer")
    assert (customer.card_brand, customer.card_last4) == ("Visa", "4242")
    (charge,) = rows(engine, "SELECT * FROM charge")
    assert (charge.card_brand, charge.card_last4, charge.amount_minor) == ("Visa", "4242", 500)
    assert not discrepancies(engine)


WRONG_CARDS: list[dict[str, str]] = [
    {"number": CARD_NUMBER[:-1] + "3"},
    {"number": "\uff14" * 16},
    {"expiry": "13/39"},
    {"expiry": "01/20"},
    {"holder": "   "},
    {"security_code": "98"},
    dict.fromkeys(("number", "expiry", "holder"), ""),
]


def test_a_wrong_card_orders_nothing_and_nothing_typed_comes_back(app: Flask, world: World, engine: Engine) -> None:
    """B5."""
    ada = Person(app.test_client()).sign_up()
    ada.put_in_cart(world.stock[0])
    for wrong in WRONG_CARDS:
        typed = CARD | wrong
        answer = ada.buy(ada.checkout(), **typed)
        assert answer.status_code == 422
        assert "Nothing was ordered yet. Please check the card" in alert(answer.text)
        assert all(f'id="{name}-error"' in answer.text for name in wrong)
        main = answer.text.partition("<main")[2].partition("</main>")[0]
        fields = re.findall(r'<input id="(?:number|expiry|security_code|holder)"[^>]*>', main)
        assert len(fields) == 4
        assert all('value=""' in field for field in fields)
        assert not [value for value in typed.values() if len(value.strip()) > 2 and f"{value}<" in main]
        assert typed["number"] not in main or not typed["number"]
    assert order_count(engine) == 0
    assert cart(engine) == {world.stock[0]: 1}
    assert rows(engine, "SELECT card_token FROM customer")[0].card_token is None


def test_the_card_of_the_account_pays_unless_another_is_chosen(ada: Person, world: World, engine: Engine) -> None:
    ada.put_in_cart(world.stock[0])
    form = ada.checkout()
    assert form["pay"] == "saved"
    first = ada.buy(form, number="5555555555554444", expiry="12/39", holder="Ada")
    assert first.status_code == 303
    ada.put_in_cart(world.stock[0])
    second = ada.buy(ada.checkout(), pay="new", number="5555555555554444", expiry="12/39", holder="Ada")
    assert second.status_code == 303
    assert [row.card_last4 for row in rows(engine, "SELECT card_last4 FROM charge ORDER BY id")] == ["4242", "4444"]
    assert "Mastercard ending in 4444" in ada.get(second.headers["Location"]).text


def test_without_a_card_the_page_asks_for_one(ada: Person, world: World, engine: Engine) -> None:
    """Taken away, or expired, after the page was made."""
    ada.put_in_cart(world.stock[0])
    form = ada.checkout()
    for change, words in (
        ("card_expiry = '2020-01'", "has expired"),
        ("card_token = NULL, card_last4 = NULL, card_expiry = NULL", "Card number"),
    ):
        with transaction(engine) as connection:
            connection.execute(text(f"UPDATE customer SET {change}"))
        answer = ada.buy(form | {"key": change[:4] + words[:3]})
        assert answer.status_code == 402
        assert "needs a payment card" in alert(answer.text)
        assert words in answer.text
        assert form_fields(answer.text, "/checkout")["pay"] == "new"
    assert order_count(engine) == 0


def test_one_form_is_one_order_and_the_customer_is_led_to_it(ada: Person, world: World, engine: Engine) -> None:
    """B1: a double click, a reload, the back button."""
    ada.put_in_cart(world.stock[0], 2)
    form = ada.checkout()
    answers = [ada.buy(form) for _ in range(3)]
    paths = [answer.headers["Location"] for answer in answers]
    assert [path.partition("=")[2] for path in paths] == ["bought", "bought-before", "bought-before"]
    assert len({path.partition("?")[0] for path in paths}) == 1
    assert "You had bought this already" in ada.get(paths[2]).text
    assert order_count(engine) == len(rows(engine, "SELECT * FROM charge")) == 1
    empty = ada.get("/checkout").text
    assert "Your cart is empty." in empty
    assert f'href="{paths[0].partition("?")[0]}"' in empty
    ada.put_in_cart(world.stock[0], 2)
    assert ada.buy(form).headers["Location"] == paths[1], "the old form, with the same goods in the cart once more"
    assert (order_count(engine), cart(engine)) == (1, {world.stock[0]: 2})
    other = ada.buy(form | {"cart": f"{world.stock[0]}:1:250"})
    assert other.status_code == 422
    assert "used before, for another order" in alert(other.text)


def test_two_tabs_with_the_same_cart_make_one_order(ada: Person, world: World, engine: Engine) -> None:
    ada.put_in_cart(world.stock[0], 2)
    one, two = ada.checkout(), ada.checkout()
    assert one["key"] != two["key"]
    first, second = ada.buy(one), ada.buy(two)
    assert second.status_code == 303
    assert second.headers["Location"] == first.headers["Location"].replace("=bought", "=bought-before")
    assert order_count(engine) == 1


def test_an_earlier_order_is_not_taken_for_this_one(ada: Person, world: World, engine: Engine) -> None:
    """B1: the same goods were bought before this page was made; then the cart changed in another window."""
    for _ in range(2):
        ada.put_in_cart(world.stock[0], 2)
        form = ada.checkout()
        if order_count(engine) == 0:
            ada.buy(form)
    ada.put_in_cart(world.stock[1], 1)
    answer = ada.buy(form)
    assert answer.status_code == 409
    assert "changed in another window" in alert(answer.text)
    assert order_count(engine) == 1
    assert ada.buy(form_fields(answer.text, "/checkout")).status_code == 303
    assert cart(engine) == {}
    assert order_count(engine) == 2


def test_a_cart_that_is_empty_by_now_orders_nothing(ada: Person, world: World, engine: Engine) -> None:
    ada.put_in_cart(world.stock[0])
    form = ada.checkout()
    assert ada.post(f"/cart/{world.stock[0]}/remove", "/cart").status_code == 303
    answer = ada.buy(form)
    assert answer.status_code == 409
    assert "your cart is empty by now" in alert(answer.text)
    assert "See what is in stock" in answer.text


@pytest.fixture
def lost(ada: Person, world: World, engine: Engine) -> tuple[str, int]:
    """Ada wanted 4 of the first, 3 of the second, 2 of the fourth; 2 and 0 of the first two are left when she buys.
    Somebody else makes the second. Her answer's page, and the other maker's stock row."""
    first, second, _, fourth = world.stock
    for stock_id, quantity in ((first, 4), (second, 3), (fourth, 2)):
        ada.put_in_cart(stock_id, quantity)
    other = add_same_good(engine, second, "m9", 7, 199)
    form = ada.checkout()
    sell_to_others(engine, first, 3)
    sell_to_others(engine, second, 3)
    answer = ada.buy(form)
    assert answer.status_code == 409
    return answer.text, other


def test_lost_lines_are_named_and_the_cart_is_kept(
    world: World, engine: Engine, ada: Person, lost: tuple[str, int]
) -> None:
    """B3, C18, C19."""
    page, _other = lost
    first, second, _, fourth = world.stock
    assert "nothing was ordered and nothing was charged" in alert(page)
    assert "Product 1, First Works: 2 of 4 left" in alert(page)
    assert "Product 2, Second Works: sold out" in alert(page)
    assert "Take 3 from m9 at £1.99 each (7 left)" in page
    assert cart(engine) == {first: 4, second: 3, fourth: 2}
    assert order_count(engine) == 0
    assert "Order the rest without them for £5.00" in page


def test_the_rest_is_ordered_in_one_click(world: World, engine: Engine, ada: Person, lost: tuple[str, int]) -> None:
    first, second, _, fourth = world.stock
    form = form_fields(lost[0], "/checkout")
    answers = [ada.buy(form), ada.buy(form)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert ordered(engine) == {fourth: 2}
    assert cart(engine) == {first: 4, second: 3}
    assert "still in your cart" in ada.get(answers[0].headers["Location"]).text
    assert order_count(engine) == 1


def test_each_lost_line_has_its_ways_out_in_one_click(
    world: World, engine: Engine, ada: Person, lost: tuple[str, int]
) -> None:
    """The smaller quantity, the same from somebody else, twice sent as once; then everything is bought."""
    page, other = lost
    first, second, _, fourth = world.stock
    smaller = form_fields(page, f"/cart/{first}")
    assert ada.client.post(f"/cart/{first}", data=smaller).headers["Location"] == "/checkout?done=changed"
    swap = form_fields(page, f"/cart/{second}/swap")
    for _ in range(2):
        answer = ada.client.post(f"/cart/{second}/swap", data=swap)
        assert answer.headers["Location"] == "/checkout?done=swapped"
    assert cart(engine) == {first: 2, fourth: 2, other: 3}
    assert ada.buy(ada.checkout()).status_code == 303
    assert ordered(engine) == {first: 2, fourth: 2, other: 3}


def test_all_lost_lines_can_be_settled_at_once_or_removed(
    world: World, engine: Engine, ada: Person, lost: tuple[str, int]
) -> None:
    first, second, _, fourth = world.stock
    remove = form_fields(lost[0], f"/cart/{second}/remove")
    assert ada.client.post(f"/cart/{second}/remove", data=remove).headers["Location"] == "/checkout?done=removed"
    assert cart(engine) == {first: 4, fourth: 2}
    assert ada.client.post("/cart/fit", data=form_fields(lost[0], "/cart/fit")).status_code == 303
    assert cart(engine) == {first: 2, fourth: 2}


def test_a_swap_that_others_were_faster_with_changes_nothing(
    world: World, engine: Engine, ada: Person, lost: tuple[str, int]
) -> None:
    page, other = lost
    second = world.stock[1]
    sell_to_others(engine, other, 6)
    answer = ada.client.post(f"/cart/{second}/swap", data=form_fields(page, f"/cart/{second}/swap"))
    assert answer.status_code == 409
    assert "m9 has only 1 left by now" in alert(answer.text)
    assert "Take 1 from m9" in answer.text
    assert cart(engine)[second] == 3
    for bad in ("", "x", "-1", "1e3"):
        form = form_fields(page, f"/cart/{second}/swap") | {"other": bad}
        assert ada.client.post(f"/cart/{second}/swap", data=form).status_code == 422


def test_whatever_changes_the_cart_does_not_agree_to_a_new_price(ada: Person, world: World, engine: Engine) -> None:
    """Neither a quantity typed into a page that showed the old price, nor more of it, nor the smaller quantity that is left."""
    stock_id = world.stock[0]
    ada.put_in_cart(stock_id, 4)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET price_minor = 275 WHERE id = :id"), {"id": stock_id})
    ada.post(f"/cart/{stock_id}", "/cart", quantity="3")
    ada.post(f"/cart/{stock_id}/add", "/cart", quantity="2")
    sell_to_others(engine, stock_id, 1)
    ada.client.post(f"/cart/{stock_id}", data=form_fields(ada.get("/checkout").text, f"/cart/{stock_id}"))
    assert cart(engine) == {stock_id: 4}
    for page in ("/cart", "/checkout"):
        assert "£2.50 before, £2.75 now" in ada.get(page).text
    assert "Agree to the new prices and buy for £11.00" in ada.get("/checkout").text


def test_goods_that_came_back_are_offered_again(world: World, engine: Engine, ada: Person) -> None:
    """The refusal is stored under its key; sent again, it is told with the stock of now."""
    ada.put_in_cart(world.stock[0], 5)
    form = ada.checkout()
    sell_to_others(engine, world.stock[0], 1)
    assert ada.buy(form).status_code == 409
    sell_to_others(engine, world.stock[0], -1)
    again = ada.buy(form)
    assert again.status_code == 409
    assert "By now everything is there again" in alert(again.text)
    assert ada.buy(form_fields(again.text, "/checkout")).status_code == 303


def test_a_script_adds_without_leaving_its_page(ada: Person, world: World, engine: Engine) -> None:
    """The answer has a word about it and the head's new link; what is refused is told on a whole page, as ever."""
    form = form_fields(ada.get("/").text, "/cart")
    part = {"HX-Request-Type": "partial"}
    added = ada.client.post(f"/cart/{world.stock[0]}/add", data=form | {"quantity": "3"}, headers=part)
    assert added.status_code == 200
    words = " ".join(re.sub("<[^>]+>", " ", added.text).split())
    assert words == "Product 1 by First Works is in your cart. Go to the cart Cart 3 units"
    refused = ada.client.post(f"/cart/{world.stock[0]}/add", data=form | {"quantity": "3"}, headers=part)
    assert refused.status_code == 409
    assert "only 5 left" in alert(refused.text)
    assert cart(engine) == {world.stock[0]: 3}


def test_a_script_that_buys_is_told_where_to_go(ada: Person, world: World, engine: Engine) -> None:
    ada.put_in_cart(world.stock[0])
    form = ada.checkout()
    answers = [ada.client.post("/checkout", data=form, headers={"HX-Request-Type": "partial"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 204]
    paths = [answer.headers["HX-Redirect"] for answer in answers]
    assert [path.partition("=")[2] for path in paths] == ["bought", "bought-before"]
    assert order_count(engine) == 1


def test_a_script_is_led_to_a_refusal_that_the_browsers_history_keeps(
    ada: Person, world: World, engine: Engine
) -> None:
    """B1, B3: an address says which refusal it was; only one that the address does not know is another word for none."""
    part = {"HX-Request-Type": "partial"}
    ada.put_in_cart(world.stock[0], 4)
    form = ada.checkout()
    sell_to_others(engine, world.stock[0], 3)
    refused = [ada.client.post("/checkout", data=form, headers=part) for _ in range(2)]
    assert {(answer.status_code, answer.headers["HX-Redirect"]) for answer in refused} == {
        (409, "/checkout?refused=not_enough_stock")
    }
    page = ada.get("/checkout?refused=not_enough_stock").text
    assert "nothing was ordered and nothing was charged" in alert(page)
    assert "Take 2" in page
    reused = ada.client.post("/checkout", data=form | {"cart": f"{world.stock[0]}:1:250"}, headers=part)
    assert (reused.status_code, reused.headers["HX-Redirect"]) == (422, "/checkout?refused=key_reused")
    sell_to_others(engine, world.stock[0], -3)
    assert "By now everything is there again" in alert(ada.get("/checkout?refused=not_enough_stock").text)
    assert 'role="alert"' not in ada.get("/checkout?refused=<b>").text
    assert order_count(engine) == 0
    assert ada.buy(ada.checkout()).status_code == 303
    for gone in ("not_enough_stock", "no_card", "price_changed"):
        assert "othing was ordered" not in ada.get(f"/checkout?refused={gone}").text, "it was, since"
    assert "your cart is empty by now" in alert(ada.get("/checkout?refused=cart_empty").text)


def test_a_new_price_must_be_agreed_to(ada: Person, world: World, engine: Engine) -> None:
    """C15, B2: never charged before it was shown."""
    ada.put_in_cart(world.stock[0], 2)
    form = ada.checkout()
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET price_minor = 300 WHERE id = :s"), {"s": world.stock[0]})
    refused = ada.buy(form)
    assert refused.status_code == 409
    assert "£2.50 before, £3.00 now" in alert(refused.text)
    assert "Agree to the new prices and buy for £6.00" in refused.text
    assert "£2.50 before, £3.00 now" in ada.get("/cart").text
    assert order_count(engine) == 0
    assert ada.buy(form_fields(refused.text, "/checkout")).status_code == 303
    assert [row.total_minor for row in rows(engine, "SELECT total_minor FROM orders")] == [600]
