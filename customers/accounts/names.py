"""Names of people: any script and emoji, but nothing that hides, reverses or overflows a line of text."""

import sys
import unicodedata
from collections.abc import Iterator
from functools import cache

from customers.languages import gettext as _

LENGTH_MAX = 80  # code points; the column's length
BYTES_MAX = 320
COMBINING_RUN_MAX = 4  # more marks on one letter than any living script needs; "zalgo" has dozens
# Zero-width joiner and non-joiner: emoji and several scripts need them, they neither hide nor reverse text.
JOINERS = "\u200c\u200d"
# Not Cn, unassigned: an emoji may be newer than our Unicode tables.
_REFUSED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_SPACES = "".join(letter for letter in map(chr, range(0x3001)) if unicodedata.category(letter) == "Zs")


@cache
def pattern() -> str:
    """For the description of the API: exactly the letters that are refused, and something that can be seen."""
    refused = "".join(_written(first, last) for first, last in _refused_stretches())
    return f"^[^{refused}]*[^{refused}{_SPACES}{JOINERS}][^{refused}]*$"


def _refused_stretches() -> Iterator[tuple[int, int]]:
    """First and last code point of each stretch of refused letters; half a surrogate pair never gets so far."""
    codes = [code for code in range(sys.maxunicode + 1) if _is_refused(chr(code)) and not 0xD800 <= code < 0xE000]
    first = last = codes[0]
    for code in codes[1:]:
        if code != last + 1:
            yield first, last
            first = code
        last = code
    yield first, last


def _written(*codes: int) -> str:
    return "-".join(f"\\u{code:04x}" if code < 0x10000 else chr(code) for code in codes)


def _is_refused(letter: str) -> bool:
    return unicodedata.category(letter) in _REFUSED and letter not in JOINERS


def normalised(text: str) -> str:
    """The name in NFC without outer spaces; raises ValueError with a phrase for people."""
    if len(text) > 4 * LENGTH_MAX:  # before any work on it
        raise ValueError(_too_long())
    name = unicodedata.normalize("NFC", text).strip(_SPACES)
    if not name.strip(JOINERS + _SPACES):
        raise ValueError(_("must not be empty"))
    if any(map(_is_refused, name)):
        raise ValueError(_("must not contain control characters or invisible characters"))
    if len(name) > LENGTH_MAX or len(name.encode()) > BYTES_MAX:
        raise ValueError(_too_long())
    if _longest_combining_run(name) > COMBINING_RUN_MAX:
        raise ValueError(_("has too many accents on one letter"))
    return name


def _too_long() -> str:
    return _("use at most %(count)s characters", count=LENGTH_MAX)


def _longest_combining_run(text: str) -> int:
    longest = run = 0
    for letter in text:
        run = run + 1 if unicodedata.combining(letter) else 0
        longest = max(longest, run)
    return longest
