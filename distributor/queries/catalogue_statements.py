"""The statements of the catalogue's lists. Each kind of list is written out once; which one is asked, catalogue.py decides.

Limits are written into the statements: with one that it does not know, PostgreSQL plans for a tenth of the table. For an
offset that it does not know, too, so it would plan each first page anew, which takes twice as long as to read it: a first
page has none.
"""

from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Integer, Select, bindparam, func, literal_column, select
from sqlalchemy.orm import aliased

from distributor import tables
from distributor.prepared import Prepared
from distributor.queries import search
from distributor.queries.items import AVAILABLE, IN_STOCK, good_name
from distributor.tables import Manufacturer, Stock

Sort = Literal["name", "price", "-price"]


class Kind(NamedTuple):
    """Lists of one kind share their statements: what they are of (parameters ``words`` and ``manufacturer``), and their order."""

    sort: Sort
    is_searched: bool
    is_of_one_manufacturer: bool


class Skip(Enum):
    """Where the rows lie that are passed over before the page, as many as the parameter ``offset`` says."""

    NOTHING = "the first page: there is no such parameter"
    FROM_START = "before the page"
    FROM_END = "after the page; of lists that are not searched"


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


@cache
def page_statement(kind: Kind, per_page: int, skip: Skip, *, is_counted: bool) -> Prepared:
    """The rows are chosen first, then the names that belong to them are looked up. They come in the list's order, whichever
    end they were skipped from. ``is_counted``: each row says how long the whole list is (parameter ``limit``); a statement
    of its own for that would cost its asker as much as the page's.
    """
    chosen = _listed(kind, skip).limit(literal_column(str(per_page), Integer))
    rows = (chosen if skip is Skip.NOTHING else chosen.offset(bindparam("offset"))).subquery().c
    same = aliased(Stock)
    makers = select(func.count()).where(same.product_id == rows.product_id, same.supplied - same.withdrawn != same.sold)
    columns = [
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
    ]
    if is_counted:
        columns.append(rows.total if kind.is_searched else _total(kind).scalar_subquery().label("total"))
    return Prepared(
        select(*columns)
        .join(tables.Product, tables.Product.id == rows.product_id)
        .join(Manufacturer, Manufacturer.id == rows.manufacturer_id)
        .order_by(*_ORDERS[kind.sort](rows))
    )


@cache
def total_statement(kind: Kind) -> Prepared:
    """One row, ``total``: how long the list is, at most ``limit``."""
    return Prepared(_total(kind))


def _listed(kind: Kind, skip: Skip) -> Select[*tuple[Any, ...]]:
    """The whole list in its order, or from its end; of a search so many as ``limit`` says, each with their number."""
    listed = select(
        Stock.id,
        Stock.product_id,
        Stock.manufacturer_id,
        Stock.name,
        Stock.price_minor,
        Stock.currency,
        AVAILABLE.label("available"),
    ).where(*_conditions(kind))
    if not kind.is_searched:
        return listed.order_by(*(_BACKWARDS if skip is Skip.FROM_END else _ORDERS)[kind.sort](Stock))
    taken = listed.limit(_LIMIT_WRITTEN).subquery()
    return select(*taken.c, func.count().over().label("total")).order_by(*_ORDERS[kind.sort](taken.c))


def _total(kind: Kind) -> Select[Any]:
    limit = _LIMIT_WRITTEN if kind.is_searched else _LIMIT
    counted = select(Stock.id).where(*_conditions(kind)).limit(limit).subquery()
    return select(func.count().label("total")).select_from(counted)


def _conditions(kind: Kind) -> list[ColumnElement[bool]]:
    conditions = [IN_STOCK]
    if kind.is_searched:
        conditions.append(search.matches())
    if kind.is_of_one_manufacturer:
        by_code = select(Manufacturer.id).where(Manufacturer.code == bindparam("manufacturer"))
        conditions.append(Stock.manufacturer_id == by_code.scalar_subquery())
    return conditions
