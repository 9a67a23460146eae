"""What every page shows around its subject, and the functions that templates call: `values`, asked for each page."""

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from flask import g, request
from markupsafe import Markup

from customers import identity
from customers.accounts import Customer
from customers.instance import customer_or_guest, instance
from customers.languages import LANGUAGES
from customers.languages import lazy_gettext as _
from customers.pages import as_of, csrf, filters, forms, guests, language_views
from customers.shop import Surroundings
from customers.turned_away import is_turned_away
from distributor.errors import DistributorError

NOTICES = {
    "added": _("It is in your cart."),
    "removed": _("Taken out of your cart."),
    "wanted": _("Welcome back to what you wanted: press “Add to cart” to put it in your cart."),
    "changed": _("The quantity is changed."),
    "held": _("Held for you again, from now on."),
    "swapped": _("Changed: your cart has it from the other manufacturer now."),
    "fitted": _("Your cart has only what is left now."),
    "bought": _("Thank you. Your order is in, and your card was charged once."),
    "bought-rest": _("Thank you. Your order is in. What others were faster with is still in your cart."),
    "bought-before": _("You had bought this already: here is the order. It was placed once and charged once."),
    "card-saved": _("Your card is saved."),
    "card-removed": _("Your card is removed."),
    "details-saved": _("Your details are saved."),
    "password-changed": _("Your password is changed. You are logged out everywhere else."),
    "email-changed": _("Your e-mail address is changed. You are logged out everywhere else."),
    "other-logged-out": _("That login is over."),
    "others-logged-out": _("You are logged out everywhere else."),
    guests.LOGGED_OUT_MEANWHILE: _(
        "You are not logged in any more, so what you have just sent changed nothing. Log in, and go on from there."
    ),
    "logged-out": _("You are logged out, everywhere that you used this login."),
    "account-deleted": _("Your account is deleted."),
    "finished": _("You are done for this month. Thank you."),
}
"""What a page says after a redirect: the address names one of these, never a text."""

NOT_KNOWN = Surroundings(None, None)
"""What a page says that cannot ask."""


def values() -> dict[str, Any]:
    here = instance()
    me = _reader()
    surroundings = _surroundings(me.id if me else None)
    return {
        "me": me,
        "reader_unknown": me is None and identity.is_unknown(request),
        "month": surroundings.month,
        "month_known": surroundings is not NOT_KNOWN,
        "as_of_seconds": as_of.seconds,
        "status": surroundings.status,
        "card_usable": bool(me and me.has_usable_card(dt.datetime.now(dt.UTC).date())),
        "instance_name": here.name,
        "request_id": g.request_id,
        "refresh_seconds": here.runtime.settings.customers.stock_refresh_seconds,
        "notice": NOTICES.get("wanted" if guests.WANTED in request.args else request.args.get("done", "")),
        "notice_warns": request.args.get("done") == guests.LOGGED_OUT_MEANWHILE,
        "form_token": _form_token,
        "address_of_page": _address_of_page,
        "address_with": _address_with,
        "languages": LANGUAGES,
        "times": filters.times,
        "sent_again": forms.sent_again,
        "way_here": language_views.way_here,
    }


def _reader() -> Customer | None:
    """Who reads the page; a page about the database's absence is made as for a guest (identity.N3)."""
    try:
        return customer_or_guest()
    except DistributorError:
        return None


def _surroundings(customer_id: int | None) -> Surroundings:
    """A page about the database's absence must not need the database, nor one for whom it has no time."""
    if is_turned_away():
        return NOT_KNOWN
    try:
        return instance().shop.surroundings(customer_id, identity.status_before())
    except DistributorError:
        return NOT_KNOWN


def _form_token() -> Markup:
    if "form_token" not in g:
        g.form_token = Markup(f'<input type="hidden" name="{csrf.FIELD}" value="{csrf.token()}">')  # noqa: S704 - ours
    return g.form_token  # type: ignore[no-any-return]


def _address_of_page(number: int) -> str:
    """This list's other page, with the same search."""
    return _address_with(page=str(number))


def _address_with(**changes: str) -> str:
    """This list with another search, on its first page; "" takes a part of the search away."""
    kept = {name: value for name, value in request.args.items() if name in {"q", "manufacturer", "sort"}}
    asked = {name: value for name, value in (kept | changes).items() if value}
    return f"{request.path}?{urlencode(asked)}" if asked else request.path
