"""What the views ask of the shop: each method one transaction, values in and values out.

L1  The month and the makers that pages show beside their subject may be ``SHOWN_SECONDS`` old; nothing is decided by them.
L2  Who is short in the cart is told from the database at the moment of asking.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine

from customers.query_input import PageWanted, ProductsWanted
from distributor import queries
from distributor.database import transaction
from distributor.queries import (
    Cart,
    CartLine,
    CustomerStatus,
    Facts,
    Item,
    Maker,
    MonthStatus,
    Order,
    Page,
    Product,
)
from settings.model import Cart as CartLimits

SHOWN_SECONDS = 1.0  # chosen: below what a person notices, above what a busy instance asks for

T = TypeVar("T")


class _Recent(Generic[T]):
    """A value for all visitors of one instance, asked for at most once in ``SHOWN_SECONDS`` (L1)."""

    def __init__(self, ask: Callable[[Connection], T]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._value: tuple[float, T] | None = None

    def get(self, connection: Connection) -> T:
        with self._lock:
            known = self._value
        now = time.monotonic()
        if known is not None and now - known[0] < SHOWN_SECONDS:
            return known[1]
        value = self._ask(connection)
        with self._lock:
            self._value = (now, value)
        return value


@dataclass(frozen=True)
class Surroundings:
    """What every page shows around its subject. ``status`` is None for a guest."""

    month: MonthStatus | None
    status: CustomerStatus | None


@dataclass(frozen=True)
class CartAndOffers:
    """A cart, and who else has the goods of its short lines, by stock id; ``newest_order`` is 0 before the first one."""

    cart: Cart
    others: Mapping[int, tuple[Item, ...]]
    newest_order: int


class Shop:
    """One object an instance."""

    def __init__(self, engine: Engine, limits: CartLimits) -> None:
        self._engine = engine
        self._limits = limits
        self._month = _Recent(queries.current_month)
        self._makers = _Recent(queries.manufacturers)

    def surroundings(self, customer_id: int | None) -> Surroundings:
        with transaction(self._engine) as connection:
            status = None if customer_id is None else queries.customer_status(connection, customer_id)
            return Surroundings(self._month.get(connection), status)

    def products(self, wanted: ProductsWanted) -> Page[Item]:
        with transaction(self._engine) as connection:
            return _products(connection, wanted)

    def products_and_makers(self, wanted: ProductsWanted) -> tuple[Page[Item], list[Maker]]:
        with transaction(self._engine) as connection:
            return _products(connection, wanted), self._makers.get(connection)

    def product(self, stock_id: int) -> Product | None:
        with transaction(self._engine) as connection:
            return queries.product(connection, stock_id)

    def available(self, stock_ids: Sequence[int]) -> dict[int, int]:
        with transaction(self._engine) as connection:
            return {item.stock_id: item.available for item in queries.items(connection, stock_ids)}

    def cart(self, customer_id: int) -> Cart:
        with transaction(self._engine) as connection:
            return queries.cart(connection, customer_id)

    def cart_and_offers(self, customer_id: int) -> CartAndOffers:
        with transaction(self._engine) as connection:
            cart = queries.cart(connection, customer_id)
            short = [line.item.stock_id for line in cart.lines if line.is_short]
            others = queries.alternatives(connection, short) if short else {}
            return CartAndOffers(cart, others, queries.newest_order(connection, customer_id))

    def put_in_cart(self, customer_id: int, stock_id: int, quantity: int) -> Cart:
        """Set the line's quantity; raises NotEnoughStock, UnknownStock or InvalidBasket and changes nothing then."""
        with transaction(self._engine) as connection:
            queries.put_in_cart(connection, customer_id, stock_id, quantity, self._limits)
            return queries.cart(connection, customer_id)

    def add_to_cart(self, customer_id: int, stock_id: int, quantity: int) -> None:
        """As many more as ``quantity``; raises like `put_in_cart`."""
        with transaction(self._engine) as connection:
            queries.add_to_cart(connection, customer_id, stock_id, quantity, self._limits)

    def take_out_of_cart(self, customer_id: int, stock_id: int) -> Cart:
        with transaction(self._engine) as connection:
            queries.take_out_of_cart(connection, customer_id, stock_id)
            return queries.cart(connection, customer_id)

    def swap_in_cart(self, customer_id: int, stock_id: int, other_id: int, quantity: int) -> None:
        """Another manufacturer's goods in place of a line; raises like `put_in_cart` and changes nothing then.

        Sent twice it is done once: the line is gone by then.
        """
        with transaction(self._engine) as connection:
            if queries.take_out_of_cart(connection, customer_id, stock_id):
                queries.add_to_cart(connection, customer_id, other_id, quantity, self._limits)

    def fit_cart(self, customer_id: int) -> list[CartLine]:
        """Lower every line to what is left, take out what is gone; returns those lines as they were (L2)."""
        with transaction(self._engine) as connection:
            short = [line for line in queries.cart(connection, customer_id).lines if line.is_short]
            for line in short:
                if line.is_gone:
                    queries.take_out_of_cart(connection, customer_id, line.item.stock_id)
                else:
                    queries.put_in_cart(connection, customer_id, line.item.stock_id, line.item.available, self._limits)
            return short

    def orders(self, customer_id: int, wanted: PageWanted) -> Page[Order]:
        with transaction(self._engine) as connection:
            return queries.orders(connection, customer_id, wanted.page, wanted.per_page)

    def order(self, customer_id: int, order_id: int) -> Order | None:
        with transaction(self._engine) as connection:
            return queries.order(connection, customer_id, order_id)

    def orders_and_facts(self, customer_id: int, wanted: PageWanted) -> tuple[Page[Order], dict[int, Facts]]:
        with transaction(self._engine) as connection:
            page = queries.orders(connection, customer_id, wanted.page, wanted.per_page)
            return page, queries.facts_of(connection, [order.id for order in page.items])

    def order_and_facts(self, customer_id: int, order_id: int) -> tuple[Order, Facts] | None:
        with transaction(self._engine) as connection:
            order = queries.order(connection, customer_id, order_id)
            return None if order is None else (order, queries.facts_of(connection, [order_id])[order_id])

    def finish(self, customer_id: int) -> int:
        with transaction(self._engine) as connection:
            return queries.finish(connection, customer_id)

    def current_month(self) -> MonthStatus | None:
        with transaction(self._engine) as connection:
            return queries.current_month(connection)


def _products(connection: Connection, wanted: ProductsWanted) -> Page[Item]:
    return queries.catalogue(
        connection,
        q=wanted.q,
        manufacturer=wanted.manufacturer,
        sort=wanted.sort,
        page=wanted.page,
        per_page=wanted.per_page,
    )
