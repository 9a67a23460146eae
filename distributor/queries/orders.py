"""A customer's orders: never anybody else's."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, any_, bindparam, func, select

from distributor import tables
from distributor.queries.catalogue import Maker, good_name
from distributor.queries.pages import Page, offset_of
from distributor.tables import Manufacturer, Stock


@dataclass(frozen=True)
class OrderLine:
    """At the price that was paid."""

    stock_id: int
    sku: str
    name: str
    manufacturer: Maker
    quantity: int
    price_minor: int
    good_name: str = ""
    """As an Item's."""

    @property
    def subtotal_minor(self) -> int:
        return self.quantity * self.price_minor


@dataclass(frozen=True)
class Order:
    id: int
    status: str
    month: int
    lines: tuple[OrderLine, ...]
    total_minor: int
    currency: str
    created_at: dt.datetime


_ORDER = select(
    tables.Order.id,
    tables.Order.status,
    tables.Order.month,
    tables.Order.total_minor,
    tables.Order.currency,
    tables.Order.created_at,
)


_OF_CUSTOMER = tables.Order.customer_id == bindparam("customer_id", type_=BigInteger)
_ONE_ORDER = _ORDER.where(tables.Order.id == bindparam("order_id", type_=BigInteger), _OF_CUSTOMER)
_NEWEST = select(func.max(tables.Order.id)).where(_OF_CUSTOMER)
_LINES = (
    select(
        tables.OrderLine.order_id,
        tables.OrderLine.stock_id,
        tables.Product.sku,
        Stock.name,
        Manufacturer.code,
        Manufacturer.name.label("maker"),
        tables.OrderLine.quantity,
        tables.OrderLine.price_minor,
        good_name(Stock.product_id),
    )
    .join(Stock, Stock.id == tables.OrderLine.stock_id)
    .join(tables.Product, tables.Product.id == Stock.product_id)
    .join(Manufacturer, Manufacturer.id == Stock.manufacturer_id)
    .where(tables.OrderLine.order_id == any_(bindparam("order_ids", type_=ARRAY(BigInteger))))
    .order_by(tables.OrderLine.order_id, tables.OrderLine.stock_id)
)


def orders(connection: Connection, customer_id: int, page: int = 1, per_page: int = 50) -> Page[Order]:
    """Newest first, lines included. Three statements, however many orders."""
    offset = offset_of(page, per_page)
    own = tables.Order.customer_id == customer_id
    total = connection.execute(select(func.count()).select_from(tables.Order).where(own)).scalar_one()
    found = connection.execute(_ORDER.where(own).order_by(tables.Order.id.desc()).limit(per_page).offset(offset)).all()
    lines = _lines(connection, [row.id for row in found])
    return Page(tuple(_order(row, lines[row.id]) for row in found), page, per_page, total)


def order(connection: Connection, customer_id: int, order_id: int) -> Order | None:
    """None for an order that does not exist and for another customer's alike."""
    found = connection.execute(_ONE_ORDER, {"order_id": order_id, "customer_id": customer_id}).one_or_none()
    return None if found is None else _order(found, _lines(connection, [order_id])[order_id])


def has_answered(connection: Connection, customer_id: int, key: str) -> bool:
    """Whether this customer's idempotency key has its answer, a refusal included."""
    stored = tables.IdempotencyKey
    known = select(stored.status).where(stored.customer_id == customer_id, stored.key == key)
    return connection.scalar(known) is not None


def newest_order(connection: Connection, customer_id: int) -> int:
    """The highest of the customer's order numbers, 0 before the first: what a page was made after."""
    return connection.scalar(_NEWEST, {"customer_id": customer_id}) or 0


def _order(row: Any, lines: Sequence[OrderLine]) -> Order:
    return Order(row.id, row.status, row.month, tuple(lines), row.total_minor, row.currency, row.created_at)


def _lines(connection: Connection, order_ids: Sequence[int]) -> dict[int, list[OrderLine]]:
    lines: dict[int, list[OrderLine]] = {order_id: [] for order_id in order_ids}
    if not order_ids:
        return lines
    found = connection.execute(_LINES, {"order_ids": list(order_ids)})
    for row in found:
        maker = Maker(row.code, row.maker)
        line_of_it = OrderLine(row.stock_id, row.sku, row.name, maker, row.quantity, row.price_minor, row.good_name)
        lines[row.order_id].append(line_of_it)
    return lines
