"""Names of people: any script and emoji, but nothing that hides, reverses or overflows a line of text."""

import unicodedata

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
    """The name in NFC without outer spaces; raises ValueError with a sentence for people."""
    if len(text) > 4 * LENGTH_MAX:  # before any work on it
        msg = f"has at most {LENGTH_MAX} characters"
        raise ValueError(msg)
    name = unicodedata.normalize("NFC", text).strip(" \u00a0\u3000")
    if not name.strip(JOINERS):
        msg = "must not be empty"
        raise ValueError(msg)
    if any(unicodedata.category(letter) in _REFUSED and letter not in JOINERS for letter in name):
        msg = "must not contain control characters or invisible characters"
        raise ValueError(msg)
    if len(name) > LENGTH_MAX or len(name.encode()) > BYTES_MAX:
        msg = f"has at most {LENGTH_MAX} characters"
        raise ValueError(msg)
    if _longest_combining_run(name) > COMBINING_RUN_MAX:
        msg = "has too many accents on one letter"
        raise ValueError(msg)
    return name


def _longest_combining_run(text: str) -> int:
    longest = run = 0
    for letter in text:
        run = run + 1 if unicodedata.combining(letter) else 0
        longest = max(longest, run)
    return longest
