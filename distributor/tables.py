"""Every table of the distributor's database. `migrations/` must arrive at exactly this (a test compares them).

T1  available = supplied - withdrawn - sold, each >= 0 and available >= 0: CHECKs on ``stock``. The three counters only grow.
T2  One supply a manufacturer and month: UNIQUE on ``supply``. A gather adds, it never sets.
T3  One order and one stored answer a customer and idempotency key: primary key of ``idempotency_key``, UNIQUE on ``orders``.
T4  One charge an order: UNIQUE on ``charge``; its amount equals the order's total (checked by the checker, not the database).
T5  An event is in ``outbox`` exactly if the transaction that caused it committed.
T6  At most one month is gathering, open or closing: partial UNIQUE index on ``month``.

Money: integer minor units and ISO 4217 currency. Times: timestamptz, the database's clock.
"""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from distributor.references import keep_references
from distributor.words import keep_words

Now = func.clock_timestamp()


def _summary_of_ages(table: str) -> Index:
    """By which the pruner finds old rows; a BRIN costs a purchase next to nothing and lets updates stay HOT."""
    return Index(f"{table}_created", "created_at", postgresql_using="brin", postgresql_with={"autosummarize": True})


class Base(DeclarativeBase):
    """Naming is explicit so that migrations and error translation can rely on constraint names."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own class-level declaration
        dt.datetime: DateTime(timezone=True),
        int: BigInteger,
        str: Text,
        dict[str, Any]: JSONB,
        uuid.UUID: Uuid,
    }


class Manufacturer(Base):
    """Another company that offers goods; ``code`` is what it signs with."""

    __tablename__ = "manufacturer"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(120))


class Product(Base):
    """A good, whoever makes it: the same sku from two manufacturers is one product with two stock rows."""

    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(String(64), unique=True)


class Stock(Base):
    """One manufacturer's units of one product (later: and of one branch). Carts and order lines point here; where it points
    itself is references.py's."""

    __tablename__ = "stock"
    __table_args__ = (
        UniqueConstraint("product_id", "manufacturer_id", name="stock_product_manufacturer"),
        CheckConstraint("supplied >= 0", name="stock_supplied_not_negative"),
        CheckConstraint("withdrawn >= 0", name="stock_withdrawn_not_negative"),
        CheckConstraint("sold >= 0", name="stock_sold_not_negative"),
        CheckConstraint("supplied - withdrawn - sold >= 0", name="stock_available_not_negative"),
        CheckConstraint("price_minor > 0", name="stock_price_positive"),
        # The catalogue in each of its orders, and its search. None is on or about a counter, or no sale could be HOT.
        Index("stock_name", "name", "id"),
        Index("stock_price", "price_minor", "name", "id"),
        Index("stock_manufacturer_name", "manufacturer_id", "name", "id"),
        Index("stock_manufacturer_price", "manufacturer_id", "price_minor", "name", "id"),
        Index("stock_words", "words", postgresql_using="gin"),
        # half of each page is left free: a month's supply changes all rows of a maker at once, and those are HOT updates then
        {"postgresql_with": {"fillfactor": 50}},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int]
    manufacturer_id: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    price_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    supplied: Mapped[int] = mapped_column(server_default=text("0"))
    withdrawn: Mapped[int] = mapped_column(server_default=text("0"))
    sold: Mapped[int] = mapped_column(server_default=text("0"))
    holds_made: Mapped[int] = mapped_column(server_default=text("0"))
    """How often units were held, or held for longer. Counting makes each of them a write of this row, which purchases
    under any isolation level notice (distributor/holds)."""
    words: Mapped[str | None] = mapped_column(TSVECTOR, deferred=True)
    """By which it is found: those of its name and sku. Set by triggers (below) wherever a row is made or renamed."""


keep_words(Stock.__table__)


class Calendar(Base):
    """The simulated clock, one row: month ``n`` begins at ``epoch + (n - 1) * month_seconds``. A jump moves the epoch."""

    __tablename__ = "calendar"
    __table_args__ = (
        CheckConstraint("id = 1", name="calendar_one_row"),
        CheckConstraint("month_seconds > 0", name="calendar_month_seconds_positive"),
    )
    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[dt.datetime]
    month_seconds: Mapped[float] = mapped_column(Double, server_default=text("60"))
    """By which the epoch was set: a system restarted with months of another length moves the epoch accordingly."""


class Month(Base):
    """``gathering -> open -> closing -> closed``; ``reason`` why it was closed: depleted, finished, time_over, by_hand."""

    __tablename__ = "month"
    __table_args__ = (
        CheckConstraint("state IN ('gathering', 'open', 'closing', 'closed')", name="month_state"),
        CheckConstraint(
            "reason IS NULL OR reason IN ('depleted', 'finished', 'time_over', 'by_hand')", name="month_reason"
        ),
        CheckConstraint("(state IN ('closing', 'closed')) = (reason IS NOT NULL)", name="month_reason_when_closing"),
        # T6
        Index("month_one_current", text("(true)"), unique=True, postgresql_where=text("state <> 'closed'")),
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str | None] = mapped_column(String(12))
    gathering_at: Mapped[dt.datetime] = mapped_column(server_default=Now)
    opened_at: Mapped[dt.datetime | None]
    closing_at: Mapped[dt.datetime | None]
    closed_at: Mapped[dt.datetime | None]
    ends_at: Mapped[dt.datetime]
    """When the calendar says that its time is over."""
    close_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    told_at: Mapped[dt.datetime | None]
    """When what it came to was written to the outbox, some time after its end (distributor/months/totals.py)."""


class Supply(Base):
    """One manufacturer's offer of one month, booked (T2). ``accepted_at`` once the manufacturer knows that we took it."""

    __tablename__ = "supply"
    __table_args__ = (
        UniqueConstraint("manufacturer_id", "month", name="supply_manufacturer_month"),
        Index("supply_not_accepted", "id", postgresql_where=text("accepted_at IS NULL AND refused_at IS NULL")),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    manufacturer_id: Mapped[int] = mapped_column(ForeignKey("manufacturer.id"))
    month: Mapped[int] = mapped_column(ForeignKey("month.number"))
    content_sha256: Mapped[str] = mapped_column(String(64))
    booked_at: Mapped[dt.datetime] = mapped_column(server_default=Now)
    accepted_at: Mapped[dt.datetime | None]
    refused_at: Mapped[dt.datetime | None]
    """When the manufacturer refused our acceptance; the units that were still there were withdrawn."""


class SupplyLine(Base):
    """Units of one stock row in one supply; ``withdrawn`` the part taken back after a refusal. Both ids are references.py's."""

    __tablename__ = "supply_line"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="supply_line_quantity_positive"),
        CheckConstraint("withdrawn BETWEEN 0 AND quantity", name="supply_line_withdrawn_bounded"),
    )
    supply_id: Mapped[int] = mapped_column(primary_key=True)
    stock_id: Mapped[int] = mapped_column(primary_key=True)
    quantity: Mapped[int]
    withdrawn: Mapped[int] = mapped_column(server_default=text("0"))


class GatherAttempt(Base):
    """What became of the last attempt to gather from one manufacturer in one month, for people to see."""

    __tablename__ = "gather_attempt"
    manufacturer_id: Mapped[int] = mapped_column(ForeignKey("manufacturer.id"), primary_key=True)
    month: Mapped[int] = mapped_column(ForeignKey("month.number"), primary_key=True)
    outcome: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    at: Mapped[dt.datetime] = mapped_column(server_default=Now)


class Customer(Base):
    """An account. ``email_canonical`` decides uniqueness; deleted accounts keep their orders, anonymised."""

    __tablename__ = "customer"
    __table_args__ = (UniqueConstraint("email_canonical", name="customer_email_canonical"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(String(254))
    email_canonical: Mapped[str | None] = mapped_column(String(254))
    first_name: Mapped[str] = mapped_column(String(80))
    last_name: Mapped[str] = mapped_column(String(80))
    password_hash: Mapped[str | None] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(20), server_default=text("'customer'"))
    card_token: Mapped[str | None] = mapped_column(String(64))
    card_brand: Mapped[str | None] = mapped_column(String(20))
    card_last4: Mapped[str | None] = mapped_column(String(4))
    card_expiry: Mapped[str | None] = mapped_column(String(7))
    """``YYYY-MM``; usable until the end of that month."""
    language: Mapped[str | None] = mapped_column(String(8))
    """What was chosen, as a tag of BCP 47; empty: each browser says for itself."""
    created_at: Mapped[dt.datetime] = mapped_column(server_default=Now)
    deleted_at: Mapped[dt.datetime | None]


class CustomerSession(Base):
    """A signed-in browser or API client; only the token's SHA-256 is stored. Deleted at logout (P6)."""

    __tablename__ = "customer_session"
    __table_args__ = (Index("customer_session_customer", "customer_id"), Index("customer_session_expiry", "expires_at"))
    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=Now)
    expires_at: Mapped[dt.datetime]
    seen_at: Mapped[dt.datetime] = mapped_column(server_default=Now)
    """When it was last used, give or take a minute; in no index, so that noting it is a HOT update."""
    browser: Mapped[str | None] = mapped_column(String(20))
    system: Mapped[str | None] = mapped_column(String(20))
    """Roughly what signed in, by names from a closed list; empty for programs."""


class RateLimit(Base):
    """How much of a quota is used up: ``whole_at`` is when nothing of it will be (generic cell rate algorithm).
    ``subject`` is a hash of the policy's name and of whom it limits. A row whose moment is past says nothing."""

    __tablename__ = "rate_limit"
    __table_args__ = (Index("rate_limit_whole", "whole_at"),)
    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    whole_at: Mapped[dt.datetime]


class LoginFailure(Base):
    """Failed sign-ins, for throttling by account and by address; ``subject`` is a hash of either."""

    __tablename__ = "login_failure"
    __table_args__ = (Index("login_failure_subject", "subject", "at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(64))
    at: Mapped[dt.datetime] = mapped_column(server_default=Now)


class FinishedCustomer(Base):
    """A customer who said to be done for this month."""

    __tablename__ = "finished_customer"
    month: Mapped[int] = mapped_column(ForeignKey("month.number"), primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(server_default=Now)


class CartLine(Base):
    """What a customer means to buy. ``held`` units of it are kept from others until ``held_until`` (distributor/holds)."""

    __tablename__ = "cart_line"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="cart_line_quantity_positive"),
        CheckConstraint("held BETWEEN 0 AND quantity", name="cart_line_held_bounded"),
        CheckConstraint("(held > 0) = (held_until IS NOT NULL)", name="cart_line_held_until_a_time"),
        # the holds of a stock row; where carts hold nothing, no cart line is in it
        Index("cart_line_held", "stock_id", postgresql_where=text("held > 0")),
    )
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), primary_key=True)
    stock_id: Mapped[int] = mapped_column(ForeignKey("stock.id"), primary_key=True)
    quantity: Mapped[int]
    price_minor_seen: Mapped[int]
    """The price when the line was put in the cart: a change must be shown before buying."""
    added_at: Mapped[dt.datetime] = mapped_column(server_default=Now)
    held: Mapped[int] = mapped_column(server_default=text("0"))
    held_until: Mapped[dt.datetime | None]
    holds_begun: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How often the time of a hold on this line was begun: the first time and every "hold again"."""


class Order(Base):
    """A sale. Inserted once, in the transaction that took the stock; ``status`` moves on later."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("customer_id", "idempotency_key", name="orders_customer_key"),  # T3
        Index("orders_customer", "customer_id", "id"),
        Index("orders_month", "month"),
        CheckConstraint("total_minor > 0", name="orders_total_positive"),
        CheckConstraint("status IN ('confirmed', 'packed', 'shipped', 'delivered')", name="orders_status"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    idempotency_key: Mapped[str] = mapped_column(String(200))
    month: Mapped[int] = mapped_column(ForeignKey("month.number"))
    status: Mapped[str] = mapped_column(String(12), server_default=text("'confirmed'"))
    total_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    strategy: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=Now)
    # What the sale met on its way (distributor/sales/contention.py); NULL in orders of before this was kept.
    queued_us: Mapped[int | None]
    lock_us: Mapped[int | None]
    together: Mapped[int | None] = mapped_column(Integer)
    repeats: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """NULL, too, when the first attempt sold it."""


class OrderLine(Base):
    """Units of one stock row in one order, at the price of that moment."""

    __tablename__ = "order_line"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="order_line_quantity_positive"),
        Index("order_line_stock", "stock_id"),
    )
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    stock_id: Mapped[int] = mapped_column(ForeignKey("stock.id"), primary_key=True)
    quantity: Mapped[int]
    price_minor: Mapped[int]


class Charge(Base):
    """What the customer's card was charged for one order (T4)."""

    __tablename__ = "charge"
    __table_args__ = (UniqueConstraint("order_id", name="charge_order"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    card_token: Mapped[str] = mapped_column(String(64))
    """Empty for deleted accounts."""
    card_brand: Mapped[str | None] = mapped_column(String(20))
    card_last4: Mapped[str | None] = mapped_column(String(4))
    """The card of that moment, as a receipt names it; empty for orders from before, and of deleted accounts."""
    at: Mapped[dt.datetime] = mapped_column(server_default=Now)


class IdempotencyKey(Base):
    """The answer that a customer's key got, refusals included; written in the transaction that decided it (T3)."""

    __tablename__ = "idempotency_key"
    __table_args__ = (_summary_of_ages("idempotency_key"),)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(SmallInteger)
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=Now)


class OutboxEvent(Base):
    """An event on its way to a manufacturer (T5). ``published_at`` only after the broker confirmed it."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("outbox_unpublished", "id", postgresql_where=text("published_at IS NULL")),
        # for the page of an order: which makers were told about it, and when
        Index(
            "outbox_order",
            text("((body ->> 'order_id')::bigint)"),
            postgresql_where=text("type = 'sale.recorded'"),
        ),
        _summary_of_ages("outbox"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    type: Mapped[str] = mapped_column(String(40))
    manufacturer: Mapped[str] = mapped_column(String(32))
    body: Mapped[dict[str, Any]]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=Now)
    claimed_until: Mapped[dt.datetime | None]
    published_at: Mapped[dt.datetime | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    last_error: Mapped[str | None]


class Pruned(Base):
    """What is gone of a kind of rows: all from before ``up_to`` (distributor/retention, R2), and how many by now."""

    __tablename__ = "pruned"
    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    up_to: Mapped[dt.datetime]
    rows: Mapped[int] = mapped_column(server_default=text("0"))


keep_references(Base.metadata)
