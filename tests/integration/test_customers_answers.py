"""Answers as they go over the wire: coded for who reads gzip, and never telling one visitor about another."""

import gzip
import re
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from customers.pages import csrf
from distributor.database import transaction
from tests.customers_world import Person, field_value, make_app, make_runtime
from tests.distributor_world import World, make_world

GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [5, 3, 0, 40] * 6, customers=0)


@pytest.fixture
def app(database_url: str, world: World, tmp_path: Path) -> Flask:
    return make_app(make_runtime(tmp_path / "state", database_url))


def test_pages_and_calls_are_sent_coded_and_quantities_too_short_for_it_are_not(app: Flask, world: World) -> None:
    client = app.test_client()
    for path in ("/", "/api/v1/products"):
        plain, coded = client.get(path), client.get(path, headers=GZIP)
        assert coded.headers["Content-Encoding"] == "gzip"
        assert len(coded.data) < len(plain.data) / 2
        assert len(gzip.decompress(coded.data)) == pytest.approx(len(plain.data), abs=200)
        assert "Accept-Encoding" in coded.headers["Vary"]
    assert "Content-Encoding" not in client.get(f"/stock?ids={world.stock[0]}", headers=GZIP).headers


def test_a_token_looks_different_in_every_answer_and_each_is_good(app: Flask) -> None:
    """F4"""
    person = Person(app.test_client())
    tokens = [field_value(person.get("/log-in").text, csrf.FIELD) for _ in range(3)]
    assert len(set(tokens)) == 3
    for token in tokens:
        answer = person.client.post("/log-in", data={csrf.FIELD: token, "email": "a@example.org", "password": "x"})
        assert answer.status_code == 401


@pytest.mark.parametrize("spoil", [str.upper, lambda token: token[:-1], lambda token: token[64:], lambda _: "0" * 128])
def test_a_token_that_is_no_token_is_refused(app: Flask, spoil: object) -> None:
    """F1"""
    assert callable(spoil)
    person = Person(app.test_client())
    token = spoil(field_value(person.get("/log-in").text, csrf.FIELD))
    assert person.client.post("/log-in", data={csrf.FIELD: token}).status_code == 403


def grid(page: str) -> str:
    """The cards of a list."""
    match = re.search(r'<ul class="grid".*?</ul>', page, re.DOTALL)
    assert match
    return match[0]


def test_no_visitor_ever_gets_what_is_anothers(app: Flask, world: World) -> None:
    """W4 of the window: lists and cards are shared; tokens, cookies, the request's number, what is said of a customer are not."""
    ada, bob = (Person(app.test_client()).sign_up().with_card() for _ in range(2))
    ada.post(f"/cart/{world.stock[0]}/add", "/account", quantity="2")
    one, two = app.test_client(), app.test_client()
    for _time in range(2):
        pages = [one.get("/"), ada.get("/"), two.get("/"), bob.get("/"), one.get("/"), ada.get("/")]
        assert len({page.headers["X-Request-Id"] for page in pages}) == len(pages)
        tokens = [field_value(page.text, csrf.FIELD) for page in pages]
        assert len(set(tokens)) == len(tokens)
        assert [grid(page.text) for page in pages[1::2]] == [grid(pages[1].text)] * 3, "customers share their cards"
        assert grid(pages[0].text) == grid(pages[2].text) == grid(pages[4].text), "so do guests"
        assert ["/log-out" in page.text for page in pages] == [False, True] * 3
        assert ["count-badge" in page.text for page in pages] == [False, True, False, False, False, True]
        assert ["formaction=" in page.text for page in pages] == [False, True] * 3, "guests cannot add"
        assert all(page.headers["Cache-Control"] == "no-store" for page in pages)
        assert not any(person.email in page.text for page in pages for person in (ada, bob))
    visitors = [client.get_cookie("visitor") for client in (one, two)]
    assert len({visitor.value for visitor in visitors if visitor}) == 2
    assert "Set-Cookie" not in one.get("/").headers


def test_a_token_of_a_shared_list_is_its_readers_own(app: Flask, world: World) -> None:
    ada, bob = (Person(app.test_client()).sign_up() for _ in range(2))
    token = field_value(ada.get("/").text, csrf.FIELD)
    assert bob.client.post(f"/cart/{world.stock[0]}/add", data={csrf.FIELD: token, "quantity": "1"}).status_code == 403
    assert ada.client.post(f"/cart/{world.stock[0]}/add", data={csrf.FIELD: token, "quantity": "1"}).status_code == 303


def test_cards_and_filters_are_kept_apart_by_language_and_choice(app: Flask, world: World) -> None:
    """D1"""
    client = app.test_client()
    for _time in range(2):
        english, polish = (client.get("/", headers={"Accept-Language": code}).text for code in ("en", "pl"))
        assert "40 left" in grid(english)
        assert ("40 left" in grid(polish), "zostało 40" in grid(polish)) == (False, True)
        chosen = [re.findall(r'<option value="(m[0-9])" selected', client.get(path).text) for path in CHOICES]
        assert chosen == [[], ["m1"], ["m2"], []]
    assert "<option selected>&lt;b&gt;</option>" in client.get("/?manufacturer=<b>").text


CHOICES = ("/", "/?manufacturer=m1", "/?manufacturer=m2", "/")


def test_a_changed_good_has_a_new_card_at_once_for_who_has_bought(app: Flask, engine: Engine, world: World) -> None:
    """D2, and W2 of the window: a customer never misses what they have just done."""
    ada = Person(app.test_client()).sign_up().with_card()
    assert "40 left" in grid(ada.get("/").text)
    ada.put_in_cart(world.stock[3], 7)
    assert ada.buy(ada.checkout(), pay="saved").status_code == 303
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET name = 'New name', price_minor = 77777 WHERE id = 4"))
    card = grid(ada.get("/").text)
    assert ("33 left" in card, "New name" in card, "777.77" in card) == (True, True, True)
