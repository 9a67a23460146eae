"""Browsers in which somebody signed in to an account before: whoever keeps guessing elsewhere does not keep its owner out.

D1  Only the right password gets a browser its mark, for one account. It is an HMAC, so that nobody else can make one and
    nothing has to be remembered of it.
D2  A mark signs nobody in: it has its browser's wrong passwords counted apart from all others' (H5 of throttle.py), as
    strictly. A stolen one is worth as many guesses as anybody has without one.
D3  It tells nothing of the account to who reads it, and stays the same as long as its browser signs in to that account.
"""

import hashlib
import hmac
import re
import secrets

CHANCE_BYTES = 16  # 128 bits; in base64url 22 letters

_MARK = re.compile(r"([A-Za-z0-9_-]{22})\.([0-9a-f]{64})")


def mark(key: str, canonical_email: str, device: str | None) -> str:
    """For the browser that has just signed in; ``device``: what `recognised` said of the mark that came along."""
    chance = device or secrets.token_urlsafe(CHANCE_BYTES)
    return f"{chance}.{_proof(key, canonical_email, chance)}"


def recognised(key: str, canonical_email: str, given: str | None) -> str | None:
    """What stands for the browser, if the mark was made for this account (D1)."""
    match = _MARK.fullmatch(given or "")
    if match is None or not hmac.compare_digest(match[2], _proof(key, canonical_email, match[1])):
        return None
    return match[1]


def _proof(key: str, canonical_email: str, chance: str) -> str:
    told = f"device\n{chance}\n{canonical_email}".encode(errors="replace")
    return hmac.new(key.encode(), told, hashlib.sha256).hexdigest()
