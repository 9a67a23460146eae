"""Who asks? Requests are signed with the manufacturer's key, which only it and the distributor have.

A1  Any failure (unknown manufacturer, bad signature, old, replayed) raises the same NotAuthenticated: nothing is learnt.
A2  A signed request counts once: its nonce is remembered for as long as its timestamp is in the window.
A3  Only a request with a right signature can make us remember anything, so strangers cannot fill the memory.
A4  Signatures are compared in constant time, for a manufacturer that does not exist too.

The nonces live in memory. Within the window after a restart an old request could be replayed; every call of the API
gives the same answer when it is asked again, so that changes nothing.
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


def signature(key: str, timestamp: str, nonce: str, request: tuple[str, str, bytes]) -> str:
    """Lower-case hex HMAC-SHA256; ``request``: method, path with query, body."""
    method, target, body = request
    text = f"{timestamp}\n{nonce}\n{method}\n{target}\n{hashlib.sha256(body).hexdigest()}"
    return hmac.new(key.encode(), text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


class Doorkeeper:
    """Checks signatures and remembers nonces. Used by one thread."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = dict(keys)
        self._expiry: dict[tuple[str, str], float] = {}
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
        self._expiry[request.code, request.nonce] = int(request.timestamp) + WINDOW_SECONDS
        return request.code

    @property
    def remembered(self) -> int:
        """Nonces in memory."""
        return len(self._expiry)

    def _purge(self, now: float) -> None:
        if now >= self._purge_at:
            self._expiry = {nonce: expiry for nonce, expiry in self._expiry.items() if expiry >= now}
            self._purge_at = now + PURGE_SECONDS
