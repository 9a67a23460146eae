"""The blueprint of the pages: which function answers which path, what all pages show, and who may see them."""

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, g, redirect, request
from flask_login import current_user
from markupsafe import Markup
from werkzeug.wrappers import Response

from customers import identity
from customers.accounts import Customer
from customers.accounts.cards import shown_expiry
from customers.instance import customer_or_guest, instance
from customers.languages import LANGUAGES
from customers.languages import lazy_gettext as _
from customers.pages import (
    account_views,
    as_of,
    assets,
    cart_views,
    catalogue_views,
    checkout_views,
    csrf,
    developer_views,
    filters,
    forms,
    guests,
    language_views,
    maker_options,
    month_views,
    order_views,
    product_cards,
    signing_views,
    stock_views,
)
from customers.rate_limits import requests as rate_limits
from customers.shop import Surroundings
from customers.turned_away import is_turned_away
from distributor.errors import DistributorError

blueprint = Blueprint("pages", __name__, template_folder="templates")

# Path, method, view. Those after the line need a signed-in customer.
GUEST_VIEWS: tuple[tuple[str, str, Any], ...] = (
    ("/", "GET", catalogue_views.show_catalogue),
    ("/product/<id:stock_id>", "GET", catalogue_views.show_product),
    ("/static/<version>/<name>", "GET", assets.static_file),
    ("/picture/<version>/<motif>.svg", "GET", assets.picture),
    ("/api", "GET", developer_views.show_api),
    ("/stock", "GET", stock_views.show_stock),
    ("/sign-up", "GET", signing_views.show_sign_up),
    ("/sign-up", "POST", signing_views.sign_up),
    ("/log-in", "GET", signing_views.show_log_in),
    ("/log-in", "POST", signing_views.log_in),
    ("/language", "POST", language_views.choose_language),
)
CUSTOMER_VIEWS: tuple[tuple[str, str, Any], ...] = (
    ("/log-out", "POST", signing_views.log_out),
    ("/account", "GET", account_views.show_account),
    ("/account/card", "POST", account_views.save_card),
    ("/account/card/remove", "POST", account_views.remove_card),
    ("/account/details", "POST", account_views.save_details),
    ("/account/email", "POST", account_views.change_email),
    ("/account/password", "POST", account_views.change_password),
    ("/account/sessions/end", "POST", account_views.end_session),
    ("/account/sessions/end-others", "POST", account_views.end_other_sessions),
    ("/account/export", "GET", account_views.export_account),
    ("/account/delete", "POST", account_views.delete_account),
    ("/cart", "GET", cart_views.show_cart),
    ("/cart/<id:stock_id>", "POST", cart_views.set_quantity),
    ("/cart/<id:stock_id>/add", "POST", cart_views.add_to_cart),
    ("/cart/<id:stock_id>/hold", "POST", cart_views.hold_line),
    ("/cart/<id:stock_id>/remove", "POST", cart_views.remove_line),
    ("/cart/<id:stock_id>/swap", "POST", cart_views.swap_line),
    ("/cart/fit", "POST", cart_views.fit_cart),
    ("/checkout", "GET", checkout_views.show_checkout),
    ("/checkout", "POST", checkout_views.buy),
    ("/finished", "POST", month_views.finish_month),
    ("/orders", "GET", order_views.show_orders),
    ("/orders/<id:order_id>", "GET", order_views.show_order),
)
_CUSTOMERS_ONLY = frozenset(view.__name__ for _, _, view in CUSTOMER_VIEWS)

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


@blueprint.before_request
def _guard() -> Response | None:
    """Every form is checked; pages of one customer send a guest to the log-in page and back."""
    if (request.endpoint or "").rpartition(".")[2] in _CUSTOMERS_ONLY and not current_user.is_authenticated:
        return redirect(guests.log_in_address(), 303)
    csrf.check_if_unsafe()
    rate_limits.check()
    return None


@blueprint.after_app_request
def _keep_visitor(response: Any) -> Any:
    return csrf.keep_visitor(response)


@blueprint.app_context_processor
def _around_every_page() -> dict[str, Any]:
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


def _add_views() -> None:
    blueprint.register_error_handler(Exception, checkout_views.tell_trouble)
    for path, method, view in GUEST_VIEWS + CUSTOMER_VIEWS:
        blueprint.add_url_rule(path, view.__name__, view, methods=[method])
    blueprint.add_app_template_global(assets.address, "asset")
    blueprint.add_app_template_global(assets.picture_address, "picture_address")
    blueprint.add_app_template_global(product_cards.cards, "cards")
    blueprint.add_app_template_global(maker_options.maker_options, "maker_options")
    blueprint.add_app_template_filter(filters.number, "number")
    blueprint.add_app_template_filter(filters.money, "money")
    blueprint.add_app_template_filter(filters.moment, "moment")
    blueprint.add_app_template_filter(filters.time_left, "time_left")
    blueprint.add_app_template_filter(filters.span, "span")
    blueprint.add_app_template_filter(shown_expiry, "expiry")


_add_views()
