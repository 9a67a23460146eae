"""Browsers in which somebody signed in to an account before: whoever keeps guessing elsewhere does not keep its owner out.

D1  Only the right password gets a browser its mark, for one account. It is an HMAC, so that nobody else can make one and
    nothing has to be remembered of it.
D2  A mark signs nobody in: it has its browser's wrong passwords counted apart from all others' (H5 of throttle.py), as
    strictly. A stolen one is worth as many guesses as anybody has without one.
D3  It tells nothing of the account to who reads it, and stays the same as long as its browser signs in to that account.
D4  An account has ``MARKS`` marks, which its browsers share: whoever knew the password once and collected them all has no
    more guesses at a new one than ``MARKS`` times anybody's.
"""

import hashlib
import hmac
import re
import secrets

MARKS = 10  # chosen: as many guesses as an address has (ADDRESS_FACTOR of throttle.py); one digit

_MARK = re.compile(r"([0-9])\.([0-9a-f]{64})")


def mark(key: str, canonical_email: str, device: str | None) -> str:
    """For the browser that has just signed in; ``device``: what `recognised` said of the mark that came along."""
    number = device or str(secrets.randbelow(MARKS))
    return f"{number}.{_proof(key, canonical_email, number)}"


def recognised(key: str, canonical_email: str, given: str | None) -> str | None:
    """The mark's number, if the mark was made for this account (D1)."""
    match = _MARK.fullmatch(given or "")
    if match is None or not hmac.compare_digest(match[2], _proof(key, canonical_email, match[1])):
        return None
    return match[1]


def _proof(key: str, canonical_email: str, number: str) -> str:
    told = f"device\n{number}\n{canonical_email}".encode(errors="replace")
    return hmac.new(key.encode(), told, hashlib.sha256).hexdigest()
