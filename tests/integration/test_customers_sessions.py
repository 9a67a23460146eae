"""Sessions on two instances and one database: how long they last, who ends them, how they are shown."""

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

import main
from customers.accounts import Accounts, Changes, Customer, sessions
from customers.accounts.cards import CardEntry
from customers.errors import NotSignedIn
from customers.instance import instance_of
from distributor.database import transaction
from distributor.errors import DatabaseUnavailable
from tests.conftest import PATIENCE_SECONDS, Server, fresh_database, wait_until
from tests.customers_world import PASSWORD, Person, Program, Shop, field_value, open_shop
from tests.distributor_world import rows

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
IDLE_MINUTES = 10


@pytest.fixture(scope="module")
def shop(postgres_server: Server, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    settings = {"session_idle_minutes": IDLE_MINUTES}
    with (
        fresh_database(postgres_server, template_database) as url,
        open_shop(url, tmp_path_factory.mktemp("shop"), customers=settings) as shop,
    ):
        yield shop


@pytest.fixture
def ada(shop: Shop) -> Program:
    return shop.program().sign_up()


def again(shop: Shop, known: Program, instance: int = 0) -> Program:
    """Another session of the same customer."""
    program = shop.program(instance)
    program.email = known.email
    return program.sign_in()


def elsewhere(shop: Shop, known: Program) -> Program:
    """The same session, asked on the other instance."""
    program = shop.program(1)
    program.token = known.token
    return program


def move_back(shop: Shop, known: Program, column: str, minutes: float) -> None:
    """As if that much time had passed since."""
    with transaction(shop.engine) as connection:
        connection.execute(
            text(f"UPDATE customer_session SET {column} = {column} - :m * interval '1 minute' WHERE token_sha256 = :t"),
            {"m": minutes, "t": sessions.token_sha256(known.token)},
        )


def seen_seconds_ago(shop: Shop, known: Program) -> float:
    statement = "SELECT extract(epoch FROM now() - seen_at) AS s FROM customer_session WHERE token_sha256 = :t"
    return float(rows(shop.engine, statement, t=sessions.token_sha256(known.token))[0].s)


def status(program: Program) -> int:
    return program.call("GET", "/me").status_code


def test_a_session_ends_after_its_idle_time_and_not_before(shop: Shop, ada: Program) -> None:
    """S2."""
    move_back(shop, ada, "seen_at", IDLE_MINUTES - 1)
    assert status(ada) == 200
    move_back(shop, ada, "seen_at", IDLE_MINUTES - 1)
    assert status(elsewhere(shop, ada)) == 200, "its use was noted"
    move_back(shop, ada, "seen_at", IDLE_MINUTES + 0.1)
    assert (status(ada), status(elsewhere(shop, ada))) == (401, 401)


def test_a_session_ends_after_its_absolute_time_however_much_it_is_used(shop: Shop, ada: Program) -> None:
    """S2."""
    move_back(shop, ada, "expires_at", 12 * 60 - 1)
    assert status(ada) == 200
    move_back(shop, ada, "expires_at", 1)
    assert status(ada) == 401


def test_use_is_noted_at_most_once_a_minute(shop: Shop, ada: Program) -> None:
    """S4: the row's version number in PostgreSQL stays the same."""
    statement = "SELECT xmin::text AS version FROM customer_session WHERE token_sha256 = :t"

    def version() -> str:
        return str(rows(shop.engine, statement, t=sessions.token_sha256(ada.token))[0].version)

    before = version()
    assert [status(ada) for _ in range(5)] == [200] * 5
    assert version() == before
    move_back(shop, ada, "seen_at", 1.1)
    moved = version()
    assert [status(ada) for _ in range(5)] == [200] * 5
    assert version() != moved
    assert seen_seconds_ago(shop, ada) < 30


def test_noting_waits_for_nobody(shop: Shop, ada: Program, caplog: pytest.LogCaptureFixture) -> None:
    """S4: while another transaction holds the row, the request is answered and the note left out."""
    move_back(shop, ada, "seen_at", 5)
    with shop.engine.connect() as holder:
        holder.execute(
            text("SELECT 1 FROM customer_session WHERE token_sha256 = :t FOR UPDATE"),
            {"t": sessions.token_sha256(ada.token)},
        )
        assert status(ada) == 200
        holder.rollback()
    assert seen_seconds_ago(shop, ada) > 200
    assert "could not be noted" not in caplog.text, "it waited until its patience was over"


def test_a_note_that_cannot_be_written_refuses_nobody(
    shop: Shop, ada: Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read_only(*_: object) -> None:
        raise DatabaseUnavailable

    move_back(shop, ada, "seen_at", 5)
    monkeypatch.setattr(sessions, "note_use", read_only)
    assert status(ada) == 200
    assert "could not be noted" in caplog.text


@pytest.mark.parametrize("what", ["logout", "password", "email", "deletion", "others"])
def test_what_ends_sessions_ends_them_on_the_other_instance_too(shop: Shop, ada: Program, what: str) -> None:
    """P6, V1: at once, for each request looks at the row."""
    other = again(shop, ada, instance=1)
    assert (status(ada), status(other)) == (200, 200)
    change = {"current_password": PASSWORD}
    if what == "logout":
        assert other.call("DELETE", "/session").status_code == 204
    elif what == "password":
        assert ada.call("PATCH", "/me", change | {"password": "another good one"}).status_code == 200
    elif what == "email":
        assert ada.call("PATCH", "/me", change | {"email": "new." + ada.email}).status_code == 200
    elif what == "deletion":
        assert ada.call("DELETE", "/me").status_code == 204
    else:
        person = signed_in(shop, ada)
        assert person.post("/account/sessions/end-others", "/account").status_code == 303
    other_on_first = shop.program(0)
    other_on_first.token = other.token
    assert (status(other), status(other_on_first)) == (401, 401)
    assert status(ada) == {"deletion": 401, "others": 401}.get(what, 200)


def test_a_change_of_name_ends_no_session(shop: Shop, ada: Program) -> None:
    other = again(shop, ada)
    assert ada.call("PATCH", "/me", {"first_name": "Augusta"}).status_code == 200
    assert status(other) == 200


def signed_in(shop: Shop, known: Program, user_agent: str = FIREFOX) -> Person:
    person = shop.person()
    page = person.get("/log-in").text
    fields = {"form_token": field_value(page, "form_token"), "email": known.email, "password": PASSWORD, "next": "/"}
    answer = person.client.post("/log-in", data=fields, headers={"User-Agent": user_agent})
    assert answer.status_code == 303
    return person


def test_the_account_page_lists_the_living_sessions(shop: Shop, ada: Program) -> None:
    person = signed_in(shop, ada)
    move_back(shop, ada, "seen_at", IDLE_MINUTES + 1)
    page = person.get("/account").text
    assert "Firefox on Linux" in page
    assert "You are logged in nowhere else." in page
    again(shop, ada)
    page = person.get("/account").text
    assert "A program, or a browser that does not say what it is" in page
    assert page.index("this one") < page.index("A program")
    done = person.post("/account/sessions/end-others", "/account")
    assert done.headers["Location"] == "/account?done=others-logged-out"
    assert "You are logged in nowhere else." in person.get("/account").text


def test_each_other_session_can_be_ended_by_itself(shop: Shop, ada: Program) -> None:
    """S6: the one that is named and no other, of this account and no other; twice is as good as once."""
    phone, laptop, stranger = signed_in(shop, ada), signed_in(shop, ada), shop.person()
    stranger.sign_up()

    def handles() -> list[str]:
        return re.findall(r'name="session" value="([0-9a-f]{32})"', phone.get("/account").text)

    before = handles()
    assert len(before) == 2, "the program's and the laptop's; not the one that looks"
    this_one = re.findall(r'name="session" value="([0-9a-f]{32})"', laptop.get("/account").text)
    (phones,) = set(this_one) - set(before)
    for person, handle in ((stranger, before[0]), (phone, phones), (phone, "0" * 32), (phone, "'; --")):
        answer = person.post("/account/sessions/end", "/account", session=handle)
        assert answer.headers["Location"] == "/account?done=other-logged-out"
    assert handles() == before, "nothing of this ended one"
    for _again in range(2):
        assert phone.post("/account/sessions/end", "/account", session=before[0]).status_code == 303
        assert handles() == before[1:]
    gone = [status(ada) == 401, laptop.get("/account").status_code == 303]
    assert sorted(gone) == [False, True]


def test_signing_in_anew_ends_the_session_that_this_browser_had(shop: Shop, ada: Program) -> None:
    """S3 and ASVS 5.0 7.2.4: neither the old token nor one that was planted is worth anything afterwards."""
    person = signed_in(shop, ada)
    before = person.client.get_cookie("session")
    page = person.get("/account").text
    fields = {"form_token": field_value(page, "form_token"), "email": ada.email, "password": PASSWORD}
    assert person.client.post("/log-in", data=fields).status_code == 303
    after = person.client.get_cookie("session")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    old = shop.program()
    old.token = before.value
    assert status(old) == 401
    assert status(ada) == 200, "sessions elsewhere go on"


@pytest.mark.parametrize(
    "cookies",
    ["session={t}; session={t}", "session={t}; session=x", "session=x; session={t}", "session={cut}", "session={t}x",
     'session="{t}', "session={t}%00", "SESSION={t}", "__Host-session={t}"],
)  # fmt: skip
def test_a_doubled_or_damaged_cookie_is_a_guest(shop: Shop, ada: Program, cookies: str) -> None:
    """N2 of identity.py."""
    client = shop.apps[0].test_client(use_cookies=False)
    sent = cookies.format(t=ada.token, cut=ada.token[:-1])
    answer = client.get("/account", headers={"Cookie": sent})
    assert answer.status_code == 303
    assert client.get("/", headers={"Cookie": sent}).status_code == 200
    whole = client.get("/account", headers={"Cookie": f"session={ada.token}"})
    assert whole.status_code == 200, "the control: the same token, sent once and whole"


def test_an_account_has_a_bounded_number_of_sessions(shop: Shop, ada: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """S5."""
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 3)
    move_back(shop, ada, "seen_at", 5)
    others = [again(shop, ada) for _ in range(3)]
    assert status(ada) == 401
    assert [status(other) for other in others] == [200] * 3
    assert len(rows(shop.engine, "SELECT 1 FROM customer_session WHERE customer_id = :c", c=ada.id)) == 3


def test_a_password_change_and_a_sign_in_at_the_same_moment_leave_no_session_of_the_old_password(
    shop: Shop, ada: Program
) -> None:
    """V1: whoever is later sees what the other did; tried with many sign-ins around one change."""
    start = threading.Barrier(5)
    tokens: list[str] = []

    def sign_in(instance: int) -> None:
        program = shop.program(instance)
        start.wait(60)
        answer = program.call("POST", "/session", {"email": ada.email, "password": PASSWORD})
        if answer.status_code == 200 and answer.json:
            tokens.append(answer.json["token"])

    threads = [threading.Thread(target=sign_in, args=[number % 2]) for number in range(4)]
    for thread in threads:
        thread.start()
    start.wait(60)
    changed = ada.call("PATCH", "/me", {"password": "another good one", "current_password": PASSWORD})
    for thread in threads:
        thread.join(60)
    assert changed.status_code == 200
    for token in tokens:
        program = shop.program()
        program.token = token
        assert status(program) == 401


def test_a_password_that_is_changed_while_it_is_checked_signs_nobody_in(
    shop: Shop, ada: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V1: the old one was right when it was looked at, and is not any more when the session would begin."""
    accounts = instance_of(shop.apps[0]).accounts
    matches = accounts._passwords.matches

    def matches_then_changes(known: str | None, password: str) -> bool:
        right = bool(matches(known, password))
        monkeypatch.undo()
        change = {"password": "another good one", "current_password": PASSWORD}
        assert elsewhere(shop, ada).call("PATCH", "/me", change).status_code == 200
        return right

    monkeypatch.setattr(accounts._passwords, "matches", matches_then_changes)
    answer = shop.program().call("POST", "/session", {"email": ada.email, "password": PASSWORD})
    assert answer.status_code == 401
    assert len(rows(shop.engine, "SELECT 1 FROM customer_session WHERE customer_id = :c", c=ada.id)) == 1


CARD = CardEntry("4242424242424242", "12/39", "Ada Lovelace")
ACTS: dict[str, Callable[[Accounts, Customer], object]] = {
    "name": lambda accounts, me: accounts.change(me, Changes(first_name="Eve"), ""),
    "email": lambda accounts, me: accounts.change(me, Changes(email="eve@example.org", current_password=PASSWORD), ""),
    "password": lambda accounts, me: accounts.change(
        me, Changes(password="another good one", current_password=PASSWORD), ""
    ),
    "card": lambda accounts, me: accounts.put_card(me, CARD),
    "no card": lambda accounts, me: accounts.remove_card(me),
    "language": lambda accounts, me: accounts.choose_language(me, "pl"),
    "others": lambda accounts, me: accounts.sign_out_others(me),
    "deletion": lambda accounts, me: accounts.delete(me),
}


def let_in(accounts: Accounts, program: Program) -> Customer:
    """Whom the instance takes the program's request to come from, as long as it works on it."""
    found = accounts.customer_of_token(program.token)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("what", ACTS)
def test_a_request_on_its_way_when_its_session_ends_changes_nothing(shop: Shop, ada: Program, what: str) -> None:
    """S7, V3: the owner logs a stolen session out, on another instance, after the thief's request was let in."""
    accounts = instance_of(shop.apps[0]).accounts
    stolen = again(shop, ada)
    thief = let_in(accounts, stolen)
    owner = signed_in(shop, ada)
    assert owner.post("/account/sessions/end-others", "/account").status_code == 303
    before = rows(shop.engine, "SELECT * FROM customer WHERE id = :c", c=ada.id)
    with pytest.raises(NotSignedIn):
        ACTS[what](accounts, thief)
    assert rows(shop.engine, "SELECT * FROM customer WHERE id = :c", c=ada.id) == before
    assert owner.get("/account").status_code == 200


def test_of_two_changes_at_the_same_moment_the_later_one_sees_that_its_session_is_over(
    shop: Shop, ada: Program
) -> None:
    """S7: it waits for the account's row and only then looks for its session."""
    accounts = instance_of(shop.apps[0]).accounts
    thief = let_in(accounts, again(shop, ada))
    ended: list[BaseException] = []

    def change() -> None:
        try:
            accounts.change(thief, Changes(first_name="Eve"), "")
        except NotSignedIn as error:
            ended.append(error)

    thread = threading.Thread(target=change)
    with transaction(shop.engine) as connection:
        connection.execute(text("UPDATE customer SET password_hash = password_hash WHERE id = :c"), {"c": ada.id})
        thread.start()
        wait_until(lambda: waits_for_a_row(shop), what="the change waits for the account")
        sessions.end_all(connection, ada.id, except_sha256=sessions.token_sha256(ada.token))
    thread.join(PATIENCE_SECONDS)
    assert ended
    assert rows(shop.engine, "SELECT first_name FROM customer WHERE id = :c", c=ada.id)[0].first_name == "Ada"


def waits_for_a_row(shop: Shop) -> bool:
    statement = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(rows(shop.engine, statement))


def test_whoever_runs_the_shop_can_sign_out_one_customer_or_everybody(
    shop: Shop, ada: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ASVS 5.0 7.4.5"""
    folder = str(instance_of(shop.apps[0]).runtime.state)
    eve = shop.program(1).sign_up()
    again(shop, ada)
    assert main.run(["sign-out", str(ada.id), "--state", folder]) == 0
    assert capsys.readouterr().out == f"customer {ada.id}: 2 sessions ended\n"
    assert (status(ada), status(eve)) == (401, 200)
    assert main.run(["sign-out", "--everybody", "--state", folder]) == 0
    assert re.fullmatch(r"everybody: [1-9][0-9]* sessions? ended\n", capsys.readouterr().out)
    assert status(eve) == 401
    for wrong in (["sign-out"], ["sign-out", str(ada.id), "--everybody"], ["sign-out", "0"], ["sign-out", str(2**63)]):
        assert main.run([*wrong, "--state", folder]) == 64
    assert main.run(["sign-out", str(ada.id), "--state", str(tmp_path)]) == 64
    assert "no system was started with this state folder" in capsys.readouterr().err


def test_sessions_are_swept_and_a_token_is_never_stored(shop: Shop, ada: Program) -> None:
    """S1."""
    over = again(shop, ada)
    move_back(shop, over, "expires_at", 24 * 60)
    again(shop, ada)
    stored = [row.token_sha256 for row in rows(shop.engine, "SELECT token_sha256 FROM customer_session")]
    assert sessions.token_sha256(over.token) not in stored
    assert ada.token not in stored
    assert instance_of(shop.apps[0]).accounts.customer_of_token(ada.token) is not None
