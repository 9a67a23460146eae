"""The blueprint of the pages: which function answers which path, who may see it, and what templates can use."""

from collections.abc import Callable
from typing import Any, NamedTuple

from flask import Blueprint, redirect, request
from flask_login import current_user
from werkzeug.wrappers import Response

from customers.accounts.cards import shown_expiry
from customers.pages import (
    account_views,
    assets,
    cart_views,
    catalogue_views,
    checkout_views,
    csrf,
    developer_views,
    filters,
    guests,
    language_views,
    maker_options,
    month_views,
    order_views,
    page_context,
    product_cards,
    signing_views,
    stock_views,
)
from customers.rate_limits import requests as rate_limits

blueprint = Blueprint("pages", __name__, template_folder="templates")


class Route(NamedTuple):
    path: str
    method: str
    view: Callable[..., Any]


GUEST_VIEWS = (
    Route("/", "GET", catalogue_views.show_catalogue),
    Route("/product/<id:stock_id>", "GET", catalogue_views.show_product),
    Route("/static/<version>/<name>", "GET", assets.static_file),
    Route("/picture/<version>/<motif>.svg", "GET", assets.picture),
    Route("/api", "GET", developer_views.show_api),
    Route("/stock", "GET", stock_views.show_stock),
    Route("/sign-up", "GET", signing_views.show_sign_up),
    Route("/sign-up", "POST", signing_views.sign_up),
    Route("/log-in", "GET", signing_views.show_log_in),
    Route("/log-in", "POST", signing_views.log_in),
    Route("/language", "POST", language_views.choose_language),
)
# Of whoever is signed in.
CUSTOMER_VIEWS = (
    Route("/log-out", "POST", signing_views.log_out),
    Route("/account", "GET", account_views.show_account),
    Route("/account/card", "POST", account_views.save_card),
    Route("/account/card/remove", "POST", account_views.remove_card),
    Route("/account/details", "POST", account_views.save_details),
    Route("/account/email", "POST", account_views.change_email),
    Route("/account/password", "POST", account_views.change_password),
    Route("/account/sessions/end", "POST", account_views.end_session),
    Route("/account/sessions/end-others", "POST", account_views.end_other_sessions),
    Route("/account/export", "GET", account_views.export_account),
    Route("/account/delete", "POST", account_views.delete_account),
    Route("/cart", "GET", cart_views.show_cart),
    Route("/cart/<id:stock_id>", "POST", cart_views.set_quantity),
    Route("/cart/<id:stock_id>/add", "POST", cart_views.add_to_cart),
    Route("/cart/<id:stock_id>/hold", "POST", cart_views.hold_line),
    Route("/cart/<id:stock_id>/remove", "POST", cart_views.remove_line),
    Route("/cart/<id:stock_id>/swap", "POST", cart_views.swap_line),
    Route("/cart/fit", "POST", cart_views.fit_cart),
    Route("/checkout", "GET", checkout_views.show_checkout),
    Route("/checkout", "POST", checkout_views.buy),
    Route("/finished", "POST", month_views.finish_month),
    Route("/orders", "GET", order_views.show_orders),
    Route("/orders/<id:order_id>", "GET", order_views.show_order),
)
_CUSTOMERS_ONLY = frozenset(route.view.__name__ for route in CUSTOMER_VIEWS)


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


def _fill() -> None:
    blueprint.register_error_handler(Exception, checkout_views.tell_trouble)
    blueprint.app_context_processor(page_context.values)
    for route in GUEST_VIEWS + CUSTOMER_VIEWS:
        blueprint.add_url_rule(route.path, route.view.__name__, route.view, methods=[route.method])
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


_fill()
