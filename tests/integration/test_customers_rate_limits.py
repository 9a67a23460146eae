"""Rate limits through two instances: what is counted together, what each counts for itself, what answers say of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from customers.accounts import store, throttle
from customers.errors import Overloaded, TooManyAttempts, WrongCredentials
from customers.instance import instance_of
from customers.rate_limits import Limited
from customers.rate_limits.requests import LIMIT_OF_VIEW
from distributor.database import transaction
from tests.conftest import Server, fresh_database
from tests.customers_world import CARD, CARD_NUMBER, PASSWORD, Person, Program, Shop, field_value, new_email, open_shop
from tests.distributor_world import rows

LIMITS = {
    "customer_orders_per_minute": 2,
    "customer_card_changes_per_minute": 3,
    "customer_account_changes_per_minute": 4,
    "customer_exports_per_minute": 2,
    "address_taken_sign_ups_per_minute": 3,
}


@pytest.fixture(scope="module")
def shop(postgres_server: Server, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with (
        fresh_database(postgres_server, template_database) as url,
        open_shop(url, tmp_path_factory.mktemp("shop"), [50, 40], rate_limits=LIMITS) as shop,
    ):
        yield shop


@pytest.fixture
def ada(shop: Shop) -> Program:
    return shop.program().sign_up()


def elsewhere(shop: Shop, known: Program) -> Program:
    program = shop.program(1)
    program.token, program.email = known.token, known.email
    return program


def sign_up_from(app: Flask, address: str, email: str) -> Any:
    body = {"email": email, "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace"}
    return app.test_client().post("/api/v1/customers", json=body, headers={"X-Forwarded-For": address})


CART = "one row of the customer's own cart, which has cart.lines_max rows at most"
HOLD = "one row that exists already; cart.hold_extensions_max and the limits of holds bound it"
ENDS = "deletes the one row that let the request in: the next one is a guest's"
WITHOUT_LIMIT = {
    "api.put_in_cart": CART, "pages.set_quantity": CART, "pages.add_to_cart": CART, "pages.swap_line": CART,
    "api.take_out_of_cart": CART, "pages.remove_line": CART, "pages.fit_cart": CART,
    "api.hold_again": HOLD, "pages.hold_line": HOLD,
    "api.delete_session": ENDS, "pages.log_out": ENDS,
    "api.finish": "one row a month, written once", "pages.finish_month": "one row a month, written once",
}  # fmt: skip


def test_whatever_changes_something_has_a_limit_or_a_reason(shop: Shop) -> None:
    """A new form or call is in one of the two lists, and in one only."""
    changing = {
        rule.endpoint
        for rule in shop.apps[0].url_map.iter_rules()
        if (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    assert changing <= LIMIT_OF_VIEW.keys() | WITHOUT_LIMIT.keys()
    assert WITHOUT_LIMIT.keys() <= changing - LIMIT_OF_VIEW.keys()


def test_every_limited_view_is_there(shop: Shop) -> None:
    """A view that is renamed must not lose its limit unnoticed."""
    assert LIMIT_OF_VIEW.keys() <= shop.apps[0].view_functions.keys()
    assert set(LIMIT_OF_VIEW.values()) == set(Limited) - {Limited.TAKEN_SIGN_UPS}, "which is counted where it turns out"


def test_changes_of_a_card_are_counted_by_all_instances_together(shop: Shop, ada: Program) -> None:
    other = elsewhere(shop, ada)
    answers = [program.call("PUT", "/me/card", CARD) for program in (ada, other, ada)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.headers["RateLimit"].partition(";t=")[0] for answer in answers] == [
        f'"card-changes";r={left}' for left in (2, 1, 0)
    ]
    assert answers[0].headers["RateLimit-Policy"] == '"card-changes";q=3;w=60'
    for program in (ada, other):
        refused = program.call("PUT", "/me/card", CARD)
        assert (refused.status_code, refused.content_type) == (429, "application/problem+json")
        assert 1 <= int(refused.headers["Retry-After"]) <= 20
        assert refused.headers["RateLimit"].startswith('"card-changes";r=0;t=')
        assert refused.json is not None
        assert refused.headers["Retry-After"] in refused.json["detail"]
    assert program.call("GET", "/me").status_code == 200


def test_the_page_and_the_call_use_up_one_quota(shop: Shop, ada: Program) -> None:
    """R1; and a form that is not the shop's own uses up nothing (R2)."""
    person = shop.person(1)
    person.client.set_cookie("session", ada.token)
    for _ in range(5):
        assert person.client.post("/account/card", data=CARD).status_code == 403
    for _ in range(2):
        assert person.post("/account/card", "/account", **CARD).status_code == 303
    assert ada.call("PUT", "/me/card", CARD).status_code == 200
    refused = person.post("/account/card", "/account", **CARD)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert "too often" in refused.text
    assert CARD_NUMBER not in refused.text


def test_a_purchase_that_brings_a_new_card_uses_up_the_quota_of_cards(shop: Shop, ada: Program) -> None:
    """Else the checkout would try cards without end; nothing is bought by the refused request."""
    person = shop.person()
    person.client.set_cookie("session", ada.token)
    assert ada.call("PUT", f"/cart/{shop.world.stock[0]}", {"quantity": 1}).status_code == 200
    for _ in range(3):
        assert ada.call("PUT", "/me/card", CARD).status_code == 200
    page = person.get("/checkout").text
    fields = {name: field_value(page, name) for name in ("form_token", "key", "cart", "after")}
    refused = person.client.post("/checkout", data=fields | CARD | {"pay": "new"})
    assert refused.status_code == 429
    assert '"card-changes";r=0' in refused.headers["RateLimit"]
    assert not rows(shop.engine, "SELECT 1 FROM orders WHERE customer_id = :c", c=ada.id)
    assert "See which card is chosen before you buy" in refused.text
    assert 'value="saved"' not in refused.text, "B6: no button to go on with the card that was to be replaced"
    assert person.client.post("/checkout", data=fields | {"pay": "saved"}).status_code == 303, "the control"


def test_orders_are_counted_by_each_instance_and_others_are_not_held_up(shop: Shop, ada: Program) -> None:
    """C3: the page of decision 17 says so."""
    ada.with_card()
    eve = shop.program().sign_up().with_card()
    stock = shop.world.stock[0]
    assert [ada.order([(stock, 1)]).status_code for _ in range(3)] == [201, 201, 429]
    assert elsewhere(shop, ada).order([(stock, 1)]).status_code == 201
    assert eve.order([(stock, 1)]).status_code == 201
    assert len(rows(shop.engine, "SELECT 1 FROM orders WHERE customer_id = :c", c=ada.id)) == 3


def test_a_refused_order_can_be_sent_again_with_its_key(shop: Shop, ada: Program) -> None:
    """P3: 429 is not an answer to the key."""
    ada.with_card()
    stock = shop.world.stock[1]
    assert [ada.order([(stock, 1)], key=f"k{number}").status_code for number in range(3)] == [201, 201, 429]
    assert elsewhere(shop, ada).order([(stock, 1)], key="k2").status_code == 201


def test_exports_and_changes_of_the_account_are_limited(shop: Shop, ada: Program) -> None:
    assert [ada.call("GET", "/me/export").status_code for _ in range(3)] == [200, 200, 429]
    change = {"first_name": "Augusta"}
    assert [ada.call("PATCH", "/me", change).status_code for _ in range(5)] == [200] * 4 + [429]
    assert ada.call("DELETE", "/me").status_code == 429


def test_asking_sign_up_who_is_here_is_limited_by_address(shop: Shop, ada: Program) -> None:
    """V2: the contract's 409 tells, so an address hears it rarely. Sign-ups of others go on."""
    sender = "198.51.100.7"
    asked = [sign_up_from(shop.apps[number % 2], sender, ada.email).status_code for number in range(5)]
    assert asked == [409, 409, 409, 429, 429]
    assert sign_up_from(shop.apps[0], "198.51.100.8", new_email()).status_code == 201
    assert sign_up_from(shop.apps[0], sender, new_email()).status_code == 429


def test_a_change_of_address_tells_as_little(shop: Shop, ada: Program) -> None:
    eve = shop.program().sign_up()
    change = {"email": ada.email, "current_password": PASSWORD}
    headers = {"X_Forwarded_For": "198.51.100.9"}
    assert [eve.call("PATCH", "/me", change, **headers).status_code for _ in range(4)] == [409, 409, 409, 429]


def test_nothing_limits_reading(shop: Shop, ada: Program) -> None:
    for _ in range(30):
        assert ada.call("GET", "/products").status_code == 200
    assert "RateLimit" not in ada.call("GET", "/me").headers


def test_too_many_wrong_passwords_say_so_in_headers_and_on_the_page(shop: Shop, ada: Program) -> None:
    wrong = {"email": ada.email, "password": "wrong password"}
    for _ in range(10):
        assert ada.call("POST", "/session", wrong).status_code == 401
    refused = ada.call("POST", "/session", wrong)
    seconds = refused.headers["Retry-After"]
    assert refused.status_code == 429
    assert f'"wrong-passwords";r=0;t={seconds}' in refused.headers["RateLimit"]
    assert '"wrong-passwords";q=10;w=60' in refused.headers["RateLimit-Policy"]
    person = shop.person(1)
    token = field_value(person.get("/log-in").text, "form_token")
    page = person.client.post("/log-in", data={"form_token": token, "email": ada.email, "password": PASSWORD})
    assert page.status_code == 429
    assert f"Wait {page.headers['Retry-After']} seconds, then try again." in page.text
    assert f'value="{ada.email}"' in page.text


def log_in(person: Person, email: str, password: str) -> int:
    token = field_value(person.get("/log-in").text, "form_token")
    fields = {"form_token": token, "email": email, "password": password, "next": "/"}
    return person.client.post("/log-in", data=fields).status_code


def test_who_guesses_elsewhere_does_not_keep_the_owner_out(shop: Shop, ada: Program) -> None:
    """H5, D1, D2: the owner's browser is known, others are not; and it has no more guesses than anybody."""
    owner, stranger = shop.person(), shop.person(1)
    assert log_in(owner, ada.email.upper(), PASSWORD) == 303
    wrong = {"email": ada.email, "password": "wrong password"}
    assert [shop.program(1).call("POST", "/session", wrong).status_code for _ in range(11)] == [401] * 10 + [429]
    assert log_in(stranger, ada.email, PASSWORD) == 429, "the control"
    owner.client.delete_cookie("session")
    assert [log_in(owner, ada.email, "wrong password") for _ in range(9)] == [401] * 9
    assert log_in(owner, ada.email, PASSWORD) == 303
    owner.client.delete_cookie("session")
    assert [log_in(owner, ada.email, "wrong password") for _ in range(11)] == [401] * 10 + [429]
    assert log_in(stranger, ada.email, PASSWORD) == 429, "the right password elsewhere does not end the guesser's count"


def test_an_address_has_ten_times_an_accounts_failures_and_no_more(shop: Shop) -> None:
    """H2: one password tried on many accounts is as limited as many passwords tried on one."""

    def attempt(number: int, address: str) -> None:
        account = throttle.account_subject(f"{number}@example.org")
        with transaction(shop.engine) as connection:
            asked = store.asking_for_credentials("nobody@example.org")
            throttle.begin_attempt(connection, account, throttle.address_subject(address), 1, 60.0, asked=asked)
        with transaction(shop.engine) as connection:
            throttle.note_failure(connection, throttle.address_subject(address), 60.0)

    for number in range(throttle.ADDRESS_FACTOR):
        attempt(number, f"2001:db8:1:2::{number}")  # of one household
    with pytest.raises(TooManyAttempts):
        attempt(throttle.ADDRESS_FACTOR, "2001:db8:1:2:ffff::1")
    attempt(throttle.ADDRESS_FACTOR, "2001:db8:1:3::1")


def test_counting_an_attempt_waits_for_no_disk_and_nothing_else_is_written_so(shop: Shop) -> None:
    """H4: another instance sees it all the same, and the next purchase on this connection does wait."""
    setting = text("SELECT pg_backend_pid(), current_setting('synchronous_commit')")
    subjects = throttle.account_subject("disk@example.org"), throttle.address_subject("2001:db8:4::1")
    asked = store.asking_for_credentials("disk@example.org")
    with transaction(shop.engine) as connection:
        throttle.begin_attempt(connection, *subjects, 1, 60.0, asked=asked)
        backend, counting = connection.execute(setting).one()
    with pytest.raises(TooManyAttempts), transaction(instance_of(shop.apps[1]).engine) as connection:
        throttle.begin_attempt(connection, *subjects, 1, 60.0, asked=asked)
    with transaction(shop.engine) as connection:
        assert (counting, *connection.execute(setting).one()) == ("off", backend, "on")


def test_who_is_turned_away_by_a_flood_is_not_taken_for_a_guesser(
    shop: Shop, ada: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H1: nobody looked at these passwords; those that were looked at count on."""

    def overloaded(*_: object) -> bool:
        raise Overloaded

    wrong = {"email": ada.email, "password": "wrong password"}
    assert [ada.call("POST", "/session", wrong).status_code for _ in range(9)] == [401] * 9
    monkeypatch.setattr(instance_of(shop.apps[0]).accounts._passwords, "matches", overloaded)
    for _ in range(3):
        assert ada.call("POST", "/session", wrong | {"password": PASSWORD}).status_code == 503
        change = {"email": "new@example.org", "current_password": PASSWORD}
        assert ada.call("PATCH", "/me", change).status_code == 503
    monkeypatch.undo()
    assert [ada.call("POST", "/session", wrong).status_code for _ in range(2)] == [401, 429]


def test_a_flood_keeps_nobody_out_whose_hash_is_of_older_costs(
    shop: Shop, ada: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is right: the new hash can wait for the next sign-in."""

    def overloaded(*_: object) -> str:
        raise Overloaded

    passwords = instance_of(shop.apps[0]).accounts._passwords
    monkeypatch.setattr(passwords, "is_outdated", lambda _hash: True)
    monkeypatch.setattr(passwords, "hash", overloaded)
    assert ada.call("POST", "/session", {"email": ada.email, "password": PASSWORD}).status_code == 200


def test_a_sign_up_whose_log_in_is_turned_away_keeps_what_was_typed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leads into the account when it is sent again."""

    def overloaded(*_: object) -> bool:
        raise Overloaded

    person, email = shop.person(), new_email()
    token = field_value(person.get("/sign-up").text, "form_token")
    form = {
        "form_token": token,
        "email": email,
        "first_name": "Ada",
        "last_name": "L",
        "password": PASSWORD,
        "next": "/",
    }
    with monkeypatch.context() as flood:
        flood.setattr(instance_of(shop.apps[0]).accounts._passwords, "matches", overloaded)
        turned_away = [
            person.client.post("/sign-up", data=form) for _ in range(2)
        ]  # the account is there at the second
    for answer in turned_away:
        assert answer.status_code == 503
        assert f'value="{email}"' in answer.text
        assert PASSWORD not in answer.text
    assert person.client.post("/sign-up", data=form).status_code == 303


def test_a_mark_is_worth_nothing_for_another_account(shop: Shop, ada: Program) -> None:
    """D1: nor does a guest get one, nor is one that was changed taken."""
    eve = shop.person()
    assert log_in(eve, ada.email, "wrong password") == 401
    assert eve.client.get_cookie("device") is None
    mallory = shop.program().sign_up()
    assert log_in(eve, mallory.email, PASSWORD) == 303
    mark = eve.client.get_cookie("device")
    assert mark is not None
    eve.client.delete_cookie("session")
    assert [log_in(eve, ada.email, "wrong password") for _ in range(10)] == [401] * 9 + [429]
    for forged in (mark.value[:-1], mark.value[::-1], mark.value.replace(".", "", 1), "x" + mark.value[1:], ""):
        eve.client.set_cookie("device", forged)
        assert log_in(eve, ada.email, PASSWORD) == 429, forged


def test_unknown_accounts_and_wrong_passwords_cost_the_same_work(
    shop: Shop, ada: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W2, V2: one hash is verified whatever was sent; and what is no address is nobody's account, apart from the others."""
    accounts = instance_of(shop.apps[0]).accounts
    verified: list[str] = []
    hasher = accounts._passwords._hasher
    monkeypatch.setattr(accounts._passwords, "_hasher", CountingHasher(hasher, verified))
    for email in (ada.email, "nobody@example.org", "no address", "", "x" * 1_900, "\x00@example.org", "\ud800"):
        verified.clear()
        with pytest.raises(WrongCredentials) as caught:
            accounts.sign_in(email, "wrong password", "203.0.113.5")
        assert len(verified) == 1, email
        assert str(caught.value) == str(WrongCredentials())


class CountingHasher:
    """The hasher itself, with a list of what it was asked to verify."""

    def __init__(self, hasher: Any, verified: list[str]) -> None:
        self._hasher, self._verified = hasher, verified

    def verify(self, known: str, text: str) -> bool:
        self._verified.append(known)
        return bool(self._hasher.verify(known, text))


def test_the_tables_of_counts_stay_small(shop: Shop, ada: Program) -> None:
    """C2: subjects that never come again leave nothing behind."""
    with shop.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO rate_limit SELECT 'old-' || n, now() - interval '1 hour' FROM generate_series(1, 6) n"
        )
        connection.exec_driver_sql(
            "INSERT INTO login_failure (id, subject, at)"
            " SELECT -n, 'old', now() - interval '1 hour' FROM generate_series(1, 6) n"
        )
    for _ in range(3):
        program = shop.program().sign_up()
        program.with_card()
    assert not rows(shop.engine, "SELECT 1 FROM rate_limit WHERE subject LIKE 'old-%'")
    assert not rows(shop.engine, "SELECT 1 FROM login_failure WHERE subject = 'old'")
