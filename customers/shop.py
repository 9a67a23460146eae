"""What the views ask of the shop: each method one transaction, values in and values out.

L1  What is not a customer's own is read through the window, where it may be a moment old; nothing is decided by it.
L2  Who is short in the cart is told from the database at the moment of asking.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from customers.query_input import PageWanted, ProductsWanted
from customers.window import Window, nobody_is_told
from distributor import holds, queries
from distributor.database import reading, transaction
from distributor.queries import (
    Cart,
    CartLine,
    CustomerStatus,
    Facts,
    Item,
    MonthStatus,
    Order,
    Page,
    Product,
    Quantity,
)
from settings.model import Cart as CartLimits


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
    """One object an instance. ``window``: what anybody may see."""

    def __init__(self, engine: Engine, limits: CartLimits, on_old: Callable[[float], None] = nobody_is_told) -> None:
        self._engine = engine
        self._limits = limits
        self.window = Window(engine, limits, on_old)

    def surroundings(self, customer_id: int | None, status: CustomerStatus | None = None) -> Surroundings:
        """``status``: the customer's, if it was read within this request already."""
        month = self.window.month()
        if customer_id is None or status is not None:
            return Surroundings(month, status)
        with reading(self._engine) as connection:
            return Surroundings(month, queries.customer_status(connection, customer_id))

    def products(self, wanted: ProductsWanted, reader: int | None = None) -> Page[Item]:
        """As they are now, not as in the window; ``reader``: whose own holds do not stand in the way, None for a guest."""
        return self.window.products_now(wanted, reader)

    def product(self, stock_id: int, reader: int | None = None) -> Product | None:
        return self.window.product_now(stock_id, reader)

    def cart(self, customer_id: int) -> Cart:
        with reading(self._engine) as connection:
            return queries.cart(connection, customer_id, self._limits)

    def cart_and_offers(self, customer_id: int) -> CartAndOffers:
        with reading(self._engine) as connection:
            cart, newest = queries.cart_and_newest_order(connection, customer_id, self._limits)
            short = [line.item.stock_id for line in cart.lines if line.is_short]
            others = queries.alternatives(connection, short) if short else {}
            if others and self.carts_hold:
                others = _to_be_had(connection, others, customer_id)
            return CartAndOffers(cart, others, newest)

    def put_in_cart(self, customer_id: int, stock_id: int, quantity: int, *, accepts_price: bool = False) -> Cart:
        """Set the line's quantity; raises NotEnoughStock, UnknownStock or InvalidBasket and changes nothing then.

        ``accepts_price``: whoever asks takes the present price, whatever it was before.
        """
        with transaction(self._engine) as connection:
            queries.put_in_cart(connection, customer_id, stock_id, quantity, self._limits, accepts_price=accepts_price)
            return queries.cart(connection, customer_id, self._limits)

    def add_to_cart(self, customer_id: int, stock_id: int, quantity: int) -> None:
        """As many more as ``quantity``; raises like `put_in_cart`."""
        with transaction(self._engine) as connection:
            queries.add_to_cart(connection, customer_id, stock_id, quantity, self._limits)

    def take_out_of_cart(self, customer_id: int, stock_id: int) -> Cart:
        with transaction(self._engine) as connection:
            queries.take_out_of_cart(connection, customer_id, stock_id)
            return queries.cart(connection, customer_id, self._limits)

    def hold_again(self, customer_id: int, stock_id: int) -> Cart:
        """Hold a line's goods from now on; raises HoldRefused, NotEnoughStock or UnknownStock and changes nothing then."""
        with transaction(self._engine) as connection:
            queries.hold_again(connection, customer_id, stock_id, self._limits)
            return queries.cart(connection, customer_id, self._limits)

    @property
    def carts_hold(self) -> bool:
        """Whether quantities differ between readers: what somebody holds is available to nobody else."""
        return self._limits.hold_seconds > 0

    def quantities(self, stock_ids: Sequence[int], reader: int) -> dict[int, Quantity]:
        """For a customer's open pages where carts hold goods; everybody else's are in the window."""
        with reading(self._engine) as connection:
            standings = holds.standings(connection, stock_ids, [reader])
        return {row: Quantity(there.left_for(reader), there.others(reader)) for row, there in standings.items()}

    def swap_in_cart(self, customer_id: int, stock_id: int, other_id: int, quantity: int) -> None:
        """Another manufacturer's goods in place of a line; raises like `put_in_cart` and changes nothing then.

        Sent twice it is done once: the line is gone by then.
        """
        with transaction(self._engine) as connection:
            queries.lock_cart(connection, customer_id, self._limits)
            if queries.take_out_of_cart(connection, customer_id, stock_id):
                queries.add_to_cart(connection, customer_id, other_id, quantity, self._limits)

    def fit_cart(self, customer_id: int) -> list[CartLine]:
        """Lower every line to what is left, take out what is gone; returns those lines as they were (L2)."""
        with transaction(self._engine) as connection:
            queries.lock_cart(connection, customer_id, self._limits)
            short = [line for line in queries.cart(connection, customer_id, self._limits).lines if line.is_short]
            for line in sorted(short, key=lambda line: line.item.stock_id):
                if line.is_gone:
                    queries.take_out_of_cart(connection, customer_id, line.item.stock_id)
                else:
                    queries.put_in_cart(connection, customer_id, line.item.stock_id, line.item.available, self._limits)
            return short

    def orders(self, customer_id: int, wanted: PageWanted) -> Page[Order]:
        with reading(self._engine) as connection:
            return queries.orders(connection, customer_id, wanted.page, wanted.per_page)

    def order(self, customer_id: int, order_id: int) -> Order | None:
        with reading(self._engine) as connection:
            return queries.order(connection, customer_id, order_id)

    def has_answered(self, customer_id: int, key: str) -> bool:
        """Whether a purchase was asked for under this key before, and answered."""
        with reading(self._engine) as connection:
            return queries.has_answered(connection, customer_id, key)

    def newest_order(self, customer_id: int) -> Order | None:
        with reading(self._engine) as connection:
            return queries.order(connection, customer_id, queries.newest_order(connection, customer_id))

    def orders_and_facts(self, customer_id: int, wanted: PageWanted) -> tuple[Page[Order], dict[int, Facts]]:
        with reading(self._engine) as connection:
            page = queries.orders(connection, customer_id, wanted.page, wanted.per_page)
            return page, queries.facts_of(connection, [order.id for order in page.items])

    def order_and_facts(self, customer_id: int, order_id: int) -> tuple[Order, Facts] | None:
        with reading(self._engine) as connection:
            return queries.order_and_facts(connection, customer_id, order_id)

    def finish(self, customer_id: int) -> int:
        with transaction(self._engine) as connection:
            return queries.finish(connection, customer_id)

    def current_month(self) -> MonthStatus | None:
        with reading(self._engine) as connection:
            return queries.current_month(connection)


def _to_be_had(
    connection: Connection, offers: Mapping[int, tuple[Item, ...]], reader: int
) -> dict[int, tuple[Item, ...]]:
    """Offers of which others' carts leave something to ``reader``."""
    seen = queries.as_seen_by(connection, [item for items in offers.values() for item in items], reader)
    left = {item.stock_id: item for item in seen if item.available}
    return {
        lost: tuple(left[item.stock_id] for item in items if item.stock_id in left) for lost, items in offers.items()
    }
