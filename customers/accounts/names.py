"""Names of people: any script and emoji, but nothing that hides, reverses or overflows a line of text."""

import unicodedata

from customers.languages import gettext as _

LENGTH_MAX = 80  # code points; the column's length
BYTES_MAX = 320
COMBINING_RUN_MAX = 4  # more marks on one letter than any living script needs; "zalgo" has dozens
# Zero-width joiner and non-joiner: emoji and several scripts need them, they neither hide nor reverse text.
JOINERS = "\u200c\u200d"
# Not Cn, unassigned: an emoji may be newer than our Unicode tables.
_REFUSED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
PATTERN = "^[^\\s\\u0000-\\u001f\\u007f-\\u009f](?:.*[^\\s\\u0000-\\u001f\\u007f-\\u009f])?$"
"""For the description of the API: not blank, no control characters. The rarer refusals no pattern can say shortly."""


def normalised(text: str) -> str:
    """The name in NFC without outer spaces; raises ValueError with a phrase for people."""
    if len(text) > 4 * LENGTH_MAX:  # before any work on it
        raise ValueError(_too_long())
    name = unicodedata.normalize("NFC", text).strip(" \u00a0\u3000")
    if not name.strip(JOINERS):
        raise ValueError(_("must not be empty"))
    if any(unicodedata.category(letter) in _REFUSED and letter not in JOINERS for letter in name):
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
