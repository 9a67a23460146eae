"""What people read while the database is away: designed pages that lose nothing and say nothing that nobody knows."""

import contextlib
import re
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import QueuePool

from customers.instance import EXTENSION, Instance
from customers.window import recent, window
from tests.customers_world import PASSWORD, Person, field_value, form_fields
from tests.distributor_world import World

Away = Callable[[], contextlib.AbstractContextManager[None]]
CANNOT_REACH = "The shop cannot reach its books at the moment"


@pytest.fixture
def away(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Away:
    """As if no question had been answered for long: what the thread of a running instance finds out."""
    shop: Instance = app.extensions[EXTENSION]

    @contextlib.contextmanager
    def silence() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(shop.readiness, "_asking_since", float("-inf"))
            yield

    return silence


@pytest.fixture
def guest(app: Flask, world: World) -> Person:
    return Person(app.test_client())


def test_a_guest_sees_the_goods_as_they_were_and_how_old_that_is(
    guest: Person, world: World, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W5: only what was seen before, only for so long, and gone with the database's first answer."""
    paths = ["/", f"/product/{world.stock[3]}"]
    for path in paths:
        assert CANNOT_REACH not in guest.get(path).text
    monkeypatch.setattr(recent.Recent, "get", lambda kept, key, ask: ask())  # nothing is young enough any more
    with away():
        for path in paths:
            answer = guest.get(path)
            assert (answer.status_code, CANNOT_REACH in answer.text) == (200, True)
            assert "40 left" in answer.text
        assert guest.get(f"/product/{world.stock[0]}").status_code == 503
        monkeypatch.setattr(window, "OLD_SECONDS_MAX", -1.0)
        assert guest.get("/").status_code == 503
    assert CANNOT_REACH not in guest.get("/").text


def test_it_is_told_how_old_what_is_shown_is(guest: Person, app: Flask, away: Away) -> None:
    shop: Instance = app.extensions[EXTENSION]
    kept = shop.shop.window._lists
    moments = [1_000.0]
    kept._now = lambda: moments[-1]  # which does not go on while the page is made, however long that takes
    guest.get("/")
    moments.append(1_125.0)
    with away():
        assert "Goods and quantities are as they were 2 min 05 s ago." in guest.get("/").text


def test_who_is_signed_in_looks_around_and_is_not_asked_to_sign_in(ada: Person, guest: Person, away: Away) -> None:
    guest.get("/")
    with away():
        page = ada.get("/")
        assert page.status_code == 200
        assert CANNOT_REACH in page.text
        for text in (page.text, ada.get("/cart").text):
            assert 'href="/log-in"' not in text
        assert 'href="/log-in"' in guest.get("/nowhere").text
    assert 'href="/cart"' in ada.get("/").text


def test_a_page_that_cannot_ask_says_nothing_of_the_month(
    guest: Person, ada: Person, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Month 1 is open" in guest.get("/").text
    monkeypatch.setattr(recent.Recent, "get", lambda kept, key, ask: ask())
    with away():
        page = ada.get("/cart")
    assert page.status_code == 503
    assert page.headers["Retry-After"] == "2"
    assert "Your cart and your orders are as you left them" in page.text
    assert not re.search(r"Month \d|first month", page.text)


def test_a_form_without_secrets_can_be_sent_again_as_it_was(ada: Person, world: World, away: Away) -> None:
    path = f"/cart/{world.stock[3]}/add"
    sent = {"form_token": field_value(ada.get("/account").text, "form_token"), "quantity": "3"}
    with away():
        refused = ada.client.post(path, data=sent)
    assert refused.status_code == 503
    again = form_fields(refused.text, path)
    assert again == sent
    assert ada.client.post(path, data=again).status_code == 303
    assert "3" in ada.get("/cart").text


def test_what_nobody_may_repeat_is_not_written_into_the_page(ada: Person, away: Away) -> None:
    token = field_value(ada.get("/account").text, "form_token")
    with away():
        refused = ada.client.post("/account/password", data={"form_token": token, "password": "a-new-secret-one"})
    assert refused.status_code == 503
    assert "a-new-secret-one" not in refused.text
    assert "What you typed may still be there" in refused.text


@pytest.mark.parametrize("path", ["/log-in", "/sign-up"])
def test_who_signs_in_or_up_finds_what_was_typed_but_the_password(guest: Person, away: Away, path: str) -> None:
    token = field_value(guest.get(path).text, "form_token")
    typed = {"email": "ada@example.org", "first_name": "Ada", "last_name": "Lovelace", "password": PASSWORD}
    with away():
        refused = guest.client.post(path, data={"form_token": token} | typed)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert CANNOT_REACH in refused.text
    assert 'value="ada@example.org"' in refused.text
    assert PASSWORD not in refused.text


def test_who_finds_all_connections_in_use_is_not_told_of_locked_goods(
    guest: Person, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop: Instance = app.extensions[EXTENSION]
    assert isinstance(shop.engine.pool, QueuePool)
    monkeypatch.setattr(shop.engine.pool, "_timeout", 0.01)
    with contextlib.ExitStack() as others:
        for _ in range(shop.engine.pool.size()):
            others.enter_context(shop.engine.connect())
        page = guest.get("/")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "1")
    assert "Too many people are in the shop at this moment" in page.text
    assert "locked" not in page.text


def test_a_program_gets_a_problem(guest: Person, away: Away) -> None:
    """Never old values: it cannot read a notice."""
    guest.client.get("/api/v1/products")
    with away():
        answer = guest.client.get("/api/v1/products")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json is not None
    assert answer.json["type"] == "urn:cds:problem:unavailable"
