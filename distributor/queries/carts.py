"""Carts: what a customer means to buy, compared with the stock whenever a line is put in, shown, or bought.

A cart keeps goods from others only for a time, and only where ``cart.hold_seconds`` says so (distributor/holds).

N1  A line that is put in is not more than there is for this customer at that moment; otherwise NotEnoughStock says how
    many there are.
N2  Two windows of one customer never lose each other's lines: every change is one statement on one row.
N3  The price of the moment when the line was put in is kept, so that a change is seen before buying: a changed quantity
    does not accept a new price, for whoever typed it may have had an old page before them.
N4  A line that is put in is held as far as the limits allow; what a smaller quantity leaves is free at once.
N5  A deleted account has no cart, also when something was being put in while it was deleted.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

import psycopg
from sqlalchemy import BigInteger, Connection, Integer, Select, and_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from distributor import holds, tables
from distributor.database import trip
from distributor.errors import InvalidBasket, NotEnoughStock, ShortLine, UnknownCustomer, UnknownStock
from distributor.holds.arithmetic import may_begin
from distributor.prepared import Prepared
from distributor.queries.items import AVAILABLE, Item, item_of, select_items
from distributor.queries.orders import asking_for_newest
from distributor.queries.seen import as_seen_by
from distributor.strategies.baskets import STOCK_ID_MAX
from distributor.strategies.contract import Line
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


def cart(connection: Connection, customer_id: int, limits: Limits | None = None) -> Cart:
    """``limits``: where they say that carts hold goods, lines tell what they hold, and items what others leave."""
    [found] = trip(connection, [_CART(customer_id=customer_id)])
    return _cart_of(connection, customer_id, found, limits)


def cart_and_newest_order(connection: Connection, customer_id: int, limits: Limits) -> tuple[Cart, int]:
    """Both in one trip; the order's number is 0 before the first."""
    found, newest = trip(connection, [_CART(customer_id=customer_id), asking_for_newest(customer_id)])
    return _cart_of(connection, customer_id, found, limits), newest[0].newest or 0


def _cart_of(connection: Connection, customer_id: int, found: Sequence[Any], limits: Limits | None) -> Cart:
    if limits is None or not limits.hold_seconds:
        return Cart(tuple(CartLine(item_of(row), row.quantity, row.price_minor_seen, row.added_at) for row in found))
    items = as_seen_by(connection, [item_of(row) for row in found], customer_id)
    lines = tuple(_with_hold(row, item, limits) for row, item in zip(found, items, strict=True))
    return Cart(lines, limits.hold_seconds)


def _cart_statement() -> Select[Any]:
    line = tables.CartLine
    seconds_left = func.extract("epoch", line.held_until - func.statement_timestamp()).label("seconds_left")
    return (
        select_items(
            line.quantity,
            line.price_minor_seen,
            line.added_at,
            line.held,
            line.held_until,
            line.holds_begun,
            seconds_left,
        )
        .join(line, line.stock_id == Stock.id)
        .where(line.customer_id == bindparam("customer_id", type_=BigInteger))
        .order_by(line.added_at, Stock.id)
    )


_CART = Prepared(_cart_statement())


def _with_hold(row: Any, item: Item, limits: Limits) -> CartLine:
    live = row.held > 0 and row.seconds_left > 0
    return CartLine(
        item,
        row.quantity,
        row.price_minor_seen,
        row.added_at,
        held_until=row.held_until if live else None,
        held=row.held if live else 0,
        hold_seconds_left=float(row.seconds_left) if live else 0.0,
        hold_ended=row.holds_begun > 0 and not live,
        can_hold_again=may_begin(row.holds_begun, limits),
    )


def put_in_cart(
    connection: Connection,
    customer_id: int,
    stock_id: int,
    quantity: int,
    limits: Limits,
    *,
    accepts_price: bool = False,
) -> None:
    """Set the line to ``quantity`` (N1, N2). ``accepts_price``: the present price is the one that was seen (N3).

    Raises InvalidBasket, NotEnoughStock, UnknownStock or UnknownCustomer; the cart is as before when the transaction
    has been given up, as `transaction` does.
    """
    _put(connection, customer_id, Line(stock_id, quantity), limits, accepts_price=accepts_price)


def add_to_cart(connection: Connection, customer_id: int, stock_id: int, quantity: int, limits: Limits) -> None:
    """As `put_in_cart`, but ``quantity`` more than the line holds: two windows that add at once both count (N2)."""
    _put(connection, customer_id, Line(stock_id, quantity), limits, adds=True)


def _put(
    connection: Connection,
    customer_id: int,
    wanted: Line,
    limits: Limits,
    *,
    adds: bool = False,
    accepts_price: bool = False,
) -> None:
    stock_id, quantity = wanted.stock_id, wanted.quantity
    if not 1 <= quantity <= limits.quantity_max:
        raise InvalidBasket("quantity", "use a whole number from 1 to %(maximum)s", maximum=limits.quantity_max)
    if not 1 <= stock_id <= STOCK_ID_MAX:
        raise UnknownStock
    if limits.hold_seconds:
        holds.lock_customer(connection, customer_id)
    line = {"customer": customer_id, "stock": stock_id}
    upsert = _upsert(adds=adds, accepts_price=accepts_price, judges_stock=not limits.hold_seconds)
    try:
        known, (before,), put = trip(
            connection,
            [
                (_KNOWN, {"customer": customer_id}),
                _BEFORE(**line),
                upsert(**line, units=quantity, units_max=limits.quantity_max),
            ],
        )
    except psycopg.errors.ForeignKeyViolation as error:  # the one that the statement has not just read
        raise UnknownCustomer from error
    if not known:
        raise UnknownCustomer
    if before.other_lines >= limits.lines_max:
        raise InvalidBasket("lines", "put at most %(maximum)s lines in a cart", maximum=limits.lines_max)
    if not put:
        _explain(connection, stock_id, quantity + (before.units if adds else 0), limits)
    if limits.hold_seconds:
        holds.hold_line(connection, customer_id, stock_id, limits)


_CUSTOMER = bindparam("customer", type_=BigInteger)
_STOCK = bindparam("stock", type_=BigInteger)


# The lock that the line's own reference takes. Behind it a deletion is seen that was under way: it empties the cart once.
_KNOWN = "SELECT 1 FROM customer WHERE id = %(customer)s AND deleted_at IS NULL FOR KEY SHARE"


def _before() -> Select[int, int]:
    """How many other lines the cart has, and the units of this one."""
    line = tables.CartLine
    others = func.count().filter(line.stock_id != _STOCK)
    units = func.coalesce(func.max(line.quantity).filter(line.stock_id == _STOCK), 0)
    return select(others.label("other_lines"), units.label("units")).where(line.customer_id == _CUSTOMER)


_BEFORE = Prepared(_before())


@cache
def _upsert(*, adds: bool, accepts_price: bool, judges_stock: bool) -> Prepared:
    """One statement (N2). Where carts hold goods, whether there is enough is judged afterwards, behind the stock's lock."""
    line = tables.CartLine
    units = bindparam("units", type_=Integer)
    row = select(_CUSTOMER, Stock.id, units, Stock.price_minor).where(Stock.id == _STOCK)
    if judges_stock:
        row = row.where(units <= AVAILABLE)
    values = insert(line).from_select([line.customer_id, line.stock_id, line.quantity, line.price_minor_seen], row)
    new_quantity = (line.quantity if adds else 0) + values.excluded.quantity
    allowed = [new_quantity <= bindparam("units_max", type_=Integer)]
    if judges_stock:
        allowed.append(new_quantity <= select(AVAILABLE).where(Stock.id == _STOCK).scalar_subquery())
    return Prepared(
        values.on_conflict_do_update(
            index_elements=[line.customer_id, line.stock_id],
            set_={
                "quantity": new_quantity,
                "price_minor_seen": (values.excluded if accepts_price else line).price_minor_seen,
                "held": func.least(line.held, new_quantity),
            },
            where=and_(*allowed),
        ).returning(line.stock_id)
    )


def _explain(connection: Connection, stock_id: int, wanted: int, limits: Limits) -> NoReturn:
    """Why the line was not put."""
    available = connection.scalar(select(AVAILABLE).where(Stock.id == stock_id))
    if available is None:
        raise UnknownStock
    if wanted > limits.quantity_max:
        raise InvalidBasket("quantity", "take at most %(maximum)s units of one product", maximum=limits.quantity_max)
    raise NotEnoughStock([ShortLine(stock_id, wanted, min(available, wanted - 1))])


def take_out_of_cart(connection: Connection, customer_id: int, stock_id: int) -> bool:
    """Whether the line was there; a line that is not there is as good as taken out."""
    line = tables.CartLine
    gone = delete(line).where(line.customer_id == customer_id, line.stock_id == stock_id).returning(line.stock_id)
    return connection.execute(gone).first() is not None


def lock_cart(connection: Connection, customer_id: int, limits: Limits) -> None:
    """To be called before several changes of one cart in one transaction, which then are made by rising stock id.

    Where carts hold goods, changes lock stock rows, too: so nobody else's changes and purchases can deadlock with these.
    """
    if not limits.hold_seconds:
        return
    line = tables.CartLine
    holds.lock_customer(connection, customer_id)
    lines = select(line.stock_id).where(line.customer_id == customer_id).order_by(line.stock_id).with_for_update()
    connection.execute(lines)


def hold_again(connection: Connection, customer_id: int, stock_id: int, limits: Limits) -> None:
    """Hold a line's goods from now on for another ``hold_seconds``, whether its time is over or not.

    Raises HoldRefused, NotEnoughStock, UnknownStock (not in the cart) or UnknownCustomer; then nothing has changed.
    """
    if not 1 <= stock_id <= STOCK_ID_MAX:
        raise UnknownStock
    holds.hold_again(connection, customer_id, stock_id, limits)
