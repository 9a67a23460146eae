"""A customer's orders: never anybody else's."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, any_, bindparam, func, select

from distributor import tables
from distributor.database import Statement, trip
from distributor.prepared import Prepared
from distributor.queries.items import Maker, good_name
from distributor.queries.pages import Page, offset_of
from distributor.queries.progress import Facts, asking_for_facts, facts_in
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
_ONE_ORDER = Prepared(_ORDER.where(tables.Order.id == bindparam("order_id", type_=BigInteger), _OF_CUSTOMER))
_NEWEST = Prepared(select(func.max(tables.Order.id).label("newest")).where(_OF_CUSTOMER))
_LINES = Prepared(
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
    found, lines = trip(
        connection, [_ONE_ORDER(order_id=order_id, customer_id=customer_id), _LINES(order_ids=[order_id])]
    )
    return _order(found[0], [_line(row) for row in lines]) if found else None


def order_and_facts(connection: Connection, customer_id: int, order_id: int) -> tuple[Order, Facts] | None:
    """One trip: whose order it is decides whether the others' answers are looked at."""
    found, lines, facts = trip(
        connection,
        [
            _ONE_ORDER(order_id=order_id, customer_id=customer_id),
            _LINES(order_ids=[order_id]),
            asking_for_facts([order_id]),
        ],
    )
    if not found:
        return None
    return _order(found[0], [_line(row) for row in lines]), facts_in(facts)[order_id]


def has_answered(connection: Connection, customer_id: int, key: str) -> bool:
    """Whether this customer's idempotency key has its answer, a refusal included."""
    stored = tables.IdempotencyKey
    known = select(stored.status).where(stored.customer_id == customer_id, stored.key == key)
    return connection.scalar(known) is not None


def newest_order(connection: Connection, customer_id: int) -> int:
    """The highest of the customer's order numbers, 0 before the first: what a page was made after."""
    [[row]] = trip(connection, [asking_for_newest(customer_id)])
    return row.newest or 0


def asking_for_newest(customer_id: int) -> Statement:
    """One row, whose ``newest`` is None before the first order."""
    return _NEWEST(customer_id=customer_id)


def _order(row: Any, lines: Sequence[OrderLine]) -> Order:
    return Order(row.id, row.status, row.month, tuple(lines), row.total_minor, row.currency, row.created_at)


def _lines(connection: Connection, order_ids: Sequence[int]) -> dict[int, list[OrderLine]]:
    lines: dict[int, list[OrderLine]] = {order_id: [] for order_id in order_ids}
    if not order_ids:
        return lines
    [found] = trip(connection, [_LINES(order_ids=list(order_ids))])
    for row in found:
        lines[row.order_id].append(_line(row))
    return lines


def _line(row: Any) -> OrderLine:
    maker = Maker(row.code, row.maker)
    return OrderLine(row.stock_id, row.sku, row.name, maker, row.quantity, row.price_minor, row.good_name)
