"""Signed requests (A1 to A4 of manufacturers/authentication.py)."""

import dataclasses

import pytest

from manufacturers.authentication import WINDOW_SECONDS, Doorkeeper, NotAuthenticated, Signed
from tests.manufacturers_world import sign

NOW = 1_800_000_000
KEYS = {"m1": "key of one", "m2": "key of two"}
NONCE = "0123456789abcdef"


def request(**changed: str) -> Signed:
    """A rightly signed request at NOW."""
    headers = sign(
        KEYS["m1"], "m1", "GET", "/api/v1/stock?x=1", b"{}", **({"timestamp": str(NOW), "nonce": NONCE} | changed)
    )
    code, timestamp, nonce, signature = (
        headers[f"X-{name}"] for name in ("Manufacturer", "Timestamp", "Nonce", "Signature")
    )
    return Signed(code, timestamp, nonce, signature, "GET", "/api/v1/stock?x=1", b"{}")


def test_a_rightly_signed_request_is_admitted_as_its_signer() -> None:
    assert Doorkeeper(KEYS).admit(request(), NOW) == "m1"


@pytest.mark.parametrize("away", [-WINDOW_SECONDS, 0, WINDOW_SECONDS])
def test_clocks_may_differ_by_the_window(away: int) -> None:
    assert Doorkeeper(KEYS).admit(request(), NOW + away) == "m1"


@pytest.mark.parametrize("away", [-WINDOW_SECONDS - 1, WINDOW_SECONDS + 1])
def test_outside_the_window_is_refused(away: int) -> None:
    with pytest.raises(NotAuthenticated):
        Doorkeeper(KEYS).admit(request(), NOW + away)


@pytest.mark.parametrize(
    "change",
    [
        {"code": "m2"},
        {"code": "m9"},
        {"code": ""},
        {"timestamp": str(NOW + 1)},
        {"timestamp": f"{NOW}.0"},
        {"timestamp": f"+{NOW}"},
        {"timestamp": "٣" * 10},
        {"timestamp": ""},
        {"nonce": "another-nonce-000"},
        {"nonce": "short"},
        {"nonce": "x" * 65},
        {"nonce": "0123456789abcde\n"},
        {"method": "POST"},
        {"target": "/api/v1/stock"},
        {"body": b"{ }"},
        {"signature": request().signature.upper()},
        {"signature": request().signature[:-1]},
        {"signature": "0" * 64},
        {"signature": ""},
        {"signature": "é" * 64},
    ],
)
def test_any_change_after_signing_is_refused(change: dict[str, object]) -> None:
    """A1."""
    with pytest.raises(NotAuthenticated):
        Doorkeeper(KEYS).admit(dataclasses.replace(request(), **change), NOW)  # type: ignore[arg-type]


def test_a_manufacturer_without_a_key_cannot_be_signed_for_with_the_empty_key() -> None:
    headers = sign("", "m9", "GET", "/", timestamp=str(NOW), nonce=NONCE)
    with pytest.raises(NotAuthenticated):
        Doorkeeper(KEYS).admit(Signed("m9", str(NOW), NONCE, headers["X-Signature"], "GET", "/", b""), NOW)


def test_a_nonce_counts_once_for_as_long_as_its_timestamp_is_in_the_window() -> None:
    """A2: also when the request comes early, and after the memory was purged in between."""
    doorkeeper = Doorkeeper(KEYS)
    early = NOW - WINDOW_SECONDS
    doorkeeper.admit(request(), early)
    doorkeeper.admit(request(nonce="another-nonce-000"), NOW)
    for later in (early, NOW, NOW + WINDOW_SECONDS):
        with pytest.raises(NotAuthenticated):
            doorkeeper.admit(request(), later)


def test_the_same_nonce_of_another_manufacturer_is_another_nonce() -> None:
    doorkeeper = Doorkeeper(KEYS)
    doorkeeper.admit(request(), NOW)
    headers = sign(KEYS["m2"], "m2", "GET", "/", timestamp=str(NOW), nonce=NONCE)
    assert doorkeeper.admit(Signed("m2", str(NOW), NONCE, headers["X-Signature"], "GET", "/", b""), NOW) == "m2"


def test_strangers_leave_nothing_in_the_memory_and_expired_nonces_are_forgotten() -> None:
    """A3."""
    doorkeeper = Doorkeeper(KEYS)
    for number in range(50):
        with pytest.raises(NotAuthenticated):
            doorkeeper.admit(dataclasses.replace(request(), nonce=f"nonce-of-stranger-{number}"), NOW)
    assert doorkeeper.remembered == 0
    doorkeeper.admit(request(), NOW)
    much_later = str(NOW + 10 * WINDOW_SECONDS)
    doorkeeper.admit(request(timestamp=much_later), int(much_later))
    assert doorkeeper.remembered == 1


def test_what_an_earlier_life_admitted_is_known_to_the_next_one() -> None:
    """A2: signed by a clock that is ahead, so that it is younger than the next life's beginning."""
    ahead = request(timestamp=str(NOW + WINDOW_SECONDS))
    Doorkeeper(KEYS).admit(ahead, NOW)
    with pytest.raises(NotAuthenticated):
        Doorkeeper(KEYS, {"m1": {NONCE: ahead.expires_at}}).admit(ahead, NOW + 1)
    assert Doorkeeper(KEYS).admit(ahead, NOW + 1) == "m1", "the control: without what is kept it is admitted again"
