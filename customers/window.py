"""The shop's window: what any passer-by sees of it. Read once for many, kept for a moment.

W1  The month, the makers and how long a list is may be ``SHOWN_SECONDS`` old; of a long list the length may be older, so
    that counting it never takes more than ``COUNTING_SHARE`` of an instance's time.
W2  The lists and products that guests see may be ``SHOWN_SECONDS`` old too. A customer's are read when asked for, so that
    nobody misses what they have just done themselves.
W3  Nothing is decided by what is kept here: adding to a cart and buying ask the database.
W4  Nothing in here belongs to one visitor.
"""

from collections.abc import Sequence

from sqlalchemy import Engine

from customers.query_input import ProductsWanted
from customers.recent import Recent
from customers.stock_watch import StockWatch
from distributor import queries
from distributor.database import transaction
from distributor.queries import Item, Maker, MonthStatus, Page, Product, Quantity

SHOWN_SECONDS = 1.0  # chosen: below what a person notices, above what a busy instance asks for
COUNTING_SHARE = 0.02  # of all time, for each search; chosen
LISTS_KEPT = 500  # about 10 KB each
PRODUCTS_KEPT = 500
TOTALS_KEPT = 2_000


class Window:
    """One object an instance."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._month: Recent[None, MonthStatus | None] = Recent(SHOWN_SECONDS, 1)
        self._makers: Recent[None, list[Maker]] = Recent(SHOWN_SECONDS, 1, COUNTING_SHARE)
        self._totals: Recent[tuple[str, str], int] = Recent(SHOWN_SECONDS, TOTALS_KEPT, COUNTING_SHARE)
        self._lists: Recent[ProductsWanted, Page[Item]] = Recent(SHOWN_SECONDS, LISTS_KEPT)
        self._products: Recent[int, Product | None] = Recent(SHOWN_SECONDS, PRODUCTS_KEPT)
        self._stock = StockWatch(self._read_quantities, SHOWN_SECONDS)

    def month(self) -> MonthStatus | None:
        return self._month.get(None, self._read_month)

    def makers(self) -> list[Maker]:
        return self._makers.get(None, self._read_makers)

    def products(self, wanted: ProductsWanted) -> Page[Item]:
        """A page of the catalogue as a guest sees it (W2)."""
        return self._lists.get(wanted, lambda: self.products_now(wanted))

    def products_now(self, wanted: ProductsWanted) -> Page[Item]:
        """The rows as they are now; how many there are on all pages may be a moment old (W1)."""
        searched = (wanted.q, wanted.manufacturer)
        total = self._totals.get(searched, lambda: self._count(*searched))
        with transaction(self._engine) as connection:
            return queries.catalogue(
                connection,
                q=wanted.q,
                manufacturer=wanted.manufacturer,
                sort=wanted.sort,
                page=wanted.page,
                per_page=wanted.per_page,
                total=total,
            )

    def product(self, stock_id: int) -> Product | None:
        """A product as a guest sees it (W2)."""
        return self._products.get(stock_id, lambda: self.product_now(stock_id))

    def product_now(self, stock_id: int) -> Product | None:
        with transaction(self._engine) as connection:
            return queries.product(connection, stock_id)

    def quantities(self, stock_ids: Sequence[int]) -> dict[int, Quantity]:
        """What is left of these rows, for pages that are open; ids that do not exist are left out."""
        return self._stock.quantities(stock_ids)

    def _read_month(self) -> MonthStatus | None:
        with transaction(self._engine) as connection:
            return queries.current_month(connection)

    def _read_makers(self) -> list[Maker]:
        with transaction(self._engine) as connection:
            return queries.manufacturers(connection)

    def _count(self, q: str, manufacturer: str) -> int:
        with transaction(self._engine) as connection:
            return queries.catalogue_total(connection, q=q, manufacturer=manufacturer)

    def _read_quantities(self, stock_ids: Sequence[int]) -> dict[int, Quantity]:
        with transaction(self._engine) as connection:
            return queries.quantities(connection, stock_ids)
