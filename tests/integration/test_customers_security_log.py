"""What an instance writes of sign-ins, changes and refusals, and what it never writes (customers/security_log.py)."""

import re
from collections.abc import Iterator

import pytest

from customers import security_log
from tests.conftest import Server, fresh_database
from tests.customers_world import CARD_NUMBER, PASSWORD, Program, Shop, field_value, open_shop

GUESS = "a password that is wrong"
LINE = re.compile(r"[a-z-]+ customer=([0-9]+|-) request=[A-Za-z0-9._-]{8,64} sender=[0-9a-f]{12}( [a-z]+=[a-z0-9,-]+)*")

pytestmark = pytest.mark.asks_the_instance("what it logs")


@pytest.fixture(scope="module")
def shop(postgres_server: Server, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with (
        fresh_database(postgres_server, template_database) as url,
        open_shop(url, tmp_path_factory.mktemp("shop"), customers={"login_failures_max": 2}) as shop,
    ):
        yield shop


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """All lines, however many other tests had written before."""
    monkeypatch.setattr(security_log.logger, "filters", [])
    caplog.set_level("INFO", security_log.logger.name)
    return caplog


def told(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The events so far, with whose they were."""
    lines = [record.getMessage() for record in log.records if record.name == security_log.logger.name]
    assert all(LINE.fullmatch(line) for line in lines), lines
    words = [line.split() for line in lines]
    log.clear()
    return [(one[0], one[1].removeprefix("customer=")) for one in words]


def test_each_thing_that_happens_to_an_account_is_one_line(shop: Shop, log: pytest.LogCaptureFixture) -> None:
    """E1, ASVS 5.0 16.3.1."""
    ada = shop.program().sign_up()
    mine = str(ada.id)
    assert told(log) == [("signed-up", mine), ("signed-in", mine)]
    ada.with_card()
    ada.call("DELETE", "/me/card")
    ada.call("GET", "/me/export")
    ada.call("PATCH", "/me", {"first_name": "Augusta", "password": "another good one", "current_password": PASSWORD})
    assert [record.getMessage().rpartition(" ")[2] for record in log.records][-1:] == ["what=name,password"]
    ada.call("DELETE", "/session")
    gone = shop.program().sign_up()
    gone.call("DELETE", "/me")
    assert told(log) == [
        *((what, mine) for what in ("card-set", "card-removed", "data-exported", "account-changed", "signed-out")),
        *((what, str(gone.id)) for what in ("signed-up", "signed-in", "account-deleted")),
    ]


def guess(program: Program, email: str) -> int:
    return program.call("POST", "/session", {"email": email, "password": GUESS}).status_code


def test_each_refusal_is_one_line(shop: Shop, log: pytest.LogCaptureFixture) -> None:
    """ASVS 5.0 16.3.2, 16.3.3: guesses, throttling, forged forms, sessions that are none, addresses that are taken."""
    ada, nobody = shop.program().sign_up(), shop.program()
    mine = str(ada.id)
    told(log)
    assert [guess(nobody, ada.email) for _ in range(3)] == [401, 401, 429]
    assert guess(nobody, "nobody@example.org") == 401
    assert told(log) == [("wrong-password", mine)] * 2 + [("too-often", "-"), ("wrong-password", "-")]
    body = {"email": ada.email, "password": PASSWORD, "first_name": "A", "last_name": "B"}
    assert nobody.call("POST", "/customers", body).status_code == 409
    nobody.token = "x" * 43
    assert nobody.call("GET", "/me").status_code == 401
    assert shop.person().client.post("/log-in", data={"email": ada.email}).status_code == 403
    assert told(log) == [("address-taken", "-"), ("no-such-session", "-"), ("forged-form", "-")]


def test_nothing_that_was_sent_is_in_the_log(shop: Shop, log: pytest.LogCaptureFixture) -> None:
    """E1, E2, ASVS 5.0 16.2.5."""
    ada = shop.program().sign_up().with_card()
    person = shop.person()
    token = field_value(person.get("/log-in").text, "form_token")
    person.client.post(
        "/log-in",
        data={"form_token": token, "email": ada.email, "password": GUESS, "next": "/"},
        headers={"User-Agent": "Mozilla/5.0 (evil\x7f)", "Cookie": "a=b"},
    )
    ada.call("DELETE", "/me")
    written = "\n".join(record.getMessage() for record in log.records)
    assert written.count("\n") >= 4
    for secret in (ada.email, ada.token, PASSWORD, GUESS, CARD_NUMBER, "Lovelace", "127.0.0.1", "evil", token):
        assert secret not in written, secret


def test_one_sender_is_known_again_and_not_by_its_address(shop: Shop, log: pytest.LogCaptureFixture) -> None:
    """E2"""
    for address in ("10.1.2.3", "10.1.2.3", "10.1.2.4"):
        email = f"{address}@example.org"
        answer = (
            shop.apps[0]
            .test_client()
            .post("/api/v1/session", json={"email": email, "password": GUESS}, headers={"X-Forwarded-For": address})
        )
        assert answer.status_code == 401
    one, same, other = (re.findall(r"sender=(\w+)", record.getMessage())[0] for record in log.records)
    assert one == same != other
