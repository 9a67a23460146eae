"""The cart: read the form, call one function, choose the page.

Forms of the cart are on the checkout page, too; their field ``back`` says on which of the two the customer goes on.
"""

from flask import redirect, request
from werkzeug.wrappers import Response

from customers.errors import InvalidInput
from customers.instance import customer, instance
from customers.languages import gettext as _
from customers.languages import render_template
from customers.pages import answers, catalogue_views, checkout_views, forms, offers, sentences
from customers.pages.answers import Page
from distributor.errors import HoldRefused, InvalidBasket, NotEnoughStock, UnknownStock

TYPED_LENGTH_MAX = 12  # of a wrong quantity that is shown again


def add_to_cart(stock_id: int) -> Page:
    try:
        instance().shop.add_to_cart(customer().id, stock_id, forms.quantity())
    except (InvalidInput, InvalidBasket, NotEnoughStock) as error:
        return catalogue_views.product_page(stock_id, {"quantity": _why(error)}), sentences.status_of(error)
    product = instance().shop.window.product(stock_id) if answers.wants_part() else None
    if product is not None:
        return render_template("added.html", item=product.item)
    return redirect("/cart?done=added", 303)


def show_cart() -> Page:
    return _cart_page()


def set_quantity(stock_id: int) -> Page:
    try:
        instance().shop.put_in_cart(customer().id, stock_id, forms.quantity())
    except (InvalidInput, InvalidBasket, NotEnoughStock) as error:
        return _again(_why(error), stock_id), sentences.status_of(error)
    return _go_on("changed")


def remove_line(stock_id: int) -> Page:
    instance().shop.take_out_of_cart(customer().id, stock_id)
    return _go_on("removed")


def swap_line(stock_id: int) -> Page:
    """The same good from another manufacturer, in one click."""
    try:
        other_id, quantity = forms.row_id("other"), forms.quantity()
        instance().shop.swap_in_cart(customer().id, stock_id, other_id, quantity)
    except NotEnoughStock as error:
        other = instance().shop.window.product(other_id)
        return _again(sentences.swap_refused(error, other.item.manufacturer.name) if other else _why(error), None), 409
    except (InvalidInput, InvalidBasket) as error:
        return _again(_why(error), None), sentences.status_of(error)
    return _go_on("swapped")


def hold_line(stock_id: int) -> Page:
    """Keep the goods from others (again), from now on."""
    try:
        instance().shop.hold_again(customer().id, stock_id)
    except HoldRefused as error:
        return _again(sentences.hold_refused(error, instance().runtime.settings.cart), None), 409
    except NotEnoughStock as error:
        return _again(_why(error), None), 409
    except UnknownStock:  # taken out in another window
        return _again(_("This is not in your cart any more."), None), 404
    return _go_on("held")


def fit_cart() -> Page:
    """Every short line lowered to what is left, or taken out where nothing is."""
    try:
        instance().shop.fit_cart(customer().id)
    except NotEnoughStock as error:  # others were faster even now; the page shows what is left
        return _again(_why(error), None), sentences.status_of(error)
    return _go_on("fitted")


def _why(error: sentences.QuantityRefused) -> str:
    return sentences.quantity_refused(error, instance().runtime.settings.cart)


def _go_on(done: str) -> Response:
    return redirect(f"/{_page_to_go_on()}?done={done}", 303)


def _page_to_go_on() -> str:
    return "checkout" if forms.text("back") == "checkout" else "cart"


def _again(message: str, stock_id: int | None) -> str:
    """The page that the form was on, with what is wrong: beside the field where it has that field."""
    if _page_to_go_on() == "checkout":
        return checkout_views.checkout_page(message)
    return _cart_page(message, stock_id)


def _cart_page(message: str = "", wrong_line: int | None = None) -> str:
    me = customer()
    found = instance().shop.cart_and_offers(me.id)
    rest = offers.rest(found.cart)
    has_line = any(line.item.stock_id == wrong_line for line in rest.lines)
    return render_template(
        "cart.html",
        here="cart",
        cart=found.cart,
        rest=rest,
        lost=offers.lost_lines(found.cart, found.others),
        message=message,
        wrong_line=wrong_line if has_line else None,
        typed=request.form.get("quantity", "")[:TYPED_LENGTH_MAX],
        newest=None if found.cart.lines else instance().shop.order(me.id, found.newest_order),
    )
