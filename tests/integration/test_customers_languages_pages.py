"""No page in Polish has an English leftover: every page is made in both languages, and their words are compared.

A word that both have must be listed here with its reason. Values (names, numbers, what was typed) are not texts of ours,
and what says of itself that it is English (`lang="en"`) is none either.
"""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from customers.instance import instance_of
from distributor.database import transaction
from distributor.errors import DatabaseUnavailable, OutcomeUnknown, ShopClosed
from tests.customers_world import PASSWORD, Person, field_value, make_app, make_runtime
from tests.distributor_world import World, add_same_good, make_world, sell_to_others, set_month

SHOWN_ATTRIBUTES = frozenset(
    {"alt", "aria-label", "title", "placeholder", "data-once", "data-show", "data-hide", "data-none", "data-held"}
)
NOT_SHOWN = frozenset({"script", "style", "code", "pre"})
WITHOUT_END = frozenset({"meta", "link", "img", "input", "br", "hr"})

SAME_IN_BOTH = {
    *("Central", "Distribution"),  # the shop's name
    *("English", "Polski"),  # each language in its own words, for who does not read the present one
    *("en", "pl", "name", "price", "openapi", "json"),  # values of parameters, a file's name
    *("E-mail", "e-mail", "MM", "UTC", "API", "JSON", "min", "ms", "s", "Visa"),  # said so in Polish too
    *("a", "do", "same", "to", "To"),  # other words, spelled alike
}
WORD = re.compile("[^\\W\\d_](?:[\\w\u2019'-]*\\w)?")


class Words(HTMLParser):
    """The words that a reader sees or hears, in the language of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.lang = ""
        self._foreign: list[bool] = [False]
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "html":
            self.lang = given.get("lang") or ""
        hidden = self._foreign[-1] or tag in NOT_SHOWN or (given.get("lang") or self.lang) != self.lang
        if not hidden:
            self.texts += [value or "" for name, value in attrs if name in SHOWN_ATTRIBUTES]
        if tag not in WITHOUT_END:
            self._foreign.append(hidden)

    def handle_endtag(self, tag: str) -> None:
        if tag not in WITHOUT_END:
            self._foreign.pop()

    def handle_data(self, data: str) -> None:
        if not self._foreign[-1]:
            self.texts.append(data)

    def words(self) -> set[str]:
        return {word for text in self.texts for word in WORD.findall(text)}


@pytest.fixture
def world(engine: Engine) -> World:
    """Thirty goods, so that the catalogue has pages; their names are no words."""
    world = make_world(engine, [5, 3, 0, *[40] * 27], customers=0)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET name = 'Q' || id"))
        connection.execute(text("UPDATE product SET sku = 'S' || id"))
        connection.execute(text("UPDATE manufacturer SET name = 'M' || id"))
    return world


def words_of(answer: TestResponse, code: str) -> set[str]:
    page = Words(answer.text)
    assert page.lang == answer.headers["Content-Language"] == code
    return page.words()


def leftovers(ask: Callable[[dict[str, str]], TestResponse]) -> tuple[int, set[str]]:
    """The answer's status, and the words that it has in both languages."""
    english, polish = (ask({"Accept-Language": code}) for code in ("en", "pl"))
    assert english.status_code == polish.status_code
    return polish.status_code, words_of(english, "en") & words_of(polish, "pl")


class Reader:
    """Somebody who asks for everything in both languages and notes which words stay."""

    def __init__(self, app: Flask) -> None:
        self.person = Person(app.test_client())
        self.found: dict[str, set[str]] = {}
        self._data = {"Ada", "Lovelace", "web-1", "zzzz", *WORD.findall(self.person.email)}

    def get(self, path: str, status: int = 200) -> None:
        answered = self._note(path, lambda headers: self.person.client.get(path, headers=headers))
        assert answered == status, path

    def post(self, path: str, token: str | None = None, **fields: str) -> None:
        """A form that is refused, so that it can be sent again in the other language."""
        if token is None:
            token = field_value(self.person.get("/").text, "form_token")
        form = {"form_token": token} | fields
        assert self._note(path, lambda headers: self.person.client.post(path, data=form, headers=headers)) >= 400, path

    def _note(self, path: str, ask: Callable[[dict[str, str]], TestResponse]) -> int:
        """The answer's status."""
        answered, same = leftovers(ask)
        left = {word for word in same - SAME_IN_BOTH - self._data if not re.fullmatch(r"[QSM]\d+", word)}
        if left:
            self.found[path] = left
        return answered


@pytest.fixture(params=[0, 300], ids=["without holds", "with holds"])
def app(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Flask:
    return make_app(make_runtime(tmp_path, database_url, cart={"hold_seconds": request.param}))


def test_no_page_in_polish_has_an_english_word(
    app: Flask, engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(app)
    _read_as_guest(reader, engine, world)
    reader.person.sign_up()
    _read_as_customer(reader, engine, world)
    _read_what_went_wrong(reader, app, monkeypatch)
    assert reader.found == {}


def _read_as_guest(reader: Reader, engine: Engine, world: World) -> None:
    add_same_good(engine, world.stock[0], "m2", 9)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE manufacturer SET name = 'M' || id"))
    for path in (
        "/",
        "/?page=2&sort=-price",
        "/?q=Q1&manufacturer=m1",
        "/?q=zzzz",
        "/?page=99",
        "/log-in",
        "/sign-up",
        "/api",
    ):
        reader.get(path)
    for stock_id in world.stock[:3]:
        reader.get(f"/product/{stock_id}")
    reader.get("/?page=x&sort=y&q=a&q=b", 422)
    reader.get("/nowhere", 404)
    reader.get("/log-out", 405)
    reader.post("/log-in", email="nobody@example.org", password=PASSWORD, next="/")
    reader.post("/sign-up", email="", password="", first_name="", last_name="\x07", next="/")
    reader.post("/sign-up", email="a b@c", password="password", first_name="n" * 90, last_name="e", next="/")
    reader.post("/language", language="de")


def _read_as_customer(reader: Reader, engine: Engine, world: World) -> None:
    one, two, gone = world.stock[:3]
    for path in ("/cart", "/checkout", "/orders", "/account"):
        reader.get(path)
    for quantity in ("", "6", "999999"):
        reader.post(f"/cart/{one}/add", quantity=quantity)
        reader.post(f"/cart/{one}", quantity=quantity)
    reader.post(f"/cart/{gone}/add", quantity="1")
    reader.person.put_in_cart(one, 2)
    reader.person.put_in_cart(two, 2)
    reader.person.put_in_cart(world.stock[3], 2)
    for path in ("/", f"/product/{one}", "/cart", "/checkout"):
        reader.get(path)
    form = reader.person.checkout()
    reader.post("/checkout", **form | {"number": "1", "expiry": "1", "holder": "", "security_code": "1"})
    reader.post("/account/card", number="4242424242424241", expiry="01/20", holder="", security_code="12345")
    reader.post("/account/details", first_name="", last_name="x" * 99)
    reader.post("/account/password", password="short", current_password="")
    reader.post("/account/delete", delete_password="wrong password")
    reader.person.with_card()
    _read_a_lost_race(reader, engine, one, two)
    reader.get("/orders?page=9")
    for notice in ("added", "bought", "bought-rest", "finished", "logged-out", "card-saved"):
        reader.get(f"/account?done={notice}")


def _read_a_lost_race(reader: Reader, engine: Engine, one: int, two: int) -> None:
    """First somebody is faster, then the price changes, then it is bought."""
    with transaction(engine) as connection:
        connection.execute(text("UPDATE cart_line SET held = 0, held_until = NULL"))
    sell_to_others(engine, one, 4)
    sell_to_others(engine, two, 3)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET price_minor = price_minor + 1 WHERE id = :one"), {"one": one})
    for path in ("/cart", "/checkout", f"/product/{one}", "/"):
        reader.get(path)
    bought = reader.person.buy(reader.person.checkout())
    assert bought.status_code == 303, bought.text
    reader.get("/cart")
    reader.get("/orders")
    reader.get(bought.headers["Location"])
    set_month(engine, "closed")
    reader.get(bought.headers["Location"].partition("?")[0])


def _read_what_went_wrong(reader: Reader, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    reader.get("/")  # between two months
    reader.get("/cart")
    reader.post("/finished", token="forged")
    shop = instance_of(app)
    for error, status in (
        (DatabaseUnavailable(), 503),
        (OutcomeUnknown(), 503),
        (ShopClosed(), 503),
        (ZeroDivisionError(), 500),
    ):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(shop.shop, "cart_and_offers", fail)
        reader.get("/cart", status)
