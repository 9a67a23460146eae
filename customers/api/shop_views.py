"""Products, cart, orders and the month: read the request, call one function, answer."""

from typing import Any

from flask import Response, jsonify, request
from flask_login import current_user

from customers import purchase
from customers.api import documents, paging
from customers.api.calls import PREFIX
from customers.api.models import NewOrder, NewQuantity
from customers.error_pages import problem
from customers.errors import NotFound, refused_purchase
from customers.instance import customer, instance
from customers.json_input import read_body
from customers.query_input import read_page, read_products
from distributor.errors import ShopClosed
from distributor.queries import Page
from distributor.sales import Line


def list_products() -> Response:
    page = instance().shop.products(read_products(request.args), _reader())
    return _page(page, documents.product_page(page))


def show_product(stock_id: int) -> Response:
    product = instance().shop.product(stock_id, _reader())
    if product is None:
        raise NotFound
    return jsonify(documents.product_shown(product))


def show_cart() -> Response:
    return jsonify(documents.cart(instance().shop.cart(customer().id)))


def put_in_cart(stock_id: int) -> Response:
    wanted = read_body(NewQuantity)
    return jsonify(
        documents.cart(instance().shop.put_in_cart(customer().id, stock_id, wanted.quantity, accepts_price=True))
    )


def take_out_of_cart(stock_id: int) -> Response:
    return jsonify(documents.cart(instance().shop.take_out_of_cart(customer().id, stock_id)))


def hold_again(stock_id: int) -> Response:
    return jsonify(documents.cart(instance().shop.hold_again(customer().id, stock_id)))


def place_order() -> Response:
    key = purchase.checked_key(request.headers.get("Idempotency-Key"))
    order = read_body(NewOrder)
    lines = [Line(line.stock_id, line.quantity) for line in order.lines] or None
    decided = request.environ.get(purchase.DECIDED)
    answer = purchase.place(instance().sales, customer().id, purchase.Wanted(key, lines), decided)
    if answer.status == 201:
        response = jsonify(answer.body)
        response.status_code = answer.status
        response.headers["Location"] = f"{PREFIX}/orders/{answer.body['id']}"
    else:
        refused = refused_purchase(answer.status, answer.body)
        response = problem(refused.rule, str(refused.detail), answer.body, is_kept=True)
    if answer.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    purchase.tell(response, answer.contention)
    return response


def list_orders() -> Response:
    page = instance().shop.orders(customer().id, read_page(request.args))
    return _page(page, documents.order_page(page))


def show_order(order_id: int) -> Response:
    order = instance().shop.order(customer().id, order_id)
    if order is None:
        raise NotFound
    return jsonify(documents.order(order))


def finish() -> Response:
    return jsonify(month=instance().shop.finish(customer().id))


def show_month() -> Response:
    month = instance().shop.current_month()
    if month is None:
        raise ShopClosed
    return jsonify(documents.month(month))


def _reader() -> int | None:
    """Whose own holds do not stand in the way; anybody may look, and who it is matters only where carts hold goods."""
    return customer().id if instance().shop.carts_hold and current_user.is_authenticated else None


def _page(page: Page[Any], document: documents.Document) -> Response:
    response = jsonify(document)
    response.headers["Link"] = paging.links(request.path, request.args, page)
    return response
