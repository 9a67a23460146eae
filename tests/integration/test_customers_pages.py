"""The pages on a real database: forms, cookies, tokens, and bad input of every kind."""

import re
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from customers.instance import instance_of
from distributor.database import transaction
from distributor.errors import DatabaseUnavailable
from tests.customers_world import CARD_NUMBER, PASSWORD, Person, field_value, make_app, make_runtime
from tests.distributor_world import World, rows

QUANTITIES = ["0", "-1", "1.5", "1e3", "", " 5 ", "+5", "\uff15", "0x10", "5\n", "5\x00", "007", "9" * 500, str(2**63)]


def test_a_login_on_one_instance_holds_on_all_and_so_does_a_logout(
    database_url: str, tmp_path: Path, world: World
) -> None:
    """P6, with round robin: every click goes to another instance."""
    runtime = make_runtime(tmp_path, database_url)
    one = Person(make_app(runtime, "web-1").test_client()).sign_up()
    two = Person(make_app(runtime, "web-2").test_client())
    cookie = one.client.get_cookie("session")
    assert cookie is not None
    two.client.set_cookie("session", cookie.value)
    page = two.get("/account")
    assert (page.status_code, page.headers["X-Served-By"]) == (200, "web-2")
    token = field_value(page.text, "form_token")
    assert one.client.post("/log-out", data={"form_token": token}).status_code == 303
    assert two.get("/account").headers["Location"] == "/log-in?next=/account"


def test_cookies_are_for_this_shop_only(app: Flask, world: World) -> None:
    person = Person(app.test_client())
    visitor = person.get("/sign-up").headers["Set-Cookie"]
    assert re.fullmatch(r"visitor=[\w-]{22}; Expires=[^;]+; Max-Age=86400; HttpOnly; Path=/; SameSite=Lax", visitor)
    token = field_value(person.get("/sign-up").text, "form_token")
    fields = {"email": person.email, "password": PASSWORD, "first_name": "A", "last_name": "B", "form_token": token}
    answer = person.client.post("/sign-up", data=fields)
    assert re.match(r"session=[\w-]{43}; ", answer.headers["Set-Cookie"])
    assert "HttpOnly; Path=/; SameSite=Lax" in answer.headers["Set-Cookie"]


def test_behind_tls_cookies_are_bound_to_the_host(database_url: str, tmp_path: Path, world: World) -> None:
    app = make_app(make_runtime(tmp_path, database_url, customers={"secure_cookies": True}))
    answer = app.test_client().get("/log-in")
    assert re.match(r"__Host-visitor=.*; Secure; HttpOnly; Path=/; SameSite=Lax", answer.headers["Set-Cookie"])
    assert "max-age=" in answer.headers["Strict-Transport-Security"]


def test_a_form_needs_the_token_of_its_own_session(app: Flask, ada: Person, world: World, engine: Engine) -> None:
    """F1, F2: none, a guest's, another customer's, one from before signing in, a doubled one."""
    eve = Person(app.test_client()).sign_up()
    guest = Person(app.test_client())
    tokens: list[object] = [
        None,
        "",
        "x",
        field_value(guest.get("/log-in").text, "form_token"),
        field_value(eve.get("/account").text, "form_token"),
    ]
    own = field_value(ada.get("/account").text, "form_token")
    for token in [*tokens, [own, own]]:
        answer = ada.client.post(f"/cart/{world.stock[0]}/add", data={"quantity": "1", "form_token": token or ""})
        assert answer.status_code == 403
        assert "out of date" in answer.text
    cross_site = ada.client.post(
        f"/cart/{world.stock[0]}/add",
        data={"quantity": "1", "form_token": own},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert cross_site.status_code == 403
    assert not rows(engine, "SELECT * FROM cart_line")


def test_a_token_never_looks_the_same_twice(ada: Person) -> None:
    """F4: no half of it stays, so that guesses beside it in a compressed answer are never confirmed; each of them counts."""
    tokens = [field_value(ada.get("/account").text, "form_token") for _ in range(3)]
    halves = [half for token in tokens for half in (token[:64], token[64:])]
    assert len(set(halves)) == 6
    for token in tokens:
        fields = {"form_token": token, "first_name": "Ada", "last_name": "Lovelace"}
        assert ada.client.post("/account/details", data=fields).status_code == 303


def test_a_token_from_before_signing_in_is_refused_after_it(app: Flask, world: World) -> None:
    person = Person(app.test_client())
    before = field_value(person.get("/log-in").text, "form_token")
    person.sign_up()
    assert person.client.post("/log-out", data={"form_token": before}).status_code == 403
    assert person.get("/account").status_code == 200


def test_signing_in_makes_a_new_session(app: Flask, world: World) -> None:
    """S3."""
    person = Person(app.test_client())
    person.client.set_cookie("session", "A" * 43)
    person.sign_up()
    cookie = person.client.get_cookie("session")
    assert cookie is not None
    assert cookie.value != "A" * 43


@pytest.mark.parametrize("value", ["", "x", "A" * 43, "A" * 6_000, "\u00e9", "a; b", '"', "%00"])
def test_a_broken_cookie_is_a_guest(app: Flask, world: World, value: str) -> None:
    answer = app.test_client().get("/", headers={"Cookie": f"session={value}; session={value}; visitor={value}"})
    assert answer.status_code == 200
    assert "Log in" in answer.text


def test_a_cookie_of_the_login_library_is_ignored(ada: Person) -> None:
    """Flask-Login has a signed cookie of its own, which could be replayed and fails on text that is not ASCII."""
    for name in ("remember_token", "never-used-remember-token"):
        for value in ("x", "1|\u00e9", "1|" + "0" * 128):
            ada.client.set_cookie(name, value)
            assert ada.get("/account").status_code == 200, (name, value)


def test_a_signed_in_customer_is_told_that_the_database_is_away(
    app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page that says so cannot ask the database who is reading it."""

    def away(*_: object) -> None:
        raise DatabaseUnavailable

    shop = instance_of(app)
    monkeypatch.setattr(shop.accounts, "customer_of_token", away)
    monkeypatch.setattr(shop.shop, "surroundings", away)
    for path, status in (("/account", 503), ("/cart", 503), ("/nothing-here", 404)):
        answer = ada.get(path)
        assert (answer.status_code, answer.headers["X-Served-By"]) == (status, "web-1"), path
        assert "<html" in answer.text


def test_the_session_of_a_deleted_customer_is_over(ada: Person, engine: Engine) -> None:
    refused = ada.post("/account/delete", "/account", delete_password="wrong password")
    assert refused.status_code == 422
    assert ada.post("/account/delete", "/account", delete_password=PASSWORD).status_code == 303
    assert ada.get("/account").status_code == 303
    assert not rows(engine, "SELECT * FROM customer_session")


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_wrong_quantity_changes_nothing(ada: Person, world: World, engine: Engine, quantity: str) -> None:
    stock_id = world.stock[0]
    assert ada.post(f"/cart/{stock_id}/add", "/account", quantity="2").status_code == 303
    for path in (f"/cart/{stock_id}/add", f"/cart/{stock_id}"):
        answer = ada.post(path, "/account", quantity=quantity)
        assert answer.status_code == 422
        assert "plain digits" in answer.text or "from 1 to" in answer.text
    assert [row.quantity for row in rows(engine, "SELECT quantity FROM cart_line")] == [2]


def test_more_than_there_is_changes_nothing(ada: Person, world: World, engine: Engine) -> None:
    stock_id = world.stock[0]
    assert ada.post(f"/cart/{stock_id}/add", "/account", quantity="3").status_code == 303
    for path, quantity in ((f"/cart/{stock_id}/add", "3"), (f"/cart/{stock_id}", "6")):
        answer = ada.post(path, "/account", quantity=quantity)
        assert answer.status_code == 409
        assert "only 5 left" in answer.text
    gone = ada.post(f"/cart/{world.stock[2]}/add", "/account", quantity="1")
    assert gone.status_code == 409
    assert "sold out" in gone.text
    assert [row.quantity for row in rows(engine, "SELECT quantity FROM cart_line")] == [3]


def test_fields_that_no_form_has_are_ignored(ada: Person, world: World, engine: Engine) -> None:
    """Mass assignment."""
    ada.post(f"/cart/{world.stock[0]}/add", "/account", quantity="1", price_minor="1", customer_id="99")
    ada.post("/account/details", "/account", first_name="A", last_name="B", role="admin", email="x@example.org")
    (customer,) = rows(engine, "SELECT * FROM customer")
    assert (customer.role, customer.email, customer.first_name) == ("customer", ada.email, "A")
    (line,) = rows(engine, "SELECT * FROM cart_line")
    assert line.price_minor_seen == 250


NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "${7*7}",
    "'; DROP TABLE stock; --",
    "=cmd()",
]


@pytest.mark.parametrize("nasty", NASTY)
def test_text_stays_text(app: Flask, ada: Person, world: World, engine: Engine, nasty: str) -> None:
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET name = :n"), {"n": nasty})
        connection.execute(text("UPDATE manufacturer SET name = :n"), {"n": nasty})
    ada.post("/account/details", "/account", first_name=nasty, last_name=nasty)
    ada.post(f"/cart/{world.stock[0]}/add", "/account", quantity="1")
    for path in ("/", f"/product/{world.stock[0]}", "/cart", "/account", f"/?q={nasty.replace('#', '')}"):
        page = ada.get(path).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "49" not in re.sub(r"[0-9a-f]{12,}|£[0-9.]+|[0-9]+ (min|s|left)", "", page)
    assert rows(engine, "SELECT count(*) FROM stock")[0][0] == 4


def test_pages_forbid_what_they_do_not_need(ada: Person) -> None:
    answer = ada.get("/account")
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert " style=" not in answer.text
    assert not re.search(r"<script(?! type=\"module\" src=)", answer.text)


def test_style_and_script_are_kept_until_they_change(app: Flask, world: World) -> None:
    client = app.test_client()
    (path,) = re.findall(r'href="(/static/[0-9a-f]{12}/shop\.css)"', client.get("/").text)
    assert "immutable" in client.get(path).headers["Cache-Control"]
    other = client.get("/static/000000000000/shop.css")
    assert (other.status_code, other.headers["Cache-Control"]) == (200, "no-cache")
    for bad in ("/static/x/nothing.css", "/static/x/..%2f..%2fapp.py", "/static/x/%2e%2e/views.py"):
        assert client.get(bad).status_code == 404


def test_a_card_form_never_echoes_the_number(ada: Person) -> None:
    answer = ada.post("/account/card", "/account", number=CARD_NUMBER[:-1] + "3", expiry="13/30", holder="Ada")
    assert answer.status_code == 422
    assert CARD_NUMBER[:12] not in answer.text
    assert "mistyped" in answer.text
    assert 'value="13/30"' in answer.text


def test_forms_of_unreasonable_size_are_refused(ada: Person) -> None:
    assert ada.client.post("/account/card", data={"number": "4" * 600_000}).status_code == 413
    many = "&".join(f"f{number}=1" for number in range(2_000))
    answer = ada.client.post("/account/card", data=many, content_type="application/x-www-form-urlencoded")
    assert answer.status_code in {403, 413}
    parts = {f"f{number}": "1" for number in range(200)}
    answer = ada.client.post("/account/card", data=parts, content_type="multipart/form-data")
    assert answer.status_code == 413


def test_a_get_never_changes_anything(ada: Person, world: World, engine: Engine) -> None:
    for path in (
        f"/cart/{world.stock[0]}/add",
        "/log-out",
        "/finished",
        "/cart/1/swap",
        "/account/card/remove",
        "/cart/fit",
    ):
        assert ada.get(path).status_code in {404, 405}
    assert ada.get("/account").status_code == 200


def test_notices_come_from_a_closed_list(ada: Person) -> None:
    assert "It is in your cart." in ada.get("/cart?done=added").text
    assert "You have won" not in ada.get("/cart?done=You+have+won").text


def test_signing_in_leads_back_to_the_page_that_was_wanted(app: Flask, ada: Person, world: World) -> None:
    person = Person(app.test_client())
    person.email = ada.email
    wanted = f"/product/{world.stock[0]}"
    page = person.get(f"/log-in?next={wanted}").text
    fields = {name: field_value(page, name) for name in ("form_token", "next")}
    answer = person.client.post("/log-in", data=fields | {"email": ada.email, "password": PASSWORD})
    assert answer.headers["Location"] == wanted
    for page in ("/log-in", "/sign-up"):
        assert field_value(Person(app.test_client()).get(f"{page}?next=//evil.example").text, "next") == "/"
        for target, end in ((wanted, wanted), ("//evil.example", "/")):
            on = person.get(f"{page}?next={target}")
            assert (on.status_code, on.headers["Location"]) == (303, end), "logged in by now, in another tab"


def test_a_sign_up_that_is_sent_twice_leads_into_the_account(app: Flask, ada: Person, engine: Engine) -> None:
    """A double click, or an answer that was lost: the password tells it from somebody else's address."""
    form = {"email": ada.email.upper(), "first_name": "A", "last_name": "L", "next": "/cart"}
    for password, status in ((PASSWORD, 303), ("some other password", 409)):
        person = Person(app.test_client())
        token = field_value(person.get("/sign-up").text, "form_token")
        answer = person.client.post("/sign-up", data=form | {"form_token": token, "password": password})
        assert answer.status_code == status
        assert person.get("/account").status_code == (200 if status == 303 else 303)
    assert [row.first_name for row in rows(engine, "SELECT first_name FROM customer")] == ["Ada"]


def test_a_form_that_cannot_be_taken_leads_to_its_page(app: Flask, ada: Person, world: World) -> None:
    """Its own address, too, which a browser keeps after a refusal and asks for again."""
    stock_id = world.stock[0]
    for path, page in ((f"/cart/{stock_id}/swap", "/cart"), ("/account/card", "/account"), ("/checkout", "/checkout")):
        refused = ada.client.post(path, data={"form_token": "x"})
        assert (refused.status_code, "Nothing was changed by it." in refused.text) == (403, True)
        pages = [refused.text]
        if path != page:
            asked = ada.get(path)
            assert asked.status_code == 405
            pages.append(asked.text)
        for shown in pages:
            assert f'<a class="button" href="{page}">Open the page again</a>' in shown, path
    assert "Open the page again" not in ada.get("/nowhere").text
