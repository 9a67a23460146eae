"""Who asks? Requests are signed with the manufacturer's key, which only it and the distributor have.

A1  Any failure (unknown manufacturer, bad signature, old, replayed) raises the same NotAuthenticated: nothing is learnt.
A2  A signed request counts once: its nonce is remembered for as long as its timestamp is in the window.
A3  Only a request with a right signature can make us remember anything, so strangers cannot fill the memory.
A4  Signatures are compared in constant time, for a manufacturer that does not exist too.

A nonce is decided on in memory and kept in the ledger before its request is answered, so that A2 holds across restarts,
also where the asker's clock is ahead of ours (which is why the moment of our start is no substitute).
Signed text: timestamp, nonce, method, path with query, SHA-256 of the body, one a line.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

WINDOW_SECONDS = 300  # as Stripe's and GitHub's verifiers; both sides run the same protocol
PURGE_SECONDS = 60  # how often expired nonces are forgotten
TIMESTAMP = re.compile(r"[0-9]{1,11}", re.ASCII)
NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)
HEADERS = ("X-Manufacturer", "X-Timestamp", "X-Nonce", "X-Signature")


class NotAuthenticated(Exception):
    """The request is not signed, or not rightly."""


@dataclass(frozen=True)
class Signed:
    """What a signature covers, and what was claimed."""

    code: str
    timestamp: str
    nonce: str
    signature: str
    method: str
    target: str  # path with query, as sent
    body: bytes

    @property
    def expires_at(self) -> int:
        """Unix time from which on its timestamp is too old; of one that was admitted."""
        return int(self.timestamp) + WINDOW_SECONDS


def signature(key: str, timestamp: str, nonce: str, request: tuple[str, str, bytes]) -> str:
    """Lower-case hex HMAC-SHA256; ``request``: method, path with query, body."""
    method, target, body = request
    text = f"{timestamp}\n{nonce}\n{method}\n{target}\n{hashlib.sha256(body).hexdigest()}"
    return hmac.new(key.encode(), text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


class Doorkeeper:
    """Checks signatures and remembers nonces. Used by one thread."""

    def __init__(self, keys: Mapping[str, str], used: Mapping[str, Mapping[str, int]] | None = None) -> None:
        """``used``: manufacturer code -> nonce -> when it expires, from earlier lives."""
        self._keys = dict(keys)
        self._expiry: dict[tuple[str, str], float] = {
            (code, nonce): expiry for code, nonces in (used or {}).items() for nonce, expiry in nonces.items()
        }
        self._purge_at = 0.0

    def admit(self, request: Signed, now: float) -> str:
        """The code of the manufacturer that is asked; raises NotAuthenticated. ``now``: seconds since 1970."""
        well_formed = (
            TIMESTAMP.fullmatch(request.timestamp)
            and NONCE.fullmatch(request.nonce)
            and SIGNATURE.fullmatch(request.signature)
        )
        if not well_formed:
            raise NotAuthenticated
        key = self._keys.get(request.code, "")
        expected = signature(key, request.timestamp, request.nonce, (request.method, request.target, request.body))
        right = hmac.compare_digest(expected, request.signature) and key != ""
        if not right or abs(now - int(request.timestamp)) > WINDOW_SECONDS:
            raise NotAuthenticated
        self._purge(now)
        if (request.code, request.nonce) in self._expiry:
            raise NotAuthenticated
        self._expiry[request.code, request.nonce] = request.expires_at
        return request.code

    @property
    def remembered(self) -> int:
        """Nonces in memory."""
        return len(self._expiry)

    def _purge(self, now: float) -> None:
        if now >= self._purge_at:
            self._expiry = {nonce: expiry for nonce, expiry in self._expiry.items() if expiry >= now}
            self._purge_at = now + PURGE_SECONDS
