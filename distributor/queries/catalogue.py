"""What is in stock: pages of it, single goods, and who else makes the same good."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    bindparam,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from distributor import tables
from distributor.database import trip
from distributor.prepared import Prepared
from distributor.queries import search
from distributor.queries.pages import Page, offset_of
from distributor.tables import Manufacturer, Stock

Sort = Literal["name", "price", "-price"]
AVAILABLE = Stock.supplied - Stock.withdrawn - Stock.sold

IN_STOCK = AVAILABLE != 0
"""Written so because PostgreSQL, which keeps no statistics of a difference, takes it for nearly all rows, as it is; of
``> 0`` it would expect a third. T1 keeps it from being negative."""

LISTED_MAX = 20_000
"""Rows of a list that its pages show, and that are counted: what is passed over is read, 0.7 µs a row, and nobody turns
a thousand pages. Whoever wants others searches, or chooses a manufacturer."""

SEARCHED_MAX = 5_000
"""Goods that a search takes, in no order, before it sorts them: of words that more goods have, the list is of so many of them.
Without a bound, PostgreSQL has the choice between sorting all that match and walking through the list until a page is full,
past up to a million goods that do not: seconds for a word that nothing has, for of any beginning it expects 2 % of all."""

_LIMIT = bindparam("limit", type_=Integer)
_LIMIT_WRITTEN = bindparam("limit", type_=Integer, literal_execute=True)
"""For PostgreSQL to plan with: how many are wanted decides between looking words up and reading the table."""

_ORDERS: dict[Sort, Callable[[Any], tuple[Any, ...]]] = {
    "name": lambda rows: (rows.name, rows.id),
    "price": lambda rows: (rows.price_minor, rows.name, rows.id),
    "-price": lambda rows: (rows.price_minor.desc(), rows.name, rows.id),
}
_BACKWARDS: dict[Sort, Callable[[Any], tuple[Any, ...]]] = {
    "name": lambda rows: (rows.name.desc(), rows.id.desc()),
    "price": lambda rows: (rows.price_minor.desc(), rows.name.desc(), rows.id.desc()),
    "-price": lambda rows: (rows.price_minor, rows.name.desc(), rows.id.desc()),
}


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


def catalogue(
    connection: Connection,
    *,
    q: str = "",
    manufacturer: str = "",
    sort: Sort = "name",
    page: int = 1,
    per_page: int = 50,
    total: int | None = None,
) -> Page[Item]:
    """A page of what is in stock. ``q``: words, see `search`; ``manufacturer``: a code, empty for all.

    ``total``: how long the whole list is, if the caller has counted it lately (`catalogue_total`); else the
    same statement counts it. Of a list longer than LISTED_MAX, a search's than SEARCHED_MAX, there are pages of so many rows,
    and it says so (``cut``).
    """
    offset = offset_of(page, per_page)
    if sort not in get_args(Sort):
        message = f"sort must be one of {', '.join(get_args(Sort))}, not {sort!r}"
        raise ValueError(message)
    words = search.words_of(q)
    if q and not words:
        return Page((), page, per_page, 0)
    rows_max = SEARCHED_MAX if words else LISTED_MAX
    wanted = min(per_page, rows_max - offset)
    values = _parameters(words, manufacturer)
    found: list[Any] = []
    if total is not None and not words and _is_nearer_to_the_end(offset, total):
        statement = _page_statement(
            sort, searched=False, one_manufacturer=bool(manufacturer), per_page=per_page, backwards=True
        )
        [found] = trip(connection, [statement(**values, offset=max(0, total - offset - per_page))])
        return Page(tuple(item_of(row, row.makers) for row in found[offset - total :]), page, per_page, total)
    if wanted > 0:
        statement = _page_statement(
            sort, bool(words), bool(manufacturer), per_page, counted=total is None, first=offset == 0
        )
        counting = {"limit": rows_max} if words or total is None else {}
        beginning = {"offset": offset} if offset else {}
        [found] = trip(connection, [statement(**values, **counting, **beginning)])
        found = found[:wanted]
    if total is None:
        total = found[0].total if found else 0
        if not found and page > 1:
            total = catalogue_total(connection, q=q, manufacturer=manufacturer)
    if len(found) < wanted and (found or page == 1):
        total = offset + len(found)
    elif found:
        total = max(total, offset + len(found))
    return Page(tuple(item_of(row, row.makers) for row in found), page, per_page, total, cut=total >= rows_max)


def _is_nearer_to_the_end(offset: int, total: int) -> bool:
    """What is passed over is read: from the list's end there may be less of it. The end of a list that is cut is elsewhere."""
    return total / 2 < offset < total < LISTED_MAX


def catalogue_total(connection: Connection, *, q: str = "", manufacturer: str = "") -> int:
    """How many rows all pages of the list have together, LISTED_MAX at most, of a search SEARCHED_MAX."""
    words = search.words_of(q)
    if q and not words:
        return 0
    values = _parameters(words, manufacturer) | {"limit": SEARCHED_MAX if words else LISTED_MAX}
    [[row]] = trip(connection, [_total_statement(bool(words), bool(manufacturer))(**values)])
    return int(row.total)


def _parameters(words: str, manufacturer: str) -> dict[str, Any]:
    searched = {"words": words} if words else {}
    return searched | ({"manufacturer": manufacturer} if manufacturer else {})


@cache
def _page_statement(
    sort: Sort,
    searched: bool,
    one_manufacturer: bool,
    per_page: int,
    *,
    counted: bool = False,
    backwards: bool = False,
    first: bool = False,
) -> Prepared:
    """Built once a kind of list. The rows are chosen first, then the names that belong to them are looked up. ``counted``:
    each row says how long the whole list is; a statement of its own for that would cost its asker as much as the page's.
    ``backwards``: of a list that is not searched, the offset is from its end; the rows come in their order all the same.

    The limit is written into the statement: with one that it does not know, PostgreSQL plans for a tenth of the table. For an
    offset that it does not know, too, so it would plan each ``first`` page anew, which takes twice as long as to read it.
    """
    listed = select(
        Stock.id,
        Stock.product_id,
        Stock.manufacturer_id,
        Stock.name,
        Stock.price_minor,
        Stock.currency,
        AVAILABLE.label("available"),
    ).where(*_wanted(searched, one_manufacturer))
    if searched:
        taken = listed.limit(_LIMIT_WRITTEN).subquery()
        listed = select(*taken.c, func.count().over().label("total")).order_by(*_ORDERS[sort](taken.c))
    else:
        listed = listed.order_by(*(_BACKWARDS if backwards else _ORDERS)[sort](Stock))
    chosen = listed.limit(literal_column(str(per_page), Integer))
    rows = (chosen if first else chosen.offset(bindparam("offset"))).subquery().c
    same = aliased(Stock)
    makers = select(func.count()).where(same.product_id == rows.product_id, same.supplied - same.withdrawn != same.sold)
    statement = (
        select(
            rows.id,
            tables.Product.sku,
            rows.name,
            Manufacturer.code,
            Manufacturer.name.label("maker"),
            rows.price_minor,
            rows.currency,
            rows.available,
            good_name(rows.product_id),
            makers.scalar_subquery().label("makers"),
            *(
                [rows.total if searched else _total(one_manufacturer).scalar_subquery().label("total")]
                if counted
                else []
            ),
        )
        .join(tables.Product, tables.Product.id == rows.product_id)
        .join(Manufacturer, Manufacturer.id == rows.manufacturer_id)
        .order_by(*_ORDERS[sort](rows))
    )
    return Prepared(statement)


@cache
def _total_statement(searched: bool, one_manufacturer: bool) -> Prepared:
    return Prepared(_total(one_manufacturer, searched=searched))


def _total(one_manufacturer: bool, *, searched: bool = False) -> Select[Any]:
    limit = _LIMIT_WRITTEN if searched else _LIMIT
    counted = select(Stock.id).where(*_wanted(searched, one_manufacturer)).limit(limit).subquery()
    return select(func.count().label("total")).select_from(counted)


def _wanted(searched: bool, one_manufacturer: bool) -> list[ColumnElement[bool]]:
    conditions = [IN_STOCK, *([search.matches()] if searched else [])]
    if one_manufacturer:
        by_code = select(Manufacturer.id).where(Manufacturer.code == bindparam("manufacturer"))
        conditions.append(Stock.manufacturer_id == by_code.scalar_subquery())
    return conditions


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


def manufacturers(connection: Connection) -> list[Maker]:
    """Who has anything in stock, by name: the choices of the catalogue's filter."""
    [rows] = trip(connection, [_MAKERS()])
    return [Maker(row.code, row.name) for row in rows]


_MAKERS = Prepared(
    select(Manufacturer.code, Manufacturer.name)
    .where(select(Stock.id).where(Stock.manufacturer_id == Manufacturer.id, IN_STOCK).exists())
    .order_by(Manufacturer.name, Manufacturer.code)
)
