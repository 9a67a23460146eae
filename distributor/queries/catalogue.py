"""What is in stock: pages of it, single goods, and who else makes the same good."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from distributor import tables
from distributor.queries.pages import Page, offset_of
from distributor.tables import Manufacturer, Stock

Sort = Literal["name", "price", "-price"]
WORDS_MAX = 8  # of a search; more do not make it narrower in practice
ITEMS_MAX = 500  # rows that one refresh may ask for

AVAILABLE = Stock.supplied - Stock.withdrawn - Stock.sold

_ORDERS: dict[str, tuple[Any, ...]] = {
    "name": (Stock.name, Stock.id),
    "price": (Stock.price_minor, Stock.name, Stock.id),
    "-price": (Stock.price_minor.desc(), Stock.name, Stock.id),
}


@dataclass(frozen=True)
class Maker:
    code: str
    name: str


@dataclass(frozen=True)
class Item:
    """One manufacturer's stock of one good, at this moment, as one reader sees it: ``available`` is what they can buy."""

    stock_id: int
    sku: str
    name: str
    manufacturer: Maker
    price_minor: int
    currency: str
    available: int
    in_other_carts: int = 0
    """Units that others hold in their carts; with none available they are not sold out, but in others' carts."""


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
            *more,
        )
        .join(tables.Product, tables.Product.id == Stock.product_id)
        .join(Manufacturer, Manufacturer.id == Stock.manufacturer_id)
    )


def item_of(row: Any) -> Item:
    return Item(
        stock_id=row.id,
        sku=row.sku,
        name=row.name,
        manufacturer=Maker(row.code, row.maker),
        price_minor=row.price_minor,
        currency=row.currency,
        available=row.available,
    )


def catalogue(
    connection: Connection,
    *,
    q: str = "",
    manufacturer: str = "",
    sort: Sort = "name",
    page: int = 1,
    per_page: int = 50,
) -> Page[Item]:
    """A page of what is in stock. ``q``: words that must all be in the name or the sku, in any case.

    ``manufacturer``: a code, empty for all. Two statements: rows of the page, and the count of the whole list.
    """
    offset = offset_of(page, per_page)
    if sort not in get_args(Sort):
        message = f"sort must be one of {', '.join(get_args(Sort))}, not {sort!r}"
        raise ValueError(message)
    wanted = _wanted(q, manufacturer)
    found = connection.execute(
        select_items().where(*wanted).order_by(*_ORDERS[sort]).limit(per_page).offset(offset)
    ).all()
    if len(found) < per_page and (found or page == 1):
        total = offset + len(found)
    else:
        counting = select(func.count()).select_from(Stock)
        if q:
            counting = counting.join(tables.Product, tables.Product.id == Stock.product_id)
        if manufacturer:
            counting = counting.join(Manufacturer, Manufacturer.id == Stock.manufacturer_id)
        total = connection.execute(counting.where(*wanted)).scalar_one()
    return Page(tuple(item_of(row) for row in found), page, per_page, total)


def _wanted(q: str, manufacturer: str) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [AVAILABLE > 0]
    for word in q.split()[:WORDS_MAX]:
        pattern = like_pattern(word)
        conditions.append(or_(Stock.name.ilike(pattern, escape="\\"), tables.Product.sku.ilike(pattern, escape="\\")))
    if manufacturer:
        conditions.append(Manufacturer.code == manufacturer)
    return conditions


def like_pattern(word: str) -> str:
    """``word`` anywhere; what LIKE would read as a wildcard stands for itself."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def product(connection: Connection, stock_id: int) -> Product | None:
    """None if there is no such stock row. Sold out goods are found: somebody may have the page open."""
    row = connection.execute(select_items(Stock.product_id).where(Stock.id == stock_id)).one_or_none()
    if row is None:
        return None
    others = connection.execute(
        select_items()
        .where(Stock.product_id == row.product_id, Stock.id != stock_id, AVAILABLE > 0)
        .order_by(Stock.price_minor, Stock.id)
    )
    return Product(item_of(row), tuple(item_of(other) for other in others))


def items(connection: Connection, stock_ids: Sequence[int]) -> list[Item]:
    """The present state of these stock rows, by id, for pages that refresh their quantities; unknown ids are left out."""
    wanted = sorted(set(stock_ids))[:ITEMS_MAX]
    found = connection.execute(select_items().where(Stock.id.in_(wanted)).order_by(Stock.id))
    return [item_of(row) for row in found]


def manufacturers(connection: Connection) -> list[Maker]:
    """Who has anything in stock, by name: the choices of the catalogue's filter."""
    has_stock = select(Stock.id).where(Stock.manufacturer_id == Manufacturer.id, AVAILABLE > 0).exists()
    found = connection.execute(
        select(Manufacturer.code, Manufacturer.name).where(has_stock).order_by(Manufacturer.name, Manufacturer.code)
    )
    return [Maker(row.code, row.name) for row in found]
