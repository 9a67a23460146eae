"""What a customer can take along, and what is left of one who has gone."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.conftest import Server, fresh_database
from tests.customers_world import PASSWORD, Person, Program, Shop, field_value, open_shop
from tests.distributor_world import discrepancies, rows

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"


@pytest.fixture(scope="module")
def shop(postgres_server: Server, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with (
        fresh_database(postgres_server, template_database) as url,
        open_shop(url, tmp_path_factory.mktemp("shop"), [50, 400], cart={"hold_seconds": 600}) as shop,
    ):
        yield shop


@pytest.fixture
def zeb(shop: Shop) -> Program:
    """A customer with a card, an order, a refused order, a cart that holds goods, and a month that is done."""
    zeb = shop.program().sign_up().with_card()
    assert zeb.call("PATCH", "/me", names_of(zeb)).status_code == 200
    assert zeb.order([(shop.world.stock[0], 2)]).status_code == 201
    assert zeb.order([(shop.world.stock[0], 9_999)]).status_code == 409
    assert zeb.call("PUT", f"/cart/{shop.world.stock[1]}", {"quantity": 3}).status_code == 200
    assert zeb.call("POST", "/me/finished").status_code == 200
    return zeb


def names_of(program: Program) -> dict[str, str]:
    """Names that nobody else in this database has."""
    tag = program.email.partition("@")[0]
    return {"first_name": f"Zebulon-{tag}", "last_name": f"Quackenbush-{tag}"}


def in_any_table(engine: Engine, text: str) -> list[str]:
    """The tables in which the text is, in any column."""
    tables = [row.tablename for row in rows(engine, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    return [
        name
        for name in tables
        if rows(engine, f'SELECT 1 FROM "{name}" AS t WHERE position(:t IN t::text) > 0', t=text)
    ]


def browser_of(shop: Shop, known: Program) -> Person:
    person = shop.person(1)
    person.client.set_cookie("session", known.token)
    return person


def test_an_export_has_everything_and_no_secret(shop: Shop, zeb: Program) -> None:
    """X1 of account_export."""
    answer = zeb.call("GET", "/me/export")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    data = answer.json
    assert data is not None
    assert data["account"]["email"] == zeb.email
    assert data["account"]["last_name"] == names_of(zeb)["last_name"]
    assert data["card"] == {"brand": "Visa", "last4": "4242", "expiry": "12/39"}
    assert [line["quantity"] for line in data["cart"]["lines"]] == [3]
    assert [line["quantity"] for order in data["orders"] for line in order["lines"]] == [2]
    assert data["finished_months"] == [1]
    assert [session["is_this_one"] for session in data["sessions"]] == [True]
    (account,) = rows(shop.engine, "SELECT password_hash, card_token FROM customer WHERE id = :c", c=zeb.id)
    (session,) = rows(shop.engine, "SELECT token_sha256 FROM customer_session WHERE customer_id = :c", c=zeb.id)
    for secret in (account.password_hash, account.card_token, zeb.token, session.token_sha256):
        assert secret not in answer.text


def test_the_page_gives_the_same_as_a_file(shop: Shop, zeb: Program) -> None:
    person = browser_of(shop, zeb)
    assert 'href="/account/export"' in person.get("/account").text
    answer = person.get("/account/export")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="my-shop-data.json"'
    assert answer.headers["Cache-Control"] == "no-store"
    call = zeb.call("GET", "/me/export").json
    assert call is not None
    assert untimed(json.loads(answer.text)) == untimed(call)
    assert shop.person().get("/account/export").headers["Location"] == "/log-in"


def untimed(data: dict[str, Any]) -> dict[str, Any]:
    """Without what changes while one looks at it: the moment, and how long goods are held yet."""
    for line in data["cart"]["lines"]:
        assert line.pop("hold_seconds_left") > 0
    return data | {"made_at": ""}


def test_an_export_has_all_orders_of_many_pages(shop: Shop) -> None:
    zeb = shop.program().sign_up().with_card()
    with shop.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO orders (customer_id, idempotency_key, month, total_minor, currency, strategy)"
            f" SELECT {zeb.id}, 'k' || n, 1, 1, 'GBP', 'x' FROM generate_series(1, 205) n"
        )
    data = zeb.call("GET", "/me/export").json
    assert data is not None
    numbers = [order["id"] for order in data["orders"]]
    assert len(numbers) == 205
    assert numbers == sorted(set(numbers), reverse=True)


@pytest.mark.parametrize("way", ["call", "page"])
def test_nothing_personal_is_left_of_who_has_gone(shop: Shop, zeb: Program, way: str) -> None:
    """Not in the account, its sessions, cart, orders, charges, stored answers, messages or counts of attempts."""
    wrong = {"email": zeb.email, "password": "wrong password"}
    assert zeb.call("POST", "/session", wrong).status_code == 401
    texts = [zeb.email, *names_of(zeb).values()]
    assert all(in_any_table(shop.engine, text) for text in texts), "the control"
    if way == "call":
        assert zeb.call("DELETE", "/me").status_code == 204
    else:
        answer = browser_of(shop, zeb).post("/account/delete", "/account", delete_password=PASSWORD)
        assert answer.headers["Location"] == "/?done=account-deleted"
        assert answer.headers["Set-Cookie"].startswith("session=;")
    assert not [table for text in texts for table in in_any_table(shop.engine, text)]
    for table in ("customer_session", "cart_line"):
        assert not rows(shop.engine, f"SELECT 1 FROM {table} WHERE customer_id = :c", c=zeb.id), table
    (account,) = rows(shop.engine, "SELECT * FROM customer WHERE id = :c", c=zeb.id)
    kept = {name: value for name, value in account._mapping.items() if value is not None}
    assert kept.keys() == {"id", "first_name", "last_name", "role", "created_at", "deleted_at"}
    (charge,) = rows(
        shop.engine, "SELECT charge.* FROM charge JOIN orders ON orders.id = order_id WHERE customer_id = :c", c=zeb.id
    )
    assert (charge.card_token, charge.card_brand, charge.card_last4) == ("", None, None)
    assert len(rows(shop.engine, "SELECT 1 FROM orders WHERE customer_id = :c", c=zeb.id)) == 1
    assert not discrepancies(shop.engine)


def test_goods_that_were_held_are_free_again(shop: Shop, zeb: Program) -> None:
    other = shop.program(1).sign_up()
    stock = shop.world.stock[1]

    def available() -> int:
        answer = other.call("GET", f"/products/{stock}").json
        assert answer is not None
        return int(answer["available"])

    before = available()
    assert zeb.call("DELETE", "/me").status_code == 204
    assert available() == before + 3


def test_the_address_is_free_for_a_new_account(shop: Shop, zeb: Program) -> None:
    assert zeb.call("DELETE", "/me").status_code == 204
    again = shop.program()
    again.email = zeb.email
    assert again.sign_up().id != zeb.id
    orders = again.call("GET", "/orders").json
    assert orders is not None
    assert orders["items"] == []


def test_a_wrong_password_deletes_nothing_and_says_so_beside_the_field(shop: Shop, zeb: Program) -> None:
    person = browser_of(shop, zeb)
    answer = person.post("/account/delete", "/account", delete_password="wrong password")
    assert answer.status_code == 422
    assert 'id="delete_password-error">Password: is not the password of this account.' in answer.text
    assert zeb.call("GET", "/me").status_code == 200


def test_a_form_keeps_what_was_typed_but_never_a_secret(shop: Shop, zeb: Program) -> None:
    person = browser_of(shop, zeb)
    secret = "a-secret-that-is-wrong"
    changed = person.post("/account/email", "/account", email="not an address", email_password=secret)
    card = person.post(
        "/account/card", "/account", number="4242424242424241", expiry="13/30", holder="Zeb", security_code="987"
    )
    password = person.post("/account/password", "/account", current_password=secret, password="password123")
    for answer, kept in ((changed, 'value="not an address"'), (card, 'value="13/30"'), (password, "New password")):
        assert answer.status_code == 422
        assert kept in answer.text
        assert 'role="alert"' in answer.text
        for hidden in (secret, "4242424242424241", 'value="987"', "password123"):
            assert hidden not in answer.text
    assert field_value(password.text, "form_token")
    taken = shop.program().sign_up().email
    refused = person.post("/account/email", "/account", email=taken, email_password=PASSWORD)
    assert refused.status_code == 409
    assert "There is an account with this e-mail address already." in refused.text
