"""Where guests are led who ask for what only customers have: to the log-in page, and from there back to what they wanted.

A guest has no cart: a cart belongs to an account, so that it is the same on every instance and device, and so that the
limits on holds mean something. What a guest wanted to put in is carried in the address, and offered after signing in.
"""

from urllib.parse import urlencode

from flask import request
from werkzeug.datastructures import MultiDict

from customers.pages import forms

WANTED = "want"  # of a product page: how many the reader wanted before signing in
LOGGED_OUT_MEANWHILE = "logged-out-meanwhile"  # what the log-in page says to who sent a form that needs a customer


def log_in_address() -> str:
    """The log-in page that leads back to what this request wanted."""
    back = forms.way_back(_wanted())
    query = {"next": back} if back != "/" else {}
    if request.method == "POST":  # only customers' pages have such forms, so a session has ended since
        query["done"] = LOGGED_OUT_MEANWHILE
    return f"/log-in?{urlencode(query, safe='/')}" if query else "/log-in"


def _wanted() -> str:
    if request.method == "GET":
        return request.path
    if request.endpoint == "pages.add_to_cart":
        stock_id = (request.view_args or {}).get("stock_id", 0)
        typed = request.form.get("quantity", "")
        return f"/product/{stock_id}?{WANTED}={typed if forms.QUANTITY.fullmatch(typed) else 1}"
    return next((page for page in ("/checkout", "/cart") if request.path.startswith(page)), "/")


def wanted_quantity(given: "MultiDict[str, str]") -> int | None:
    """How many the reader of a product page wanted before signing in; None for everybody else."""
    typed = given.get(WANTED, "")
    return int(typed) if forms.QUANTITY.fullmatch(typed) else None
