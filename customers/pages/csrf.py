"""Proof that a form was made by this shop for this very browser, on any instance.

F1  A token belongs to one session, or for guests to one visitor cookie: another's, or one from before signing in, is
    refused. It is an HMAC, so no instance has to remember it.
F2  Every POST of the pages is checked, in one place; a GET never changes anything.
F3  A request that the browser itself calls cross-site is refused, whatever token it has.
"""

import hashlib
import hmac
import re
import secrets

from flask import Response, g, request
from flask_login import current_user

from customers.errors import ForgedForm
from customers.identity import cookie_name, session_token, set_cookie
from customers.instance import instance

FIELD = "form_token"
VISITOR_COOKIE = "visitor"
VISITOR_BYTES = 16  # 128 bits
VISITOR_SECONDS = 86_400

_VISITOR = re.compile(r"[A-Za-z0-9_-]{22}")


def token() -> str:
    """The token for the forms of this answer; a guest gets a visitor cookie with it."""
    owner = _owner()
    if owner is None:
        g.new_visitor = secrets.token_urlsafe(VISITOR_BYTES)
        owner = _visitor_owner(g.new_visitor)
    return _token_for(owner)


def check() -> None:
    """Raises ForgedForm unless the request's form was made for its sender (F1, F3)."""
    given = request.form.getlist(FIELD)
    owner = _owner()
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise ForgedForm
    if owner is None or len(given) != 1 or not hmac.compare_digest(given[0].encode(), _token_for(owner).encode()):
        raise ForgedForm


def keep_visitor(response: Response) -> Response:
    """Sends the cookie of a visitor for whom a form was made in this request."""
    if "new_visitor" in g:
        set_cookie(response, VISITOR_COOKIE, g.new_visitor, VISITOR_SECONDS)
    return response


def _owner() -> str | None:
    session = session_token(request)
    if session and current_user.is_authenticated:
        return f"session\n{session}"
    visitor = g.get("new_visitor") or request.cookies.get(cookie_name(VISITOR_COOKIE), "")
    return _visitor_owner(visitor) if _VISITOR.fullmatch(visitor) else None


def _visitor_owner(visitor: str) -> str:
    return f"visitor\n{visitor}"


def _token_for(owner: str) -> str:
    key = instance().runtime.secrets.session_key.encode()
    return hmac.new(key, b"form\n" + owner.encode(), hashlib.sha256).hexdigest()
