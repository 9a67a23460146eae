"""The shop's window: what any passer-by sees of it. Read once for many, kept for a moment.

W1  The month, the makers and how long a list is may be ``SHOWN_SECONDS`` old; of a long list the length may be older, so
    that counting it never takes more than ``COUNTING_SHARE`` of an instance's time.
W2  The lists and products that readers see may be ``SHOWN_SECONDS`` old too. Nobody misses what they have just done
    themselves: whoever has bought lately, on whichever instance, sees what is read for them alone (`Shop.products`).
W3  Nothing is decided by what is kept here: adding to a cart and buying ask the database.
W4  Nothing that is kept here belongs to one visitor. Where carts hold goods (``cart.hold_seconds``), what is kept is what
    somebody sees who holds nothing; a customer's own holds are told from others' only when asked for a reader.
W5  While the database is away, lists, products and makers are shown as they were last, for ``OLD_SECONDS_MAX``, and
    ``on_old`` is told how old that is: a page that does not say so would be a lie.
"""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection, Engine

from customers.query_input import ProductsWanted
from customers.window.recent import Recent
from customers.window.stock_watch import StockWatch
from distributor import holds, queries
from distributor.database import reading
from distributor.errors import DatabaseUnavailable
from distributor.queries import IdList, Item, Maker, MonthStatus, Page, Product, Quantity, Reading
from settings.model import Cart

SHOWN_SECONDS = 1.0  # chosen: below what a person notices, above what a busy instance asks for
COUNTING_SHARE = 0.02  # of all time, for each search; chosen
LISTS_KEPT = 500  # about 10 KB each
PRODUCTS_KEPT = 500
TOTALS_KEPT = 2_000
OLD_SECONDS_MAX = 600.0  # chosen: what is older says little of what there is

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def nobody_is_told(_seconds: float) -> None:
    """For whoever shows nothing to people."""


class Window:
    """One object an instance."""

    def __init__(self, engine: Engine, limits: Cart, on_old: Callable[[float], None] = nobody_is_told) -> None:
        """``on_old``: told by the thread that asks for something how many seconds old it is (W5)."""
        self._engine = engine
        self._on_old = on_old
        self._carts_hold = limits.hold_seconds > 0
        self._month: Recent[None, MonthStatus | None] = Recent(SHOWN_SECONDS, 1)
        self._makers: Recent[None, tuple[Maker, ...]] = Recent(SHOWN_SECONDS, 1, COUNTING_SHARE)
        self._totals: Recent[tuple[str, str], int] = Recent(SHOWN_SECONDS, TOTALS_KEPT, COUNTING_SHARE)
        self._lists: Recent[ProductsWanted, Page[Item]] = Recent(SHOWN_SECONDS, LISTS_KEPT)
        self._products: Recent[int, Product | None] = Recent(SHOWN_SECONDS, PRODUCTS_KEPT)
        self.stock = StockWatch(self._read_quantities, SHOWN_SECONDS)

    def month(self) -> MonthStatus | None:
        return self._month.get(None, self._read_month)

    def makers(self) -> tuple[Maker, ...]:
        return self._even_old(self._makers, None, self._read_makers)

    def products(self, wanted: ProductsWanted) -> Page[Item]:
        """A page of the catalogue as any passer-by sees it (W2)."""
        return self._even_old(self._lists, wanted, lambda: self.products_now(wanted))

    def products_now(self, wanted: ProductsWanted, reader: int | None = None) -> Page[Item]:
        """The rows as they are now for a customer or a guest (None); how many there are on all pages may be a moment old (W1)."""
        searched = (wanted.q, wanted.manufacturer)
        counted: list[Page[Item]] = []

        def count() -> int:  # in one trip with the rows, which the page's own asker need not ask for again
            counted.append(self._read_products(wanted, reader, None))
            return counted[0].total

        total = self._totals.get(searched, count)
        return counted[0] if counted else self._read_products(wanted, reader, total)

    def _read_products(self, wanted: ProductsWanted, reader: int | None, total: int | None) -> Page[Item]:
        with reading(self._engine) as connection:
            page = queries.catalogue(
                connection,
                q=wanted.q,
                manufacturer=wanted.manufacturer,
                sort=wanted.sort,
                page=wanted.page,
                per_page=wanted.per_page,
                total=total,
            )
            return replace(page, items=self._seen(connection, page.items, reader))

    def product(self, stock_id: int) -> Product | None:
        """A product as any passer-by sees it (W2)."""
        return self._even_old(self._products, stock_id, lambda: self.product_now(stock_id))

    def product_now(self, stock_id: int, reader: int | None = None) -> Product | None:
        with reading(self._engine) as connection:
            found = queries.product(connection, stock_id)
            if found is None:
                return None
            item, *others = self._seen(connection, (found.item, *found.others), reader)
            return replace(found, item=item, others=tuple(others))

    def _even_old(self, kept: Recent[Key, Value], key: Key, ask: Callable[[], Value]) -> Value:
        """W5"""
        try:
            return kept.get(key, ask)
        except DatabaseUnavailable:
            last = kept.old(key)
            if last is None or last.seconds > OLD_SECONDS_MAX:
                raise
            self._on_old(last.seconds)
            return last.value

    def _seen(self, connection: Connection, items: tuple[Item, ...], reader: int | None) -> tuple[Item, ...]:
        """What others hold is not available; a statement more only where carts hold anything."""
        return tuple(queries.as_seen_by(connection, items, reader)) if self._carts_hold else items

    def _read_month(self) -> MonthStatus | None:
        with reading(self._engine) as connection:
            return queries.current_month(connection)

    def _read_makers(self) -> tuple[Maker, ...]:
        with reading(self._engine) as connection:
            return tuple(queries.manufacturers(connection))

    def _read_quantities(self, wanted: IdList, since: str | None) -> Reading:
        with reading(self._engine) as connection:
            if not self._carts_hold:
                return queries.quantities_since(connection, wanted, since)
            standings = holds.standings(connection, wanted.ids)
        return Reading({row: Quantity(there.left_for(None), there.others(None)) for row, there in standings.items()})
