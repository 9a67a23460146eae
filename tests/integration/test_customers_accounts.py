"""Accounts and sessions through the API on a real database: opened once, ended everywhere, guessed slowly."""

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, event, text
from sqlalchemy.engine import ExceptionContext

from customers.instance import instance_of
from distributor.database import transaction
from tests.customers_world import CARD_NUMBER, PASSWORD, Program, make_app, make_runtime
from tests.distributor_world import World, order_count, rows

PROBLEM = "application/problem+json"


@pytest.fixture
def ada(app: Flask, world: World) -> Program:
    return Program(app.test_client()).sign_up().with_card()


@pytest.fixture
def eve(app: Flask, world: World) -> Program:
    return Program(app.test_client()).sign_up().with_card()


def test_an_account_is_opened_once(app: Flask, world: World) -> None:
    program = Program(app.test_client())
    body = {"email": " Ada@Example.org", "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace"}
    answer = program.call("POST", "/customers", body)
    assert answer.status_code == 201
    assert answer.json is not None
    assert {**answer.json, "id": 0} == {
        "id": 0,
        "email": "Ada@Example.org",
        "first_name": "Ada",
        "last_name": "Lovelace",
    }
    again = program.call("POST", "/customers", body | {"email": "ADA@example.org"})
    assert (again.status_code, again.content_type) == (409, PROBLEM)
    session = program.call("POST", "/session", {"email": body["email"], "password": PASSWORD}).json or {}
    assert session["expires_at"].endswith("Z"), "as all times of the API"


def test_every_wrong_field_of_an_account_is_named(app: Flask, world: World) -> None:
    body = {"email": "ada", "password": "short", "first_name": " ", "last_name": "a\x00"}
    answer = Program(app.test_client()).call("POST", "/customers", body)
    assert answer.status_code == 422
    assert answer.json is not None
    assert [error["field"] for error in answer.json["errors"]] == ["email", "password", "first_name", "last_name"]
    assert "short" not in answer.text


def test_a_session_is_ended_for_every_instance(database_url: str, tmp_path: Path, ada: Program) -> None:
    """P6."""
    other = Program(make_app(make_runtime(tmp_path, database_url), "web-2").test_client())
    other.token = ada.token
    answer = other.call("GET", "/me")
    assert (answer.status_code, answer.headers["X-Served-By"]) == (200, "web-2")
    assert ada.call("DELETE", "/session").status_code == 204
    for program in (ada, other):
        refused = program.call("GET", "/me")
        assert (refused.status_code, refused.content_type) == (401, PROBLEM)
        assert refused.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 5_000, "\u00e9" * 43, "../../etc/passwd"])
def test_what_is_no_session_is_a_guest(app: Flask, world: World, token: str) -> None:
    program = Program(app.test_client())
    header = f"Bearer {token}".encode().decode("latin-1")
    assert program.call("GET", "/me", Authorization=header).status_code == 401


def test_a_cookie_does_not_sign_in_to_the_api(ada: Program) -> None:
    """N1."""
    ada.client.set_cookie("session", ada.token)
    assert ada.client.get("/api/v1/me").status_code == 401


def test_an_expired_session_is_over(ada: Program, engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("UPDATE customer_session SET expires_at = now()"))
    assert ada.call("GET", "/me").status_code == 401


def test_wrong_password_and_unknown_account_sound_the_same(ada: Program) -> None:
    answers = [
        ada.call("POST", "/session", {"email": email, "password": "wrong password"})
        for email in (ada.email, "nobody@example.org", "no address", "x" * 2_000)
    ]
    bodies = [{**(answer.json or {}), "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [401] * 4
    assert bodies == [bodies[0]] * 4


def test_guessing_is_slowed_down_and_says_how_long(database_url: str, tmp_path: Path, world: World) -> None:
    """H1, H3."""
    runtime = make_runtime(tmp_path, database_url, customers={"login_failures_max": 3, "login_window_seconds": 30.0})
    one, two = (Program(make_app(runtime, name).test_client()) for name in ("web-1", "web-2"))
    one.sign_up()
    wrong = {"email": one.email.upper(), "password": "wrong password"}
    assert [program.call("POST", "/session", wrong).status_code for program in (one, two, one)] == [401] * 3
    refused = two.call("POST", "/session", {"email": one.email, "password": PASSWORD})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    other = Program(one.client).sign_up()
    assert other.call("GET", "/me").status_code == 200


@pytest.mark.parametrize("field", ["password", "email"])
def test_a_stolen_session_cannot_guess_the_password(
    database_url: str, tmp_path: Path, world: World, field: str
) -> None:
    """The current password is guessed as slowly as the one of the sign-in; who guesses it keeps nobody from signing in (H5)."""
    runtime = make_runtime(tmp_path, database_url, customers={"login_failures_max": 3})
    ada = Program(make_app(runtime).test_client()).sign_up()
    change = {field: "another password" if field == "password" else "other@example.org"}
    wrong = [ada.call("PATCH", "/me", change | {"current_password": f"guess {n}"}) for n in range(4)]
    assert [answer.status_code for answer in wrong] == [403, 403, 403, 429]
    assert int(wrong[3].headers["Retry-After"]) >= 1
    assert ada.call("PATCH", "/me", change | {"current_password": PASSWORD}).status_code == 429
    assert ada.call("POST", "/session", {"email": ada.email, "password": PASSWORD}).status_code == 200
    assert ada.call("PATCH", "/me", {"first_name": "Augusta"}).status_code == 200


def test_guessing_from_outside_does_not_keep_the_owner_from_a_new_password(
    database_url: str, tmp_path: Path, world: World
) -> None:
    """H5: whoever is signed in is counted apart."""
    runtime = make_runtime(tmp_path, database_url, customers={"login_failures_max": 3})
    app = make_app(runtime)
    ada, eve = Program(app.test_client()).sign_up(), Program(app.test_client())
    guesses = [eve.call("POST", "/session", {"email": ada.email, "password": f"guess {n}"}) for n in range(4)]
    assert [answer.status_code for answer in guesses] == [401, 401, 401, 429]
    change = {"password": "another password", "current_password": PASSWORD}
    assert ada.call("PATCH", "/me", change).status_code == 200
    again = eve.call("POST", "/session", {"email": ada.email, "password": "another password"})
    assert again.status_code == 429, "which does not end the guesser's count"


def test_the_right_current_password_ends_the_count(database_url: str, tmp_path: Path, world: World) -> None:
    runtime = make_runtime(tmp_path, database_url, customers={"login_failures_max": 3})
    ada = Program(make_app(runtime).test_client()).sign_up()
    for _ in range(4):
        change = {"password": PASSWORD, "current_password": PASSWORD}
        assert ada.call("PATCH", "/me", change).status_code == 200
        assert ada.call("PATCH", "/me", change | {"current_password": "wrong"}).status_code == 403


def test_the_right_password_ends_the_count(database_url: str, tmp_path: Path, world: World) -> None:
    runtime = make_runtime(tmp_path, database_url, customers={"login_failures_max": 3})
    program = Program(make_app(runtime).test_client()).sign_up()
    for _ in range(3):
        wrong = {"email": program.email, "password": "wrong password"}
        assert [program.call("POST", "/session", wrong).status_code for _ in range(2)] == [401, 401]
        program.sign_in()


def test_the_account_can_be_seen_changed_and_deleted(ada: Program, engine: Engine, world: World) -> None:
    order = ada.order([(world.stock[0], 1)])
    assert order.status_code == 201
    me = ada.call("GET", "/me").json
    assert me is not None
    assert me["card"] == {"brand": "Visa", "last4": "4242", "expiry": "12/39"}
    changed = ada.call("PATCH", "/me", {"first_name": "Augusta"})
    assert changed.json == me | {"first_name": "Augusta"}
    assert ada.call("DELETE", "/me").status_code == 204
    assert ada.call("GET", "/me").status_code == 401
    (row,) = rows(engine, "SELECT * FROM customer")
    assert (row.email, row.email_canonical, row.password_hash, row.card_last4) == (None, None, None, None)
    assert "Ada" not in str(row)
    assert "Lovelace" not in str(row)
    assert order_count(engine) == 1


def test_a_new_password_ends_the_other_sessions(ada: Program) -> None:
    other = Program(ada.client)
    other.email = ada.email
    other.sign_in()
    assert ada.call("PATCH", "/me", {"password": "a longer password"}).status_code == 422
    wrong = ada.call("PATCH", "/me", {"password": "a longer password", "current_password": "wrong password"})
    assert wrong.status_code == 403
    right = ada.call("PATCH", "/me", {"password": "a longer password", "current_password": PASSWORD})
    assert right.status_code == 200
    assert ada.call("GET", "/me").status_code == 200
    assert other.call("GET", "/me").status_code == 401


def test_an_address_cannot_be_changed_to_anothers(ada: Program, eve: Program, app: Flask) -> None:
    """And no statement fails for it: PostgreSQL would write the other one's address into its log."""
    failed: list[ExceptionContext] = []
    engine = instance_of(app).engine
    note = failed.append  # one object, by which it is taken away again
    event.listen(engine, "handle_error", note)
    change = {"email": eve.email.upper(), "current_password": PASSWORD}
    assert ada.call("PATCH", "/me", change).status_code == 409
    body = {"email": eve.email, "password": PASSWORD, "first_name": "A", "last_name": "B"}
    assert ada.call("POST", "/customers", body).status_code == 409
    event.remove(engine, "handle_error", note)
    assert not failed


def test_the_card_number_is_nowhere(
    ada: Program, engine: Engine, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """K1: not in the database, not in the log, not in an answer."""
    caplog.set_level("DEBUG")
    answers = [
        ada.call("PUT", "/me/card", {"number": CARD_NUMBER, "expiry": "01/20", "holder": "x", "security_code": "987"}),
        ada.call("PUT", "/me/card", {"number": CARD_NUMBER[:-1] + "3", "expiry": "12/39", "holder": "x"}),
        ada.call("PUT", "/me/card", {"number": int(CARD_NUMBER), "expiry": "12/39", "holder": "x"}),
        ada.call("PUT", "/me/card", {"nummer": CARD_NUMBER, "expiry": "12/39", "holder": "x"}),
        ada.call(
            "PUT", "/me/card", {"number": CARD_NUMBER, "expiry": "12/39", "holder": "Ada", "security_code": "987"}
        ),
    ]
    assert [answer.status_code for answer in answers] == [422, 422, 422, 422, 200]
    written = "".join(answer.text for answer in answers) + caplog.text
    for (name,) in rows(engine, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        written += "".join(str(tuple(row)) for row in rows(engine, f'SELECT * FROM "{name}"'))
    assert CARD_NUMBER[:12] not in written
    assert CARD_NUMBER[4:] not in written
    assert PASSWORD not in written
    assert ada.token not in caplog.text
