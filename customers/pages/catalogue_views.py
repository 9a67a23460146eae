"""Catalogue and product: read the address, call one function, choose the page."""

from flask import render_template, request
from flask_login import current_user
from werkzeug.wrappers import Response

from customers.errors import NotFound
from customers.instance import customer, instance
from customers.pages import forms
from customers.query_input import read_products
from distributor.queries import Product

Page = str | tuple[str, int] | Response

PRODUCTS_PER_PAGE = 24  # fills rows of 2, 3, 4 and 6


def show_catalogue() -> Page:
    wanted = read_products(request.args, PRODUCTS_PER_PAGE)
    shop = instance().shop
    reader = _reader()
    page = shop.window.products(wanted) if reader is None else shop.products(wanted, reader)
    return render_template("catalogue.html", here="catalogue", wanted=wanted, page=page, makers=shop.window.makers())


def show_product(stock_id: int) -> Page:
    return product_page(stock_id)


def product_page(stock_id: int, errors: dict[str, str] | None = None, general: str = "") -> str:
    """The product, also as the answer to a form on it: with what was typed and what is wrong about it."""
    shop = instance().shop
    reader = _reader()
    product: Product | None = shop.window.product(stock_id) if reader is None else shop.product(stock_id, reader)
    if product is None:
        raise NotFound
    typed = request.form.get("quantity", "1")[: forms.QUANTITY_LENGTH_MAX]
    return render_template(
        "product.html",
        here="catalogue",
        product=product.item,
        others=product.others,
        errors=errors or {},
        general=general,
        quantity=typed,
    )


def _reader() -> int | None:
    """Guests share what was read a moment ago; a customer sees the shop after what they have just done."""
    return customer().id if current_user.is_authenticated else None
