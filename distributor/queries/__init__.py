"""Queries: what people ask of the shop, and the carts. Plain functions on a Connection that return frozen values.

The caller opens the transaction (`distributor.database.transaction`). Reading takes no lock that a purchase waits for.
"""

from distributor.queries.alternatives import alternatives
from distributor.queries.carts import (
    Cart,
    CartLine,
    add_to_cart,
    cart,
    cart_and_newest_order,
    hold_again,
    lock_cart,
    put_in_cart,
    take_out_of_cart,
)
from distributor.queries.catalogue import catalogue, catalogue_total, manufacturers
from distributor.queries.items import Item, Maker, Product, product
from distributor.queries.months import (
    CustomerStatus,
    MonthStatus,
    current_month,
    customer_status,
    finish,
    status_columns,
    status_of,
    unfinish,
)
from distributor.queries.orders import Order, OrderLine, has_answered, newest_order, order, order_and_facts, orders
from distributor.queries.pages import Page
from distributor.queries.progress import Facts, Step, StepName, facts_of, reached, steps
from distributor.queries.quantities import IdList, Quantity, Reading, quantities, quantities_since
from distributor.queries.seen import as_seen_by

__all__ = [
    "Cart",
    "CartLine",
    "CustomerStatus",
    "Facts",
    "IdList",
    "Item",
    "Maker",
    "MonthStatus",
    "Order",
    "OrderLine",
    "Page",
    "Product",
    "Quantity",
    "Reading",
    "Step",
    "StepName",
    "add_to_cart",
    "alternatives",
    "as_seen_by",
    "cart",
    "cart_and_newest_order",
    "catalogue",
    "catalogue_total",
    "current_month",
    "customer_status",
    "facts_of",
    "finish",
    "has_answered",
    "hold_again",
    "lock_cart",
    "manufacturers",
    "newest_order",
    "order",
    "order_and_facts",
    "orders",
    "product",
    "put_in_cart",
    "quantities",
    "quantities_since",
    "reached",
    "status_columns",
    "status_of",
    "steps",
    "take_out_of_cart",
    "unfinish",
]
