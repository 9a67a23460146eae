"""The catalogue: what is in stock, in lists of many pages, all of it or what a search or a manufacturer's code leaves.

L1  A page costs no more than its rows and LISTED_MAX others, or a search's SEARCHED_MAX, however much there is and whatever
    is asked for.
L2  A page is the same from whichever end of its list it was read.
L3  What a page itself shows of a list's length goes before what was counted, perhaps a moment ago.
"""

from dataclasses import dataclass
from typing import Any, get_args

from sqlalchemy import Connection, select

from distributor.database import trip
from distributor.prepared import Prepared
from distributor.queries import search
from distributor.queries.catalogue_statements import Kind, Skip, Sort, page_statement, total_statement
from distributor.queries.items import IN_STOCK, Item, Maker, item_of
from distributor.queries.pages import Page, offset_of
from distributor.tables import Manufacturer, Stock

LISTED_MAX = 20_000
"""Rows of a list that its pages show, and that are counted: what is passed over is read, 0.7 µs a row, and nobody turns
a thousand pages. Whoever wants others searches, or chooses a manufacturer."""

SEARCHED_MAX = 5_000
"""Goods that a search takes, in no order, before it sorts them: of words that more goods have, the list is of so many of them.
Without a bound, PostgreSQL has the choice between sorting all that match and walking through the list until a page is full,
past up to a million goods that do not: seconds for a word that nothing has, for of any beginning it expects 2 % of all."""


@dataclass(frozen=True)
class _Listing:
    """Which list: ``words`` of a search and the code of a ``manufacturer``, each empty for all."""

    words: str
    manufacturer: str
    sort: Sort = "name"

    @property
    def rows_max(self) -> int:
        """How many of its rows there are pages of (L1)."""
        return SEARCHED_MAX if self.words else LISTED_MAX

    @property
    def kind(self) -> Kind:
        return Kind(self.sort, bool(self.words), bool(self.manufacturer))

    def values(self, *, is_counted: bool) -> dict[str, Any]:
        """Of the parameters that say which list it is; a search's statements are limited, whether they count or not."""
        values: dict[str, Any] = {}
        if self.words:
            values["words"] = self.words
        if self.manufacturer:
            values["manufacturer"] = self.manufacturer
        if self.words or is_counted:
            values["limit"] = self.rows_max
        return values


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

    ``total``: how long the whole list is, if the caller has counted it lately (`catalogue_total`); else the same statement
    counts it. Of a list longer than LISTED_MAX, a search's than SEARCHED_MAX, there are pages of so many rows, and it says
    so (``cut``).
    """
    offset = offset_of(page, per_page)
    if sort not in get_args(Sort):
        message = f"sort must be one of {', '.join(get_args(Sort))}, not {sort!r}"
        raise ValueError(message)
    listing = _Listing(search.words_of(q), manufacturer, sort)
    if q and not listing.words:
        return Page((), page, per_page, 0)
    if total is not None and not listing.words and _is_nearer_to_the_end(offset, total):
        return Page(_read_from_end(connection, listing, offset, per_page, total), page, per_page, total)
    room = max(0, min(per_page, listing.rows_max - offset))
    rows = _read_from_start(connection, listing, offset, per_page, is_counted=total is None)[:room] if room else []
    counted = _counted(connection, listing, rows, offset) if total is None else total
    length = _length(counted, offset, len(rows), room)
    return Page(_items(rows), page, per_page, length, cut=length >= listing.rows_max)


def _is_nearer_to_the_end(offset: int, total: int) -> bool:
    """What is passed over is read: from the list's end there may be less of it. The end of a list that is cut is elsewhere."""
    return total / 2 < offset < total < LISTED_MAX


def _read_from_end(
    connection: Connection, listing: _Listing, offset: int, per_page: int, total: int
) -> tuple[Item, ...]:
    """L2; a last page has fewer rows than ``per_page``, of which the others belong to the page before it."""
    statement = page_statement(listing.kind, per_page, Skip.FROM_END, is_counted=False)
    after = max(0, total - offset - per_page)
    [rows] = trip(connection, [statement(**listing.values(is_counted=False), offset=after)])
    return _items(rows[offset - total :])


def _read_from_start(
    connection: Connection, listing: _Listing, offset: int, per_page: int, *, is_counted: bool
) -> list[Any]:
    skip = Skip.FROM_START if offset else Skip.NOTHING
    values = listing.values(is_counted=is_counted) | ({"offset": offset} if offset else {})
    [rows] = trip(connection, [page_statement(listing.kind, per_page, skip, is_counted=is_counted)(**values)])
    return rows


def _counted(connection: Connection, listing: _Listing, rows: list[Any], offset: int) -> int:
    """As the rows say; a page beyond the end has none that could, and an empty first page is of an empty list."""
    if rows:
        return int(rows[0].total)
    return _total(connection, listing) if offset else 0


def _length(counted: int, offset: int, shown: int, room: int) -> int:
    """L3: a page that is not full ends the list, and no list ends before its page. One beyond the end says nothing."""
    if offset and not shown:
        return counted
    reached = offset + shown
    return reached if shown < room else max(counted, reached)


def _items(rows: list[Any]) -> tuple[Item, ...]:
    return tuple(item_of(row, row.makers) for row in rows)


def catalogue_total(connection: Connection, *, q: str = "", manufacturer: str = "") -> int:
    """How many rows all pages of the list have together, LISTED_MAX at most, of a search SEARCHED_MAX."""
    listing = _Listing(search.words_of(q), manufacturer)
    return 0 if q and not listing.words else _total(connection, listing)


def _total(connection: Connection, listing: _Listing) -> int:
    kind = listing.kind._replace(sort="name")  # any: a count has no order
    [[row]] = trip(connection, [total_statement(kind)(**listing.values(is_counted=True))])
    return int(row.total)


def manufacturers(connection: Connection) -> list[Maker]:
    """Who has anything in stock, by name: the choices of the catalogue's filter."""
    [rows] = trip(connection, [_MAKERS()])
    return [Maker(row.code, row.name) for row in rows]


_MAKERS = Prepared(
    select(Manufacturer.code, Manufacturer.name)
    .where(select(Stock.id).where(Stock.manufacturer_id == Manufacturer.id, IN_STOCK).exists())
    .order_by(Manufacturer.name, Manufacturer.code)
)
