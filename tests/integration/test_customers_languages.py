"""The shop in its languages, on a real database. G numbers are reader_language.py's, W numbers language_views.py's."""

import re
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from customers.instance import instance_of
from distributor.errors import DatabaseUnavailable
from tests.customers_world import PASSWORD, Person, Program, field_value, make_app, make_runtime
from tests.distributor_world import World, rows

POLISH = {"Accept-Language": "pl-PL,pl;q=0.9,en;q=0.8"}
ENGLISH = {"Accept-Language": "en-GB,en;q=0.9"}


@pytest.fixture
def guest(app: Flask, world: World) -> Person:
    return Person(app.test_client())


def language_of(answer: TestResponse) -> str:
    """What the page says of itself, twice."""
    (code,) = re.findall(r'<html lang="(\w+)"', answer.text)
    assert answer.headers["Content-Language"] == code
    return str(code)


def switch(person: Person, code: str, next_path: str = "/", **headers: str) -> TestResponse:
    token = field_value(person.get("/").text, "form_token")
    return person.client.post(
        "/language", data={"form_token": token, "language": code, "next": next_path}, headers=headers
    )


def test_the_browser_chooses(guest: Person) -> None:
    """G1, G3."""
    for headers, code, words in (
        (POLISH, "pl", "Teraz w\xa0sprzedaży"),
        (ENGLISH, "en", "In stock now"),
        ({}, "en", "In"),
    ):
        page = guest.client.get("/", headers=headers)
        assert (language_of(page), words in page.text) == (code, True)
        assert {"accept-language", "cookie"} <= {name.lower() for name in page.vary}


def test_no_header_breaks_a_page(guest: Person) -> None:
    for header in ("x" * 10_000, "pl;q=", "*", ",;,", "pl-PL;q=9", "\u00ff", "pl," * 3_000):
        headers = {"Accept-Language": header}
        assert guest.client.get("/log-in", headers=headers).status_code == 200
        assert guest.client.get("/api/v1/products?page=x", headers=headers).status_code == 422


def test_what_has_no_language_says_none(guest: Person) -> None:
    """G3."""
    (sheet,) = re.findall(r'href="([^"]+shop\.css)"', guest.get("/").text)
    for path in (sheet, "/stock?ids=1", "/api/v1/products", "/api/v1/openapi.json", "/healthz"):
        answer = guest.client.get(path, headers=POLISH)
        assert answer.status_code == 200
        assert "Content-Language" not in answer.headers
        assert "accept-language" not in {name.lower() for name in answer.vary}


def test_the_switch_keeps_the_page_and_the_choice(guest: Person) -> None:
    """W1, W2: without JavaScript, against what the browser says."""
    page = guest.client.get("/?q=product&sort=price&done=added", headers=ENGLISH)
    way = field_value(page.text.partition('action="/language"')[2], "next").replace("&amp;", "&")
    assert way == "/?q=product&sort=price"
    answer = switch(guest, "pl", way)
    assert (answer.status_code, answer.headers["Location"]) == (303, way)
    cookie = next(line for line in answer.headers.getlist("Set-Cookie") if line.startswith("language="))
    assert re.fullmatch(r"language=pl; Expires=[^;]+; Max-Age=31536000; HttpOnly; Path=/; SameSite=Lax", cookie)
    assert language_of(guest.client.get(way, headers=ENGLISH)) == "pl"
    switch(guest, "en", way)
    assert language_of(guest.client.get(way, headers=POLISH)) == "en"


def test_a_forged_or_unknown_switch_changes_nothing(guest: Person) -> None:
    forged = guest.client.post("/language", data={"language": "pl", "next": "/"})
    assert (forged.status_code, guest.client.get_cookie("language")) == (403, None)
    assert guest.client.get("/language").status_code == 405
    for code in ("de", "", "PL", "pl\n", "x" * 3_000):
        assert switch(guest, code).status_code == 422
        assert guest.client.get_cookie("language") is None
    guest.client.set_cookie("language", "klingon")
    assert language_of(guest.client.get("/", headers=POLISH)) == "pl"


OUTSIDE = [
    "//evil.example", "/\\evil.example", "https://evil.example/", "https:evil", "javascript:alert(1)", "/\t/evil.example",
    "///evil.example", "/cart\r\nSet-Cookie: a=b", "", "cart", "/nowhere", "/cart/1/add", "/language", "/log-out", "/healthz",
    "/api/v1/products", "?q=1", "/%2f/evil.example", "/./cart", "/cart/../orders",
]  # fmt: skip
INSIDE = ["/", "/cart", "/orders?page=2", "/log-in?next=%2Fcheckout", "/?q=a%26b&q=c", "/?page=x"]


def test_the_switch_leads_back_and_never_out_of_the_shops_pages(guest: Person) -> None:
    """W1."""
    token = field_value(guest.get("/log-in").text, "form_token")
    for target, leads_to in [(target, "/") for target in OUTSIDE] + [(target, target) for target in INSIDE]:
        answer = guest.client.post("/language", data={"form_token": token, "language": "pl", "next": target})
        assert (answer.status_code, answer.headers["Location"]) == (303, leads_to), target


def test_a_refused_form_can_be_read_in_another_language(ada: Person, world: World) -> None:
    """W1: what cannot be opened again leads to the page that the form was on."""
    for path, back in ((f"/cart/{world.stock[0]}", "/cart"), ("/account/card", "/account"), ("/checkout", "/checkout")):
        answer = ada.post(path, "/account", quantity="x", number="1")
        assert answer.status_code in (400, 422)
        assert field_value(answer.text.partition('action="/language"')[2], "next") == back


def test_a_customers_choice_holds_on_every_device(app: Flask, ada: Person, engine: Engine) -> None:
    """W2, G1: the account before the browser's cookie, the cookie before what the browser says."""
    assert switch(ada, "pl").status_code == 303
    phone = Person(app.test_client())
    phone.email = ada.email
    assert language_of(phone.client.get("/", headers=ENGLISH)) == "en"
    switch(phone, "en")
    phone.post("/log-in", "/log-in", email=ada.email, password=PASSWORD, next="/")
    assert language_of(phone.client.get("/account", headers=ENGLISH)) == "pl"
    switch(phone, "en")
    assert language_of(ada.client.get("/account", headers=POLISH)) == "en"
    ada.post("/account/delete", "/account", delete_password=PASSWORD)
    assert rows(engine, "SELECT language FROM customer") == [(None,)]


def test_a_guests_choice_becomes_that_of_an_account_without_one(app: Flask, guest: Person, engine: Engine) -> None:
    """G1: at the sign-up and at a log-in; what a browser merely says is no choice."""
    guest.sign_up()
    assert rows(engine, "SELECT language FROM customer") == [(None,)]
    other = Person(app.test_client())
    switch(other, "pl")
    other.email = guest.email
    other.post("/log-in", "/log-in", email=other.email, password=PASSWORD, next="/")
    assert rows(engine, "SELECT language FROM customer") == [("pl",)]
    assert language_of(guest.client.get("/account", headers=ENGLISH)) == "pl"
    newcomer = Person(app.test_client())
    switch(newcomer, "pl")
    newcomer.sign_up()
    assert rows(engine, "SELECT language FROM customer ORDER BY id DESC LIMIT 1") == [("pl",)]


def test_a_page_about_the_missing_database_is_in_the_browsers_language(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """N3 of identity.py; G2: the account says English, but cannot be read."""
    switch(ada, "en")
    ada.client.delete_cookie("language")
    shop = instance_of(app)

    def gone(_token: str) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(shop.accounts, "customer_of_token", gone)
    page = ada.client.get("/account", headers=POLISH)
    assert (page.status_code, language_of(page)) == (503, "pl")
    assert "Sklep nie ma w\xa0tej chwili dostępu do swoich ksiąg; nic się nie zmieniło." in page.text


def test_a_thread_forgets_the_language_of_its_last_answer(guest: Person) -> None:
    """C2 of customers/languages: one thread answers all of these."""
    codes = [language_of(guest.client.get("/", headers=headers)) for headers in (POLISH, ENGLISH, POLISH, {})]
    assert codes == ["pl", "en", "pl", "en"]


def test_problems_follow_the_programs_language(app: Flask, world: World) -> None:
    """Type and status stay, title, detail and messages follow; neither a cookie nor the account is asked (G1)."""
    program = Program(app.test_client()).sign_up()
    program.client.set_cookie("language", "pl")
    wanted = ("PUT", f"/cart/{world.stock[0]}", {"quantity": 0, "x": 1})
    english = program.call(*wanted)
    polish = program.call(*wanted, Accept_Language="pl")
    assert [answer.headers["Content-Language"] for answer in (english, polish)] == ["en", "pl"]
    assert all("Accept-Language" in answer.headers["Vary"] for answer in (english, polish))
    one, other = english.get_json(), polish.get_json()
    assert (one["type"], one["status"]) == (other["type"], other["status"]) == ("urn:cds:problem:invalid-input", 422)
    assert (one["title"], other["title"]) == ("Some fields are not right", "Niektóre pola zawierają błędy")
    assert [error["field"] for error in one["errors"]] == [error["field"] for error in other["errors"]]
    assert {error["message"] for error in other["errors"]} == {"musi wynosić co najmniej 1", "nie ma takiego pola"}


def test_polish_pages_count_and_pay_as_poles_do(guest: Person, world: World) -> None:
    page = guest.client.get("/", headers=POLISH).text
    told = {"zostało 5 szt.", "zostały 3 szt."}
    assert told <= set(re.findall(r"zosta\w+ [35] szt\.|wyprzedane", page)) <= told | {"wyprzedane"}
    assert "2,50\xa0GBP" in page
    assert "£2.50" in guest.client.get("/", headers=ENGLISH).text


def test_behind_tls_the_choice_is_bound_to_the_host(database_url: str, tmp_path: Path, world: World) -> None:
    app = make_app(make_runtime(tmp_path, database_url, customers={"secure_cookies": True}))
    person = Person(app.test_client())
    token = field_value(person.client.get("/log-in", base_url="https://localhost").text, "form_token")
    answer = person.client.post(
        "/language", data={"form_token": token, "language": "pl", "next": "/"}, base_url="https://localhost"
    )
    assert any(
        re.match(r"__Host-language=pl; .*Secure; HttpOnly", line) for line in answer.headers.getlist("Set-Cookie")
    )
    assert language_of(person.client.get("/", base_url="https://localhost")) == "pl"
