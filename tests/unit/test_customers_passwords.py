"""Which passwords are refused because somebody would try them first, and what is known of a browser."""

import pytest

from customers.accounts import guessable, passwords
from customers.accounts.clients import UNKNOWN, recognised

FULL_WIDTH = "".join(chr(ord(letter) + 0xFEE0) for letter in "password")
OWN = ("ada@example.org", "Ada", "Lovelace")


def refusal(password: str) -> str:
    """ "" for a password that is taken."""
    try:
        guessable.refuse_guessable(passwords.normalised(password), OWN)
    except ValueError as error:
        return str(error)
    return ""


def test_the_list_is_long_enough_and_all_of_it_counts() -> None:
    """ASVS 5.0 6.2.4: the 3,000 most frequent ones that the rule of length would take."""
    assert len(guessable.FREQUENT) >= 3_000
    assert all(len(word) >= passwords.LENGTH_MIN for word in guessable.FREQUENT)


@pytest.mark.parametrize("typed", ["password", "12345678", "PASSWORD1", "iLoveYou", "Password123", FULL_WIDTH])
def test_a_frequent_password_is_refused_in_any_case(typed: str) -> None:
    """G1, and the message says what to do."""
    assert refusal(typed).startswith("choose another one")


@pytest.mark.parametrize(
    "typed",
    ["ada@example.org", "Lovelace1815", "ADA-LOVELACE", "ada.lovelace", "12ada!!lovelace", "example.org", "shop2026!",
     "lovelaceabc"],
)  # fmt: skip
def test_a_password_made_of_own_words_is_refused(typed: str) -> None:
    """G2."""
    assert refusal(typed).startswith("choose one that is not just your name")


@pytest.mark.parametrize(
    "typed",
    ["correct horse battery", "Ada likes lace", "x" * 64, "x" * 128, "🔑" * 8, " leading space", "aA1!aA1!zz", "workshop-lathe"],
)  # fmt: skip
def test_others_are_taken_whatever_they_are_composed_of(typed: str) -> None:
    """G3."""
    assert refusal(typed) == ""


def test_half_a_character_is_no_password() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        passwords.normalised("12345678\ud800")


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Version/17 Safari/604"
)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
)


@pytest.mark.parametrize(
    ("header", "browser", "system"),
    [
        (FIREFOX, "Firefox", "Linux"),
        (SAFARI, "Safari", "iPhone"),
        (CHROME, "Chrome", "Windows"),
        (CHROME + " Edg/130.0.0.0", "Edge", "Windows"),
        ("Mozilla/5.0 (<script>alert(1)</script>\r\n\x1b[2J)", None, None),
    ],
)
def test_a_browser_is_recognised_roughly(header: str, browser: str | None, system: str | None) -> None:
    """B1: only names of ours come out."""
    assert recognised(header) == (browser, system)


@pytest.mark.parametrize("header", ["", "curl/8.5.0", "python-requests/2", "Firefox/130.0", "x" * 100_000])
def test_programs_stay_unknown(header: str) -> None:
    assert recognised(header) == UNKNOWN
