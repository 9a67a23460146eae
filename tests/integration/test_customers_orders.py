"""Lost answers, busy moments, bad input at buying, and what the pages of orders tell. Numbers are checkout_views.py's."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from customers.errors import TooManyAttempts
from customers.instance import instance_of
from distributor.database import transaction
from distributor.errors import Busy, DatabaseUnavailable, OutcomeUnknown, ShopClosed
from distributor.sales import Answer
from tests.customers_world import CARD, CARD_NUMBER, PASSWORD, Person, alert, form_fields, make_app, make_runtime
from tests.distributor_world import World, cart, discrepancies, order_count, rows, set_month


@pytest.fixture
def fail(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Sends a form to a shop whose purchases fail with this error, after they were made if ``sold``."""
    sales = instance_of(app).sales
    real = sales.place

    def send(person: Person, form: dict[str, str], error: Exception, *, sold: bool = False) -> Any:
        def place(*arguments: Any, **options: Any) -> Answer:
            if sold:
                real(*arguments, **options)
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(sales, "place", place)
            return person.buy(form)

    return send


@pytest.mark.parametrize("sold", [True, False], ids=["it was placed", "it was not"])
def test_after_a_lost_answer_the_same_form_finds_or_places_the_order_once(
    ada: Person, world: World, engine: Engine, fail: Callable[..., Any], sold: bool
) -> None:
    """B4, P3: without JavaScript, with a card that was typed in the form; it is not in the page that asks again."""
    for number, error in enumerate((OutcomeUnknown(), RuntimeError("a fault of ours")), start=1):
        ada.put_in_cart(world.stock[0])
        form = ada.checkout() | CARD | {"pay": "new"}
        answer = fail(ada, form, error, sold=sold)
        assert answer.status_code == (503 if isinstance(error, OutcomeUnknown) else 500)
        assert "We do not know yet whether your order is in" in answer.text
        assert CARD_NUMBER not in answer.text
        again = form_fields(answer.text, "/checkout")
        assert (again["key"], again["cart"]) == (form["key"], form["cart"])
        found = ada.buy(again)
        assert found.headers["Location"].endswith("=bought-before" if sold else "=bought")
        assert order_count(engine) == number
    assert not discrepancies(engine)


def test_a_busy_shop_says_that_nothing_was_ordered(ada: Person, world: World, fail: Callable[..., Any]) -> None:
    for error, words in (
        (Busy(), "Many people are buying right now"),
        (DatabaseUnavailable(), "cannot take orders for a moment"),
        (ShopClosed(), "between two months"),
    ):
        ada.put_in_cart(world.stock[0])
        answer = fail(ada, ada.checkout(), error)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"].isdigit()
        assert words in answer.text
        assert "Nothing was ordered and nothing was charged. Your cart is kept." in answer.text
        assert ada.buy(form_fields(answer.text, "/checkout")).status_code == 303


def test_a_form_that_is_sent_again_does_not_bring_back_its_card(ada: Person, world: World, engine: Engine) -> None:
    """B5: the card was replaced since; and the quota of changes of the card is not used up by it."""
    ada.put_in_cart(world.stock[0])
    form = ada.checkout() | CARD | {"pay": "new"}
    first = ada.buy(form)
    newer = {"number": "5555555555554444", "expiry": "12/39", "holder": "Ada"}
    assert ada.post("/account/card", "/account", **newer).status_code == 303
    for _ in range(20):
        again = ada.buy(form)
        assert again.headers["Location"] == first.headers["Location"].replace("=bought", "=bought-before")
    assert [row.card_last4 for row in rows(engine, "SELECT card_last4 FROM customer")] == ["4444"]


def test_too_many_purchases_are_told_to_wait_and_keep_their_form(
    ada: Person, world: World, engine: Engine, fail: Callable[..., Any]
) -> None:
    ada.put_in_cart(world.stock[0])
    form = ada.checkout()
    answer = fail(ada, form, TooManyAttempts(7))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert "Wait 7 seconds, then try again." in answer.text
    assert "Nothing was ordered and nothing was charged." in answer.text
    assert ada.buy(form_fields(answer.text, "/checkout")).status_code == 303
    assert order_count(engine) == 1


def test_once_unknown_it_stays_unknown_until_there_is_an_answer(
    ada: Person, world: World, engine: Engine, fail: Callable[..., Any]
) -> None:
    """B4: the second failure is a definite one, but of the second try only."""
    ada.put_in_cart(world.stock[0])
    lost = fail(ada, ada.checkout(), OutcomeUnknown(), sold=True)
    busy = fail(ada, form_fields(lost.text, "/checkout"), Busy())
    assert "We do not know yet" in busy.text
    assert "Nothing was ordered" not in busy.text
    assert ada.buy(form_fields(busy.text, "/checkout")).headers["Location"].endswith("=bought-before")
    assert order_count(engine) == 1


def test_a_purchase_can_be_asked_again_when_nobody_could_be_recognised(
    app: Flask, ada: Person, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away before the shop knows whose form this is; the page keeps the form all the same."""

    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    ada.put_in_cart(world.stock[0])
    form = ada.checkout()
    shop = instance_of(app)
    with monkeypatch.context() as patch:
        patch.setattr(shop.accounts, "customer_of_token", away)
        patch.setattr(shop.shop, "surroundings", away)
        answer = ada.buy(form)
    assert answer.status_code == 503
    assert ada.buy(form_fields(answer.text, "/checkout")).status_code == 303


FORGED: list[dict[str, str]] = [
    *(
        {"cart": cart}
        for cart in ("", "1", "1:1", "1:1:1:1", "1:0:1", "a:b:c", "1:1:1,", "1:1:1;2:2:2", "1:1:" + "9" * 19)
    ),
    *({"left_out": ids} for ids in ("x", "1,", "0", "1;2")),
    *({"key": key} for key in ("", "a b", "\u00e9", "k" * 201)),
    *({"after": number} for number in ("x", "-1", "9" * 30)),
]


def test_a_form_that_no_page_made_is_refused(ada: Person, world: World, engine: Engine) -> None:
    ada.put_in_cart(world.stock[0])
    form = ada.checkout()
    for changed in FORGED:
        assert ada.buy(form | changed).status_code == 400, changed
    assert order_count(engine) == 0


def test_between_two_months_the_pages_say_so(ada: Person, world: World, engine: Engine) -> None:
    ada.put_in_cart(world.stock[0])
    form = ada.checkout()
    set_month(engine, "closing")
    assert "The shop is between two months" in ada.get("/checkout").text
    answer = ada.buy(form)
    assert (answer.status_code, "Your cart is kept" in answer.text) == (503, True)
    set_month(engine, "open")
    assert ada.buy(form_fields(answer.text, "/checkout")).status_code == 303


def test_a_guest_is_led_to_log_in_and_back_to_what_was_wanted(app: Flask, ada: Person, world: World) -> None:
    """A guest has no cart; what was wanted is offered after signing in, for a GET changes nothing."""
    guest = Person(app.test_client())
    added = guest.client.post(f"/cart/{world.stock[0]}/add", data={"quantity": "3"})
    wanted = f"/log-in?next=/product/{world.stock[0]}%3Fwant%3D3"
    assert added.headers["Location"] == f"{wanted}&done=logged-out-meanwhile"
    log_in = form_fields(guest.get(added.headers["Location"]).text, "/log-in")
    assert log_in["next"] == f"/product/{world.stock[0]}?want=3"
    page = ada.get(log_in["next"]).text
    assert 'name="quantity" value="3"' in page
    assert "to put it in your cart" in page
    for method, path, back in (
        ("POST", "/checkout", "/checkout"),
        ("GET", "/checkout", "/checkout"),
        ("POST", "/cart/fit", "/cart"),
        ("GET", "/orders", "/orders"),
    ):
        said = "&done=logged-out-meanwhile" if method == "POST" else ""
        assert guest.client.open(path, method=method).headers["Location"] == f"/log-in?next={back}{said}"


def test_a_session_that_ended_while_buying_orders_nothing_and_says_so(
    ada: Person, world: World, engine: Engine
) -> None:
    ada.put_in_cart(world.stock[0])
    form = ada.checkout()
    with transaction(engine) as connection:
        connection.execute(text("DELETE FROM customer_session"))
    away = ada.buy(form).headers["Location"]
    page = ada.get(away).text
    assert "what you have just sent changed nothing" in page
    log_in = form_fields(page, "/log-in") | {"email": ada.email, "password": PASSWORD}
    back = ada.client.post("/log-in", data=log_in).headers["Location"]
    assert back == "/checkout"
    assert order_count(engine) == 0
    assert ada.buy(form_fields(ada.get(back).text, "/checkout")).status_code == 303
    assert order_count(engine) == 1


def test_a_wrong_quantity_is_told_beside_its_field_with_what_was_typed(
    ada: Person, world: World, engine: Engine
) -> None:
    stock_id = world.stock[0]
    ada.put_in_cart(stock_id, 2)
    for typed in ("0", "-1", "1.5", "1e3", "", " 5 ", "5\n", "\uff15", "007", "9" * 30):
        answer = ada.post(f"/cart/{stock_id}", "/cart", quantity=typed)
        assert answer.status_code == 422
        for part in ('href="#quantity-{}"', 'id="quantity-{}-error"', 'aria-describedby="quantity-{}-error"'):
            assert part.format(stock_id) in answer.text, (typed, part)
        (field,) = re.findall(rf'id="quantity-{stock_id}" name="quantity" value="([^"]*)"', answer.text)
        assert field == typed[:12]
        assert "Use a whole number from 1 to 99,999, in plain digits." in alert(answer.text)
    assert cart(engine) == {stock_id: 2}


def test_a_full_cart_says_so(database_url: str, tmp_path: Path, world: World) -> None:
    app = make_app(make_runtime(tmp_path, database_url, cart={"lines_max": 1}))
    ada = Person(app.test_client()).sign_up()
    ada.put_in_cart(world.stock[0])
    answer = ada.post(f"/cart/{world.stock[1]}/add", "/account", quantity="1")
    assert answer.status_code == 422
    assert "Your cart is full: it takes 1 different products." in answer.text


def test_goods_of_different_currencies_are_not_one_order(ada: Person, world: World, engine: Engine) -> None:
    ada.put_in_cart(world.stock[0])
    ada.put_in_cart(world.stock[1])
    form = ada.checkout()
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET currency = 'EUR' WHERE id = :s"), {"s": world.stock[1]})
    answer = ada.buy(form)
    assert answer.status_code == 409
    assert "different currencies cannot be bought in one order" in alert(answer.text)


def test_orders_have_pages_and_each_says_how_far_it_has_come(
    app: Flask, ada: Person, world: World, engine: Engine
) -> None:
    assert "You have not bought anything yet." in ada.get("/orders").text
    for _ in range(21):
        ada.put_in_cart(world.stock[3])
        path = ada.buy(ada.checkout()).headers["Location"].partition("?")[0]
    first = ada.get("/orders").text
    assert len(re.findall(r'<a href="/orders/\d+"', first)) == 20
    assert 'rel="next"' in first
    assert len(re.findall(r'<a href="/orders/\d+"', ada.get("/orders?page=2").text)) == 1
    assert "There is no page 9." in ada.get("/orders?page=9").text
    page = ada.get(path).text
    assert "Going to the manufacturer" in page
    assert page.count('aria-current="step"') == 1
    with transaction(engine) as connection:
        connection.execute(text("UPDATE outbox SET published_at = clock_timestamp()"))
        connection.execute(text("UPDATE month SET state = 'closed', reason = 'by_hand', closed_at = clock_timestamp()"))
    page = ada.get(path).text
    assert "Sent to: Second Works." in page
    assert "Month 1 is closed" in page
    assert len(re.findall(r"<time datetime=", page)) == 3
    assert "Month closed" in ada.get("/orders").text
    eve = Person(app.test_client()).sign_up()
    assert eve.get(path).status_code == eve.get("/orders/999999").status_code == 404


def test_an_order_tells_how_it_was_sold_and_an_old_one_says_nothing_of_it(
    ada: Person, world: World, engine: Engine
) -> None:
    ada.put_in_cart(world.stock[3])
    path = ada.buy(ada.checkout()).headers["Location"].partition("?")[0]
    (order,) = rows(engine, "SELECT * FROM orders")
    page = ada.get(path).text
    assert f"<dt>Locking strategy</dt><dd><code>{order.strategy}</code></dd>" in page
    assert "This order alone" in page
    assert "Never: it went through the first time." in page
    with transaction(engine) as connection:
        connection.execute(
            text("""
            UPDATE orders SET queued_us = 400, lock_us = 1234567, together = 1235, repeats = '{40001,40001,<X>,lost}'
        """)
        )
    page = ada.get(path).text
    for told in (
        "<dd>less than 1 ms</dd>",
        "<dd>1,235 ms</dd>",
        "This order and 1,234 others",
        "2 times: another purchase changed the same goods first (SQLSTATE 40001).<br>Once: &lt;X&gt;.<br>Once: the connection",
    ):
        assert told in page
    with transaction(engine) as connection:
        connection.execute(text("UPDATE orders SET queued_us = NULL, lock_us = NULL, together = NULL, repeats = NULL"))
    old = ada.get(path)
    assert old.status_code == 200
    assert "How this order was sold" not in old.text


def test_a_deleted_account_leaves_no_card_in_its_orders(ada: Person, world: World, engine: Engine) -> None:
    ada.put_in_cart(world.stock[0])
    ada.buy(ada.checkout())
    assert ada.post("/account/delete", "/account", delete_password=PASSWORD).status_code == 303
    (charge,) = rows(engine, "SELECT * FROM charge")
    assert (charge.card_brand, charge.card_last4) == (None, None)


def test_what_is_held_counts_down_and_can_be_held_again(
    database_url: str, tmp_path: Path, world: World, engine: Engine
) -> None:
    app = make_app(make_runtime(tmp_path, database_url, cart={"hold_seconds": 300}))
    ada, eve = Person(app.test_client()).sign_up().with_card(), Person(app.test_client()).sign_up()
    ada.put_in_cart(world.stock[0], 5)
    for path in ("/cart", "/checkout"):
        page = ada.get(path).text
        assert re.search(r'data-hold-seconds="(29\d|300)"', page), path
        assert re.search(r"Held for you: <span [^>]*>(4:5\d|5:00)</span>", page), path
    refused = eve.post(f"/cart/{world.stock[0]}/add", "/account", quantity="1")
    assert refused.status_code == 409
    assert "The last ones of this are in the carts of other customers" in refused.text
    with transaction(engine) as connection:
        connection.execute(text("UPDATE cart_line SET held_until = clock_timestamp() - interval '1 second'"))
    page = ada.get("/cart").text
    assert "No longer held for you. You can still buy it while it is there." in page
    again = ada.client.post(f"/cart/{world.stock[0]}/hold", data=form_fields(page, f"/cart/{world.stock[0]}/hold"))
    assert again.headers["Location"] == "/cart?done=held"
    assert "data-hold-seconds" in ada.get("/cart").text
    assert ada.buy(ada.checkout()).status_code == 303


def test_holding_again_is_refused_in_words(ada: Person, world: World) -> None:
    ada.put_in_cart(world.stock[0])
    answer = ada.post(f"/cart/{world.stock[0]}/hold", "/cart")
    assert answer.status_code == 409
    assert "cannot be held any longer; they stay in the cart" in alert(answer.text)
