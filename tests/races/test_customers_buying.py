"""Many clicks at once on the pages, through two instances. Numbers (B1 …) are customers/pages/checkout_views.py's."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from tests.customers_world import Person, Shop, alert, form_fields, open_shop
from tests.distributor_races import at_once
from tests.distributor_world import add_same_good, discrepancies, rows

CLICKS = 50


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(database_url, tmp_path, [5, 1, 40], customers={"threads": 16}) as shop:
        yield shop


def windows(person: Person, shop: Shop, count: int) -> list[Person]:
    return [person.window(shop.apps[number % 2]) for number in range(count)]


def orders_of(shop: Shop) -> int:
    return len(rows(shop.engine, "SELECT * FROM orders"))


def test_fifty_submits_of_one_form_are_one_order_and_all_lead_to_it(shop: Shop) -> None:
    """B1, P2; a card that is typed in the form comes with each of them."""
    ada = shop.person().sign_up()
    ada.put_in_cart(shop.world.stock[2], 2)
    form = ada.checkout() | {"number": "4242424242424242", "expiry": "12/39", "holder": "Ada"}
    answers: list[TestResponse] = at_once([partial(one.buy, form) for one in windows(ada, shop, CLICKS)])
    paths = Counter(answer.headers["Location"].partition("?")[0] for answer in answers)
    assert list(paths.values()) == [CLICKS]
    assert Counter(answer.headers["Location"].partition("=")[2] for answer in answers) == {
        "bought": 1,
        "bought-before": CLICKS - 1,
    }
    assert orders_of(shop) == len(rows(shop.engine, "SELECT * FROM charge")) == 1
    assert not discrepancies(shop.engine)


def test_forms_of_many_tabs_with_one_cart_are_one_order(shop: Shop) -> None:
    """B1: each tab has a key of its own; the cart can be bought once. The control: other carts are other orders."""
    ada = shop.person().sign_up().with_card()
    ada.put_in_cart(shop.world.stock[2], 2)
    tabs = windows(ada, shop, 8)
    forms = [tab.checkout() for tab in tabs]
    assert len({form["key"] for form in forms}) == 8
    answers = at_once([partial(tab.buy, form) for tab, form in zip(tabs, forms, strict=True)])
    assert {answer.headers["Location"].partition("?")[0] for answer in answers} == {
        f"/orders/{rows(shop.engine, 'SELECT id FROM orders')[0].id}"
    }
    assert orders_of(shop) == 1
    ada.put_in_cart(shop.world.stock[2], 2)
    assert ada.buy(ada.checkout()).status_code == 303
    assert orders_of(shop) == 2


def test_the_slower_of_two_gets_what_else_there_is(shop: Shop) -> None:
    """B3, P1: the last unit, two windows, and the same good from somebody else."""
    last = shop.world.stock[1]
    other = add_same_good(shop.engine, last, "m9", 4, 199)
    people = [shop.person(number).sign_up().with_card() for number in range(2)]
    for person in people:
        person.put_in_cart(last)
    forms = [person.checkout() for person in people]
    answers = at_once([partial(person.buy, form) for person, form in zip(people, forms, strict=True)])
    assert Counter(answer.status_code for answer in answers) == {303: 1, 409: 1}
    slower = 0 if answers[0].status_code == 409 else 1
    page = answers[slower].text
    assert "Product 2, Second Works: sold out" in alert(page)
    swap = form_fields(page, f"/cart/{last}/swap")
    again = windows(people[slower], shop, 8)
    clicks = at_once([partial(one.client.post, f"/cart/{last}/swap", data=swap) for one in again])
    assert {click.headers["Location"] for click in clicks} == {"/checkout?done=swapped"}
    (line,) = rows(shop.engine, "SELECT stock_id, quantity FROM cart_line")
    assert tuple(line) == (other, 1)
    assert people[slower].buy(people[slower].checkout()).status_code == 303
    assert not discrepancies(shop.engine)


def test_what_is_added_in_many_windows_at_once_is_all_in_the_cart(shop: Shop) -> None:
    """A cart is rows, not a cookie: no click overwrites another one's, on the same line or on two."""
    ada = shop.person().sign_up()
    ada.put_in_cart(shop.world.stock[2])
    clicks = [(window, shop.world.stock[2]) for window in windows(ada, shop, 12)]
    clicks += [(window, shop.world.stock[0]) for window in windows(ada, shop, 4)]
    answers = at_once([partial(window.post, f"/cart/{one}/add", "/account", quantity="1") for window, one in clicks])
    assert {answer.status_code for answer in answers} == {303}
    lines = {row.stock_id: row.quantity for row in rows(shop.engine, "SELECT stock_id, quantity FROM cart_line")}
    assert lines == {shop.world.stock[2]: 13, shop.world.stock[0]: 4}
