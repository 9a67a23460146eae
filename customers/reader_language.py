"""Which language a reader gets.

G1  Pages: what the account says, else what this browser chose (a cookie), else Accept-Language, else English.
    API: Accept-Language alone, for programs keep no cookies and say with every call what they want.
    An account without a language takes over, at the log-in, what this browser chose.
G2  While the account cannot be read (no database), the page that says so is in the browser's language.
G3  Every text says its language and what that depended on; data and files do not.
"""

from flask import Response, request
from flask_login import current_user

from customers import vary
from customers.errors import PROBLEM_TYPE
from customers.identity import cookie_name, is_api
from customers.languages import DEFAULT, LANGUAGES, accepted, language
from distributor.errors import DistributorError

COOKIE = "language"

_OFFERED = tuple(LANGUAGES)
_TEXTS = frozenset({"text/html", PROBLEM_TYPE})


def choose() -> str:
    """The language for this request (G1)."""
    if is_api(request):
        return _accepted()
    return _of_account() or chosen_here() or _accepted()


def _of_account() -> str | None:
    try:
        code = getattr(current_user, "language", None)
    except DistributorError:  # G2
        return None
    return code if code in LANGUAGES else None


def chosen_here() -> str | None:
    """What this browser's reader chose in this shop, signed in or not; None for what the browser merely says."""
    code = request.cookies.get(cookie_name(COOKIE))
    return code if code in LANGUAGES else None


def _accepted() -> str:
    header = request.headers.get("Accept-Language", "")
    return accepted.best(header[: accepted.LENGTH_MAX], _OFFERED, DEFAULT)


def announce(response: Response) -> Response:
    """Content-Language and Vary (G3)."""
    if response.mimetype in _TEXTS:
        response.headers["Content-Language"] = language()
        vary.add(response, "Accept-Language", *(() if is_api(request) else ("Cookie",)))
    return response
