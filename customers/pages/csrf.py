"""Proof that a form was made by this shop for this very browser, on any instance.

F1  A token belongs to one session, or for guests to one visitor cookie: another's, or one from before signing in, is
    refused. It is an HMAC, so no instance has to remember it.
F2  Every request that may change something is checked, in one place: whatever is not GET, HEAD or OPTIONS.
F3  A request that the browser itself calls cross-site is refused, whatever token it has.
F4  In no two answers does a token look the same: it is masked with chance bytes, so that the size of compressed answers
    tells nothing about it (BREACH).
"""

import hashlib
import hmac
import re
import secrets

from flask import Response, g, request
from flask_login import current_user

from customers.errors import ForgedForm
from customers.identity import only_cookie, session_token, set_cookie
from customers.instance import customer, instance
from customers.security_log import Event, note

FIELD = "form_token"
VISITOR_COOKIE = "visitor"
VISITOR_BYTES = 16  # 128 bits
VISITOR_SECONDS = 86_400
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 9.2.1, without TRACE, which no route answers

_MASKED = re.compile(r"[0-9a-f]{128}")  # mask and masked SHA-256, 32 bytes each
_VISITOR = re.compile(r"[A-Za-z0-9_-]{22}")


def token() -> str:
    """The token for the forms of this answer; a guest gets a visitor cookie with it."""
    owner = _owner()
    if owner is None:
        g.new_visitor = secrets.token_urlsafe(VISITOR_BYTES)
        owner = _visitor_owner(g.new_visitor)
    return _masked(_token_for(owner))


def check_if_unsafe() -> None:
    """Raises ForgedForm if the request may change something and its form was not made for its sender (F1, F2, F3)."""
    if request.method not in SAFE_METHODS and not (_is_from_here() and _is_made_for_its_sender()):
        note(Event.FORGED_FORM, customer().id if current_user.is_authenticated else None)
        raise ForgedForm


def _is_from_here() -> bool:
    """F3; older browsers say nothing."""
    return request.headers.get("Sec-Fetch-Site", "same-origin") in {"same-origin", "none"}


def _is_made_for_its_sender() -> bool:
    """F1"""
    given = request.form.getlist(FIELD)
    owner = _owner()
    return owner is not None and len(given) == 1 and hmac.compare_digest(_unmasked(given[0]), _token_for(owner))


def keep_visitor(response: Response) -> Response:
    """Sends the cookie of a visitor for whom a form was made in this request."""
    if "new_visitor" in g:
        set_cookie(response, VISITOR_COOKIE, g.new_visitor, VISITOR_SECONDS)
    return response


def _owner() -> str | None:
    session = session_token(request)
    if session and current_user.is_authenticated:
        return f"session\n{session}"
    visitor = g.get("new_visitor") or only_cookie(request, VISITOR_COOKIE) or ""
    return _visitor_owner(visitor) if _VISITOR.fullmatch(visitor) else None


def _visitor_owner(visitor: str) -> str:
    return f"visitor\n{visitor}"


def _token_for(owner: str) -> bytes:
    key = instance().runtime.secrets.session_key.encode()
    return hmac.new(key, b"form\n" + owner.encode(), hashlib.sha256).digest()


def _masked(token: bytes) -> str:
    """F4"""
    mask = secrets.token_bytes(len(token))
    return (mask + _xor(mask, token)).hex()


def _unmasked(given: str) -> bytes:
    """Nothing for text that `_masked` does not write."""
    if not _MASKED.fullmatch(given):
        return b""
    both = bytes.fromhex(given)
    half = len(both) // 2
    return _xor(both[:half], both[half:])


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(len(one))
