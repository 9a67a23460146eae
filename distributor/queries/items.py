"""Items: one manufacturer's stock of one good as a value, the columns that it is read from, and a single good's page."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, bindparam, or_, select
from sqlalchemy.orm import aliased

from distributor import tables
from distributor.database import trip
from distributor.prepared import Prepared
from distributor.tables import Manufacturer, Stock

AVAILABLE = Stock.supplied - Stock.withdrawn - Stock.sold

IN_STOCK = AVAILABLE != 0
"""Written so because PostgreSQL, which keeps no statistics of a difference, takes it for nearly all rows, as it is; of
``> 0`` it would expect a third. T1 keeps it from being negative."""


class Maker(NamedTuple):
    code: str
    name: str


class Item(NamedTuple):
    """One manufacturer's stock of one good, at this moment, as one reader sees it: ``available`` is what they can buy.

    A tuple, for a page has two dozen, and a data class takes five times as long to be made.
    """

    stock_id: int
    sku: str
    name: str
    manufacturer: Maker
    price_minor: int
    currency: str
    available: int
    in_other_carts: int = 0
    """Units that others hold in their carts; with none available they are not sold out, but in others' carts."""
    good_name: str = ""
    """What its first manufacturer calls the good: the same for all who make it, so its picture is drawn from this."""
    makers: int = 1
    """How many manufacturers have this good in stock; counted for the lists of the catalogue only."""


@dataclass(frozen=True)
class Product:
    """An item, sold out or not, and the same good from other manufacturers that have some, cheapest first."""

    item: Item
    others: tuple[Item, ...]


def select_items(*more: Any) -> Select[Any]:
    """The columns of an Item, and ``more`` after them."""
    return (
        select(
            Stock.id,
            tables.Product.sku,
            Stock.name,
            Manufacturer.code,
            Manufacturer.name.label("maker"),
            Stock.price_minor,
            Stock.currency,
            AVAILABLE.label("available"),
            good_name(Stock.product_id),
            *more,
        )
        .join(tables.Product, tables.Product.id == Stock.product_id)
        .join(Manufacturer, Manufacturer.id == Stock.manufacturer_id)
    )


def good_name(product_id: Any) -> ColumnElement[str]:
    """The column ``good_name`` of a row with this product: one look into the index for each."""
    first = aliased(Stock)
    names = select(first.name).where(first.product_id == product_id).order_by(first.id).limit(1)
    return names.scalar_subquery().label("good_name")


def item_of(row: Any, makers: int = 1) -> Item:
    return Item(
        stock_id=row.id,
        sku=row.sku,
        name=row.name,
        manufacturer=Maker(row.code, row.maker),
        price_minor=row.price_minor,
        currency=row.currency,
        available=row.available,
        good_name=row.good_name,
        makers=makers,
    )


def product(connection: Connection, stock_id: int) -> Product | None:
    """None if there is no such stock row. Sold out goods are found: somebody may have the page open."""
    [rows] = trip(connection, [_GOOD(stock_id=stock_id)])
    items = {row.id: item_of(row) for row in rows}
    one = items.pop(stock_id, None)
    return None if one is None else Product(one, tuple(items.values()))


_STOCK_ID = bindparam("stock_id", type_=BigInteger)
_OF_THE_SAME = select(Stock.product_id).where(Stock.id == _STOCK_ID).scalar_subquery()
_GOOD = Prepared(
    select_items()
    .where(Stock.product_id == _OF_THE_SAME, or_(Stock.id == _STOCK_ID, IN_STOCK))
    .order_by(Stock.price_minor, Stock.id)
)
