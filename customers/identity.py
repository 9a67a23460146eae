"""Who asks: a browser by its cookie on the pages, a program by its bearer token in the API. One table for both.

N1  A cookie never signs anybody in to the API: a foreign page could make a browser send it.
N2  Whatever is not a living session is a guest, never an error; so are two cookies of one name, for whoever planted one
    of them must not choose who is signed in.
N3  Who asks while the database is away gets the error page, which is then made as for a guest.
N4  What the head of every page says of the customer is read in the same look as the session. It holds for a request that
    changes nothing; after a change it is read again.
"""

from flask import Request, g, request
from werkzeug.wrappers import Response

from customers.accounts import Customer
from customers.instance import instance
from customers.security_log import Event, note
from distributor.errors import DistributorError
from distributor.queries import CustomerStatus

API_PREFIX = "/api/"
BEARER = "bearer "
COOKIE = "session"
DEVICE_COOKIE = "device"
"""By which an account knows a browser again; it signs nobody in (accounts/devices.py)."""


def is_api(request: Request) -> bool:
    return request.path.startswith(API_PREFIX)


def sender_address() -> str:
    """The network address that this request came from, as the load balancer says; "" if nobody says it."""
    return request.remote_addr or ""


def cookie_name(base: str) -> str:
    """Browsers accept the prefix only over TLS, from this very host, for the whole of it."""
    return f"__Host-{base}" if instance().runtime.settings.customers.secure_cookies else base


def session_token(request: Request) -> str | None:
    """The token that came along, of the kind that belongs to the path (N1)."""
    if is_api(request):
        authorization = request.headers.get("Authorization", "")
        if not authorization.lower().startswith(BEARER):
            return None
        return authorization[len(BEARER) :].strip(" ")
    return only_cookie(request, COOKIE)


def only_cookie(request: Request, base: str) -> str | None:
    """The value of a cookie that came exactly once (N2)."""
    values = request.cookies.getlist(cookie_name(base))
    return values[0] if len(values) == 1 else None


def load(request: Request) -> Customer | None:
    """Flask-Login's request loader (N2, N3). It is asked again after it failed, by whatever the error page shows."""
    token = session_token(request)
    if token is None or g.get("identity_failed", default=False):
        return None
    try:
        found = instance().accounts.customer_of_token(token)
    except DistributorError:
        g.identity_failed = True
        raise
    if found is None:
        note(Event.NO_SUCH_SESSION)
        return None
    customer, g.customer_status = found
    return customer


def is_unknown(request: Request) -> bool:
    """Whether somebody is perhaps signed in, and nobody could be asked."""
    return g.get("identity_failed", default=False) and session_token(request) is not None


def status_before() -> CustomerStatus | None:
    """What was read of the customer with the session (N4); None for a guest and where the request may have changed it."""
    return g.get("customer_status") if request.method in {"GET", "HEAD"} else None


def set_cookie(response: Response, base: str, value: str, seconds: int) -> None:
    """A cookie that no script reads and that does not come along with a foreign page's form."""
    secure = instance().runtime.settings.customers.secure_cookies
    response.set_cookie(
        cookie_name(base), value, max_age=seconds, httponly=True, samesite="Lax", secure=secure, path="/"
    )


def clear_cookie(response: Response, base: str) -> None:
    secure = instance().runtime.settings.customers.secure_cookies
    response.delete_cookie(cookie_name(base), httponly=True, samesite="Lax", secure=secure, path="/")
