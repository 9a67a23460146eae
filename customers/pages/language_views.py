"""The switch of languages: a form in every page's footer, which leads back to the page that it stood on.

W1  The way back is an address of this shop that a browser can open: a path that some page answers, with its search,
    without its notice. Anything else leads to the catalogue.
W2  What was chosen holds for this browser, and for a signed-in customer on every device.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import current_app, redirect, request
from flask_login import current_user
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from customers.errors import InvalidInput
from customers.identity import set_cookie
from customers.instance import customer, instance
from customers.languages import LANGUAGES
from customers.languages import gettext as _
from customers.pages import forms
from customers.reader_language import COOKIE

REMEMBERED_SECONDS = 31_536_000  # a year: the longest that privacy guides find fit for such a cookie
WAY_LENGTH_MAX = 2_000
# What our pages read of an address, but the notice, which is read once. Anything else is not repeated: it may be a secret
# that somebody put into an address by mistake.
KEPT = frozenset({"q", "manufacturer", "sort", "page", "next"})


def choose_language() -> Response:
    code = forms.text("language")
    if code not in LANGUAGES:
        raise InvalidInput.of("language", _("choose one of %(choices)s", choices=", ".join(LANGUAGES)))
    if current_user.is_authenticated:
        instance().accounts.choose_language(customer(), code)
    response = redirect(_checked(forms.text("next", WAY_LENGTH_MAX)), 303)
    set_cookie(response, COOKIE, code, REMEMBERED_SECONDS)
    return response


def way_here() -> str:
    """Where the page that is being made can be opened again; of a form's address, whatever came there, the page it was on."""
    path = request.path
    if request.method == "POST" or isinstance(request.routing_exception, MethodNotAllowed):
        while not _opens(path) and path:
            path = path.rpartition("/")[0]
    query = request.args.items(multi=True) if path == request.path else ()
    return _written(path, list(query))


def _checked(target: str) -> str:
    """The target, or the catalogue (W1)."""
    parts = urlsplit(target) if target.isascii() and target.isprintable() and "\\" not in target else None
    if parts is None or parts.scheme or parts.netloc or not _opens(parts.path):
        return "/"
    return _written(parts.path, parse_qsl(parts.query))


def _written(path: str, query: list[tuple[str, str]]) -> str:
    kept = urlencode([(name, value) for name, value in query if name in KEPT])
    whole = f"{path}?{kept}" if kept else path
    return whole if _opens(path) and len(whole) <= WAY_LENGTH_MAX else "/"


def _opens(path: str) -> bool:
    """Whether a GET of this very path is answered by a page; a path that begins like a host's name is none."""
    if not path.startswith("/") or path.startswith("//"):
        return False
    if request.url_rule is not None and request.method == "GET" and path == request.path:  # as found for this request
        return str(request.endpoint).startswith("pages.")
    try:
        endpoint, _arguments = current_app.url_map.bind("").match(path, method="GET")
    except (HTTPException, RequestRedirect):
        return False
    return str(endpoint).startswith("pages.")
