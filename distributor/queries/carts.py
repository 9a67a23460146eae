"""Carts: what a customer means to buy. A cart holds nothing back from others, so it is compared with the stock again
whenever a line is put in, shown, or bought.

N1  A line that is put in is not more than there is at that moment; otherwise NotEnoughStock says how many there are.
N2  Two windows of one customer never lose each other's lines: every change is one statement on one row.
N3  The price of the moment when the line was put in is kept, so that a change is seen before buying.
"""

import datetime as dt
from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy import Connection, Select, SQLColumnExpression, and_, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from distributor import tables
from distributor.errors import InvalidBasket, NotEnoughStock, ShortLine, UnknownCustomer, UnknownStock
from distributor.queries.catalogue import AVAILABLE, Item, item_of, select_items
from distributor.strategies.baskets import STOCK_ID_MAX
from distributor.tables import Stock
from settings.model import Cart as Limits


@dataclass(frozen=True)
class CartLine:
    """``item`` as it is now; ``price_seen_minor`` as it was when the line was put in."""

    item: Item
    quantity: int
    price_seen_minor: int
    added_at: dt.datetime
    held_until: dt.datetime | None = None
    """Until when ``held`` units are kept from others, by the database's clock; None if nothing is held now."""
    held: int = 0
    """Fewer than ``quantity`` where a limit on holds (section ``cart``) was reached."""
    hold_seconds_left: float = 0.0
    """By the database's clock when the cart was read: what a countdown begins at, for browsers' clocks differ."""
    hold_ended: bool = False
    """It was held once, and its time is over: the goods can still be bought while they are there."""
    can_hold_again: bool = False
    """Whether the customer may ask to hold it (again) from now on: see `hold_again`."""

    @property
    def is_short(self) -> bool:
        return self.quantity > self.item.available

    @property
    def is_gone(self) -> bool:
        return self.item.available == 0

    @property
    def price_changed(self) -> bool:
        return self.price_seen_minor != self.item.price_minor

    @property
    def subtotal_minor(self) -> int:
        return self.quantity * self.item.price_minor


@dataclass(frozen=True)
class Cart:
    """Lines in the order in which they were put in."""

    lines: tuple[CartLine, ...]
    hold_seconds: int = 0
    """For how long goods are held; 0: carts hold nothing back from others."""

    @property
    def units(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def totals_minor(self) -> dict[str, int]:
        """By currency, at present prices."""
        totals: dict[str, int] = {}
        for line in self.lines:
            totals[line.item.currency] = totals.get(line.item.currency, 0) + line.subtotal_minor
        return totals

    @property
    def can_be_bought(self) -> bool:
        return bool(self.lines) and not any(line.is_short or line.price_changed for line in self.lines)


def cart(connection: Connection, customer_id: int) -> Cart:
    found = connection.execute(
        select_items(tables.CartLine.quantity, tables.CartLine.price_minor_seen, tables.CartLine.added_at)
        .join(tables.CartLine, tables.CartLine.stock_id == Stock.id)
        .where(tables.CartLine.customer_id == customer_id)
        .order_by(tables.CartLine.added_at, Stock.id)
    )
    return Cart(tuple(CartLine(item_of(row), row.quantity, row.price_minor_seen, row.added_at) for row in found))


def put_in_cart(connection: Connection, customer_id: int, stock_id: int, quantity: int, limits: Limits) -> None:
    """Set the line to ``quantity`` at the present price (N1, N2, N3).

    Raises InvalidBasket, NotEnoughStock, UnknownStock or UnknownCustomer; then the cart is as before.
    """
    _put(connection, customer_id, stock_id, quantity, limits, held=literal(0))


def add_to_cart(connection: Connection, customer_id: int, stock_id: int, quantity: int, limits: Limits) -> None:
    """As `put_in_cart`, but ``quantity`` more than the line holds: two windows that add at once both count (N2)."""
    _put(connection, customer_id, stock_id, quantity, limits, held=tables.CartLine.quantity)


def _put(
    connection: Connection,
    customer_id: int,
    stock_id: int,
    quantity: int,
    limits: Limits,
    *,
    held: SQLColumnExpression[int],
) -> None:
    line = tables.CartLine
    if not 1 <= quantity <= limits.quantity_max:
        raise InvalidBasket("quantity", "use a whole number from 1 to %(maximum)s", maximum=limits.quantity_max)
    if not 1 <= stock_id <= STOCK_ID_MAX:
        raise UnknownStock
    if _other_lines(connection, customer_id, stock_id) >= limits.lines_max:
        raise InvalidBasket("lines", "put at most %(maximum)s lines in a cart", maximum=limits.lines_max)
    there = select(AVAILABLE).where(Stock.id == stock_id).scalar_subquery()
    enough = select(literal(customer_id), Stock.id, literal(quantity), Stock.price_minor).where(
        Stock.id == stock_id, quantity <= AVAILABLE
    )
    values = insert(line).from_select([line.customer_id, line.stock_id, line.quantity, line.price_minor_seen], enough)
    new_quantity = held + values.excluded.quantity
    upsert = values.on_conflict_do_update(
        index_elements=[line.customer_id, line.stock_id],
        set_={"quantity": new_quantity, "price_minor_seen": values.excluded.price_minor_seen},
        where=and_(new_quantity <= there, new_quantity <= limits.quantity_max),
    ).returning(line.stock_id)
    try:
        done = connection.execute(upsert).first()
    except IntegrityError as error:  # the one foreign key that the statement has not just read
        raise UnknownCustomer from error
    if done is None:
        wanted = quantity + (connection.scalar(_held(customer_id, stock_id, held)) or 0)
        _explain(connection, stock_id, wanted, limits)


def _held(customer_id: int, stock_id: int, held: SQLColumnExpression[int]) -> Select[int]:
    line = tables.CartLine
    return select(held).select_from(line).where(line.customer_id == customer_id, line.stock_id == stock_id)


def _explain(connection: Connection, stock_id: int, wanted: int, limits: Limits) -> NoReturn:
    """Why the line was not put."""
    available = connection.scalar(select(AVAILABLE).where(Stock.id == stock_id))
    if available is None:
        raise UnknownStock
    if wanted > limits.quantity_max:
        raise InvalidBasket("quantity", "take at most %(maximum)s units of one product", maximum=limits.quantity_max)
    raise NotEnoughStock([ShortLine(stock_id, wanted, min(available, wanted - 1))])


def _other_lines(connection: Connection, customer_id: int, stock_id: int) -> int:
    line = tables.CartLine
    counting = select(func.count()).where(line.customer_id == customer_id, line.stock_id != stock_id)
    return connection.execute(counting).scalar_one()


def take_out_of_cart(connection: Connection, customer_id: int, stock_id: int) -> bool:
    """Whether the line was there; a line that is not there is as good as taken out."""
    line = tables.CartLine
    gone = delete(line).where(line.customer_id == customer_id, line.stock_id == stock_id).returning(line.stock_id)
    return connection.execute(gone).first() is not None
