"""E-mail addresses, names, passwords and cards: what is accepted, and in which form."""

import datetime as dt
import threading

import pytest

from customers.accounts import cards, devices, emails, names, passwords
from customers.accounts.cards import CardEntry
from customers.errors import InvalidInput, Overloaded

TODAY = dt.date(2026, 7, 15)
VISA = "4242 4242 4242 4242"
FULL_WIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("Ada@Example.org", "ada@example.org"),
        (" ada@example.org ", "ada@example.org"),
        ("\ufb01sh@example.org", "fish@example.org"),  # ligature fi
        ("ada@EXAMPLE.org", "ada@example.org"),
        ("o'hara+shop@example.co.uk", "o'hara+shop@example.co.uk"),
        ("a@localhost", "a@localhost"),
    ],
)
def test_addresses_that_look_the_same_are_the_same(typed: str, canonical: str) -> None:
    """E1."""
    assert emails.canonical(emails.normalised(typed)) == canonical


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "a@b@example.org",
        "\u0430da@example.org",  # Cyrillic a
        '"quoted local"@example.org',
        "ada@example.org\nBcc: eve@example.org",
        "ada@example.org\r\nX: y",
        "ada\x00@example.org",
        "ada@exam ple.org",
        "ada..lovelace@example.org",
        ".ada@example.org",
        "ada@-example.org",
        "ada@example..org",
        "a@" + "b." * 150 + "org",
        "x" * 10_000,
        "ada@b\u00fccher.example",
    ],
)
def test_other_addresses_are_refused(typed: str) -> None:
    """E2."""
    with pytest.raises(ValueError, match=r"write it like|use at most"):
        emails.normalised(typed)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ada", "Ada"),
        ("  Ada ", "Ada"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("李小龙", "李小龙"),
        ("Ana 👩‍🔬", "Ana 👩‍🔬"),
        ("<script>", "<script>"),
    ],
)
def test_names_of_any_script_are_kept(typed: str, kept: str) -> None:
    assert names.normalised(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "", "   ", "\u200d", "a\x00b", "a\r\nb", "a\u202eb", "a\u200bb", "\ufeffa", "a\u2028b", "\ud800", "x" * 81, "x" * 10_000,
        "Z" + "\u0301" * 500, "🂡" * 81,
    ],
)  # fmt: skip
def test_names_that_hide_or_overflow_are_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"must not|use at most|too many"):
        names.normalised(typed)


@pytest.mark.parametrize("typed", ["12345678", " leading space", "x" * 64, "x" * 128, "🔑" * 8, "null\x00byte"])
def test_passwords_are_taken_verbatim(typed: str) -> None:
    """W3."""
    assert passwords.normalised(typed) == typed


@pytest.mark.parametrize("typed", ["", "1234567", "x" * 1025, "🔑" * 257, "x" * 100_000])
def test_passwords_too_short_or_too_costly_are_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"at least|at most"):
        passwords.normalised(typed)


def _passwords(concurrency: int = 1, waiting_max: int = 1) -> passwords.Passwords:
    return passwords.Passwords(memory_kib=8, iterations=1, concurrency=concurrency, waiting_max=waiting_max)


def test_a_password_matches_in_either_normal_form() -> None:
    """W3."""
    known = _passwords().hash(passwords.normalised("caf\u00e9-au-lait"))
    assert _passwords().matches(known, "cafe\u0301-au-lait")
    assert not _passwords().matches(known, "cafe-au-lait")


def test_an_unknown_account_never_matches() -> None:
    """W2: the dummy's own password opens nothing."""
    assert not _passwords().matches(None, "the password of no account")


def test_a_hash_of_other_costs_is_outdated() -> None:
    known = passwords.Passwords(memory_kib=16, iterations=1, concurrency=1, waiting_max=0).hash("long enough")
    assert _passwords().is_outdated(known)
    assert not _passwords().is_outdated(_passwords().hash("long enough"))


def test_more_waiting_threads_than_allowed_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """W1: one hashes, one waits, the third is refused at once."""
    subject = _passwords(concurrency=1, waiting_max=1)
    inside, go_on = threading.Event(), threading.Event()

    class SlowHasher:
        def hash(self, password: str) -> str:
            inside.set()
            assert go_on.wait(60)
            return "hash"

    monkeypatch.setattr(subject, "_hasher", SlowHasher())
    first = threading.Thread(target=subject.hash, args=["long enough"])
    first.start()
    assert inside.wait(60)
    second = threading.Thread(target=subject.hash, args=["long enough"])
    second.start()
    while subject._room.acquire(blocking=False):  # until the second thread has taken the last place
        subject._room.release()
    with pytest.raises(Overloaded):
        subject.hash("long enough")
    go_on.set()
    first.join(60)
    second.join(60)


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        (VISA, "Visa"),
        ("5555-5555-5555-4444", "Mastercard"),
        ("2223003122003222", "Mastercard"),
        ("378282246310005", "American Express"),
        ("6011111111111117", "Discover"),
        ("3056930009020004", "Diners Club"),
        ("3566002020360505", "JCB"),
        ("6200000000000005", "UnionPay"),
        ("9999999999999995", "Card"),
    ],
)
def test_a_good_card_is_reduced_to_its_receipt(number: str, brand: str) -> None:
    """K1."""
    code = "1234" if brand == "American Express" else "123"
    card = cards.checked(CardEntry(number, "07/26", "Ada Lovelace", code), TODAY)
    digits = "".join(filter(str.isdigit, number))
    assert (card.brand, card.last4, card.expiry) == (brand, digits[-4:], "2026-07")
    assert digits not in repr(card)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", "4242 4242 4242 4241"),
        ("number", "42424242424"),
        ("number", "4" * 20),
        ("number", VISA.translate(FULL_WIDTH)),
        ("number", ""),
        ("number", "4242  4242 4242 4242"),
        ("number", "4242_4242_4242_4242"),
        ("expiry", "13/30"),
        ("expiry", "00/30"),
        ("expiry", "06/26"),
        ("expiry", "2/30"),
        ("expiry", "02/2030"),
        ("expiry", "07/26\n"),
        ("expiry", "07/29".translate(FULL_WIDTH)),
        ("expiry", "07/66"),
        ("holder", "  "),
        ("holder", "Ada\u202e"),
        ("security_code", "12"),
        ("security_code", "12345"),
        ("security_code", "12a"),
        ("security_code", "1234"),  # four digits are American Express's
    ],
)
def test_a_wrong_card_is_refused_by_field_and_without_echo(field: str, value: str) -> None:
    """K1: the message never repeats what was typed."""
    good = {"number": VISA, "expiry": "07/29", "holder": "Ada Lovelace", "security_code": "123"}
    with pytest.raises(InvalidInput) as caught:
        cards.checked(CardEntry(**(good | {field: value})), TODAY)
    assert [error.field for error in caught.value.errors] == [field]
    assert "4242" not in caught.value.errors[0].message
    assert "4242" not in repr(CardEntry(**good))


def test_all_wrong_fields_of_a_card_are_named_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        cards.checked(CardEntry("1", "1", "", "1"), TODAY)
    assert [error.field for error in caught.value.errors] == ["number", "expiry", "security_code", "holder"]


def test_who_collects_an_accounts_marks_has_few_of_them() -> None:
    """D3, D4: each would be worth as many guesses as anybody has."""
    collected = {devices.mark("key", "ada@example.org", None) for _ in range(1_000)}
    assert len({devices.recognised("key", "ada@example.org", mark) for mark in collected}) <= devices.MARKS
    for mark in collected:
        known = devices.recognised("key", "ada@example.org", mark)
        assert devices.mark("key", "ada@example.org", known) == mark
        assert devices.recognised("key", "eve@example.org", mark) is None
        assert devices.recognised("key", "ada@example.org", f"{(int(mark[0]) + 1) % devices.MARKS}{mark[1:]}") is None
