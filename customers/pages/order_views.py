"""Orders: the list with its pages, and each order with how far it has come."""

from flask import request

from customers.errors import NotFound
from customers.instance import customer, instance
from customers.languages import lazy_gettext as _
from customers.languages import render_template
from customers.pages.answers import Page
from customers.pages.how_sold import how_sold
from customers.query_input import PageWanted, read_page
from distributor.queries import reached, steps

ORDERS_PER_PAGE = 20

STATE_WORDS = {
    "received": _("Received"),
    "makers_told": _("With the manufacturers"),
    "month_closed": _("Month closed"),
}
"""The last step that has happened, for the list."""


def show_orders() -> Page:
    wanted = PageWanted(read_page(request.args).page, ORDERS_PER_PAGE)
    page, facts = instance().shop.orders_and_facts(customer().id, wanted)
    states = {order_id: reached(known) for order_id, known in facts.items()}
    return render_template("orders.html", here="orders", page=page, states=states, words=STATE_WORDS)


def show_order(order_id: int) -> Page:
    found = instance().shop.order_and_facts(customer().id, order_id)
    if found is None:
        raise NotFound
    order, facts = found
    makers = {line.manufacturer.code: line.manufacturer.name for line in order.lines}
    told = [name for code, name in makers.items() if facts.told.get(code) is not None]
    return render_template(
        "order.html",
        here="orders",
        order=order,
        facts=facts,
        steps=steps(facts),
        makers=makers,
        told=told,
        sold=how_sold(facts.sold) if facts.sold else None,
    )
