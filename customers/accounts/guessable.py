"""Passwords that are tried first: the most frequent ones, and those made of what is known about the account.

G1  Upper and lower case, full-width letters and ligatures do not make a frequent password a rare one (NFKC, casefold).
G2  What is left of a password without the account's own words and the shop's must have ``OWN_LETTERS_MIN`` letters of its
    own, if it holds such a word at all; digits and signs around a name are what is tried first.
G3  No rule of composition (ASVS 5.0 6.2.5): a password that is not on the list and not made of own words is taken.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from customers.languages import gettext as _

LIST_FILE = Path(__file__).parent / "common_passwords.txt"
WORD_LENGTH_MIN = 3  # shorter ones are in half of all texts
OWN_LETTERS_MIN = 4  # chosen: with fewer, a word of the account carries the password
SHOP_WORDS = ("central", "distribution", "shop")
"""The words of this service (ASVS 5.0 6.2.11)."""

_PARTS = re.compile(r"[\W_]+")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _read_list() -> frozenset[str]:
    lines = LIST_FILE.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


FREQUENT = _read_list()


def refuse_guessable(password: str, own_texts: Iterable[str]) -> None:
    """Raises ValueError, saying what to do, if the password is frequent (G1) or made of own words (G2)."""
    text = _folded(password)
    if text in FREQUENT:
        raise ValueError(_("choose another one: this one is among the passwords that are tried first"))
    if _is_made_of(text, _words(own_texts)):
        raise ValueError(_("choose one that is not just your name, your e-mail address or the name of this shop"))


def _words(texts: Iterable[str]) -> set[str]:
    """The texts themselves and their parts, long enough to tell something."""
    whole = [_folded(text) for text in texts]
    words = {part for text in whole for part in [text, *_PARTS.split(text)]} | set(SHOP_WORDS)
    return {word for word in words if len(word) >= WORD_LENGTH_MIN}


def _is_made_of(text: str, words: set[str]) -> bool:
    rest = text
    for word in sorted(words, key=len, reverse=True):
        rest = rest.replace(word, "")
    return rest != text and sum(not _is_decoration(letter) for letter in rest) < OWN_LETTERS_MIN


def _is_decoration(letter: str) -> bool:
    return letter.isdecimal() or letter.isspace() or unicodedata.category(letter)[0] == "P"
