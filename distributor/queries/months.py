"""The month that it is, and who is done with it."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Label,
    SQLColumnExpression,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from distributor import tables
from distributor.database import trip
from distributor.errors import ShopClosed, UnknownCustomer
from distributor.months.calendar import Calendar
from distributor.prepared import Prepared
from distributor.tables import FinishedCustomer, Month, Now

SELLING = ("gathering", "open")
"""States in which the shop sells: a gather only adds, so nobody needs to wait for the slowest manufacturer."""


LATELY = dt.timedelta(seconds=60)
"""Chosen: longer than a purchase takes from its beginning, by which its order is dated, and any list is kept, together."""


@dataclass(frozen=True)
class MonthStatus:
    """The newest month. ``next_at``: when the calendar lets the month after it begin, at the latest."""

    number: int
    state: str
    reason: str | None
    opened_at: dt.datetime | None
    ends_at: dt.datetime
    next_at: dt.datetime
    now: dt.datetime
    """The database's clock, which all the others are by."""

    @property
    def is_open(self) -> bool:
        return self.state in SELLING


@dataclass(frozen=True)
class CustomerStatus:
    """What the head of every page says. ``month``: the open one, if any; ``finished``: done with that one."""

    month: int | None
    finished: bool
    cart_lines: int
    cart_units: int
    bought_lately: bool
    """Within ``LATELY``: whoever shows them something from memory may not know of it."""


def current_month(connection: Connection) -> MonthStatus | None:
    """The newest month, whatever its state; None before the first one."""
    [rows] = trip(connection, [_NEWEST_MONTH()])
    if not rows:
        return None
    [row] = rows
    next_at = row.ends_at
    if row.epoch is not None:
        next_at = Calendar(row.epoch, dt.timedelta(seconds=row.month_seconds)).end(row.number)
    return MonthStatus(row.number, row.state, row.reason, row.opened_at, row.ends_at, next_at, row.now)


_NEWEST_MONTH = Prepared(
    select(
        Month.number,
        Month.state,
        Month.reason,
        Month.opened_at,
        Month.ends_at,
        tables.Calendar.epoch,
        tables.Calendar.month_seconds,
        Now.label("now"),
    )
    .join(tables.Calendar, true(), isouter=True)
    .order_by(Month.number.desc())
    .limit(1)
)


def finish(connection: Connection, customer_id: int) -> int:
    """This customer is done with the open month, whose number is returned; saying so twice is saying so once."""
    month = _open_month(connection)
    done = insert(FinishedCustomer).values(month=month, customer_id=customer_id).on_conflict_do_nothing()
    try:
        connection.execute(done)
    except IntegrityError as error:
        raise UnknownCustomer from error
    return month


def unfinish(connection: Connection, customer_id: int) -> int:
    """This customer goes on shopping in the open month."""
    month = _open_month(connection)
    connection.execute(
        delete(FinishedCustomer).where(FinishedCustomer.month == month, FinishedCustomer.customer_id == customer_id)
    )
    return month


def _open_month(connection: Connection) -> int:
    month = connection.scalar(select(Month.number).where(Month.state.in_(SELLING)))
    if month is None:
        raise ShopClosed
    return month


def customer_status(connection: Connection, customer_id: int) -> CustomerStatus:
    """One statement, for it runs with every page that comes after a change."""
    [[row]] = trip(connection, [_CUSTOMER_STATUS(customer_id=customer_id)])
    return status_of(row)


def status_columns(customer_id: SQLColumnExpression[int]) -> list[Label[Any]]:
    """The columns of a CustomerStatus, for a statement that knows the customer; `status_of` reads them."""
    selling: list[ColumnElement[str]] = [literal_column(f"'{state}'") for state in SELLING]
    month = select(Month.number).where(Month.state.in_(selling)).scalar_subquery()
    finished = (
        select(FinishedCustomer.month)
        .where(FinishedCustomer.month == month, FinishedCustomer.customer_id == customer_id)
        .exists()
    )
    line = tables.CartLine
    lines = select(func.count()).where(line.customer_id == customer_id)
    units = select(func.coalesce(func.sum(line.quantity), 0)).where(line.customer_id == customer_id)
    order = tables.Order
    newest = select(order.created_at).where(order.customer_id == customer_id).order_by(order.id.desc()).limit(1)
    bought_lately = func.coalesce(newest.scalar_subquery() > func.now() - LATELY, False)
    return [
        month.label("open_month"),
        finished.label("is_finished"),
        lines.scalar_subquery().label("cart_lines"),
        units.scalar_subquery().label("cart_units"),
        bought_lately.label("bought_lately"),
    ]


def status_of(row: Any) -> CustomerStatus:
    return CustomerStatus(row.open_month, row.is_finished, row.cart_lines, int(row.cart_units), row.bought_lately)


_CUSTOMER_STATUS = Prepared(select(*status_columns(bindparam("customer_id", type_=BigInteger))))
