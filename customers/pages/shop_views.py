"""Cart, buying, orders: read the form, call one function, choose the page."""

import secrets

from flask import redirect, render_template, request
from werkzeug.wrappers import Response

from customers import purchase
from customers.errors import InvalidInput, NotFound, detail, refusal_rule
from customers.instance import customer, instance
from customers.pages import cart_shown, catalogue_views, forms
from customers.query_input import PageWanted, read_page
from distributor.errors import HoldRefused, InvalidBasket, NotEnoughStock
from distributor.queries import CartLine
from distributor.sales import Answer

Page = str | tuple[str, int] | Response

ORDERS_PER_PAGE = 20
KEY_BYTES = 18


def add_to_cart(stock_id: int) -> Page:
    try:
        instance().shop.add_to_cart(customer().id, stock_id, forms.quantity())
    except InvalidInput as error:
        return catalogue_views.product_page(stock_id, forms.by_field(error)), 422
    except InvalidBasket as error:
        return catalogue_views.product_page(stock_id, {error.field: error.reason}), 422
    except NotEnoughStock as error:
        return catalogue_views.product_page(stock_id, general=_too_many(error)), 409
    return redirect("/cart?done=added", 303)


def show_cart() -> Page:
    return _cart_page()


def set_quantity(stock_id: int) -> Page:
    try:
        instance().shop.put_in_cart(customer().id, stock_id, forms.quantity())
    except InvalidInput as error:
        return _cart_page(general=f"The quantity {error.errors[0].message}."), 422
    except InvalidBasket as error:
        return _cart_page(general=f"The {error.field} must be {error.reason}."), 422
    except NotEnoughStock as error:
        return _cart_page(general=_too_many(error)), 409
    return redirect("/cart", 303)


def hold_again(stock_id: int) -> Page:
    try:
        instance().shop.hold_again(customer().id, stock_id)
    except HoldRefused as error:
        return _cart_page(general=detail(error)), 409
    except NotEnoughStock:
        return _cart_page(), 409  # it shows what is short by itself, and who has it
    return redirect("/cart", 303)


def remove_line(stock_id: int) -> Page:
    instance().shop.take_out_of_cart(customer().id, stock_id)
    return redirect("/cart?done=removed", 303)


def fit_cart() -> Page:
    return _cart_page(lost=instance().shop.fit_cart(customer().id))


def buy() -> Page:
    me = customer()
    seen = cart_shown.read(forms.text("cart", cart_shown.LENGTH_MAX))
    wanted = purchase.Wanted(
        me.id, purchase.checked_key(forms.text("key")), None, expected=seen.lines, seen_prices=seen.prices
    )
    answer = purchase.place(instance().sales, wanted)
    if answer.status == 201:
        return redirect(f"/orders/{answer.body['id']}?done=bought", 303)
    return _refused(me.id, answer), answer.status


def show_orders() -> Page:
    page = instance().shop.orders(customer().id, PageWanted(read_page(request.args).page, ORDERS_PER_PAGE))
    return render_template("orders.html", here="orders", page=page)


def show_order(order_id: int) -> Page:
    order = instance().shop.order(customer().id, order_id)
    if order is None:
        raise NotFound
    return render_template("order.html", here="orders", order=order)


def finish_month() -> Page:
    instance().shop.finish(customer().id)
    return redirect("/?done=finished", 303)


def _refused(customer_id: int, answer: Answer) -> str:
    """The cart again: lost lines named, the rest kept."""
    reason = answer.body.get("reason")
    if reason == "not_enough_stock":
        return _cart_page(lost=instance().shop.fit_cart(customer_id))
    if reason == "price_changed":
        return _cart_page()  # it shows every new price by itself
    return _cart_page(general=refusal_rule(answer.status, answer.body)[1])


def _too_many(error: NotEnoughStock) -> str:
    line = error.lines[0]
    if line.available == 0:
        return "This has just been sold out. Your cart is as it was."
    return f"There are only {line.available:,} left, so {line.wanted:,} cannot be put in the cart. It is as it was."


def _cart_page(general: str = "", lost: list[CartLine] | None = None) -> str:
    cart = instance().shop.cart(customer().id)
    return render_template(
        "cart.html",
        here="cart",
        cart=cart,
        shown=cart_shown.write(cart),
        key=secrets.token_urlsafe(KEY_BYTES),
        general=general,
        lost=lost or [],
    )
