"""What a purchase comes to: decisions and documents, made of values. No SQL, no clock, no chance in here.

R1  A purchase ends as a sale (201) or as a refusal (402, 409); either is the answer to its idempotency key for ever.
R2  A refusal changes nothing but the stored answer.
R3  The total is the sum over the taken lines of quantity times the price of that moment, in one currency.
R4  A price that the customer has not seen is not charged.
R5  A sale tells every manufacturer about its own lines, and about every stock row that it emptied.
R6  Every telling of an answer is like the first, down to the order of its keys.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.contract import SALE_RECORDED, STOCK_DEPLETED
from distributor.errors import ShortLine
from distributor.sales.contention import NOTHING_EARLIER, Contention, Earlier
from distributor.strategies.contract import Line, TakenLine

STATUS_SOLD = 201
STATUS_NO_CARD = 402
STATUS_REFUSED = 409
ORDER_STATUS_FIRST = "confirmed"
AMOUNT_MINOR_MAX = 2**63 - 1  # PostgreSQL's bigint

Document = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the customer gets. ``replayed``: the key had been answered before, and this is that answer."""

    status: int
    body: Document
    replayed: bool = False
    contention: Contention | None = field(default=None, compare=False)
    """Of this telling, not of the first one."""

    @classmethod
    def first(cls, status: int, body: Document) -> "Answer":
        """In the order in which the database will give it back (R6)."""
        return cls(status, {key: _as_stored(body[key]) for key in sorted(body, key=_order_of_keys)})

    def having_met(self, contention: Contention) -> "Answer":
        return Answer(self.status, self.body, self.replayed, contention)


def _as_stored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_stored(value[key]) for key in sorted(value, key=_order_of_keys)}
    return [_as_stored(item) for item in value] if isinstance(value, list) else value


def _order_of_keys(key: str) -> tuple[int, bytes]:
    """jsonb's: shorter keys first, then by their bytes."""
    return len(key.encode()), key.encode()


@dataclass(frozen=True)
class Purchase:
    """A request to buy. ``lines`` merged and sorted, or None for whatever is in the cart."""

    customer_id: int
    key: str
    request_sha256: str
    lines: tuple[Line, ...] | None
    seen_prices: Mapping[int, int] | None = None
    """Minor units by stock id, as shown to the customer; rows that are not named were not looked at."""
    expected: tuple[Line, ...] | None = None
    """The cart as it was shown, sorted by stock id: it is bought only if it is still the same (another window)."""
    left_out: frozenset[int] = frozenset()
    """Stock ids of cart lines that stay in the cart: what was lost to others, while the rest is bought."""
    earlier: Earlier = NOTHING_EARLIER

    @property
    def identity(self) -> tuple[int, str]:
        return self.customer_id, self.key


@dataclass(frozen=True)
class Buyer:
    """What the database knows of a purchase before goods are taken. ``order_id`` is reserved for it."""

    order_id: int
    month: int | None
    now: dt.datetime
    card_token: str | None
    card_expiry: str | None
    card_brand: str | None = None
    card_last4: str | None = None


@dataclass(frozen=True)
class CartLine:
    stock_id: int
    quantity: int
    price_minor_seen: int


@dataclass(frozen=True)
class Basket:
    """What is to be taken, and the prices under which the customer agreed to it."""

    customer_id: int
    lines: tuple[Line, ...]
    seen_prices: Mapping[int, int]
    from_cart: bool
    expected: tuple[Line, ...] | None = None


@dataclass(frozen=True)
class Refusal:
    status: int
    body: Document


@dataclass(frozen=True)
class Event:
    event_id: uuid.UUID
    type: str
    manufacturer: str
    body: Document


@dataclass(frozen=True)
class Sale:
    """Everything that one sale writes."""

    order_id: int
    customer_id: int
    key: str
    request_sha256: str
    month: int
    total_minor: int
    currency: str
    card_token: str
    created_at: str
    """RFC 3339."""
    lines: tuple[TakenLine, ...]
    from_cart: bool
    events: tuple[Event, ...]
    answer: Document
    card_brand: str | None = None
    card_last4: str | None = None


def basket_of(purchase: Purchase, cart: Sequence[CartLine]) -> Basket:
    """``cart`` is looked at only by a purchase of the cart; sorted by stock id."""
    seen = dict(purchase.seen_prices or {})
    if purchase.lines is not None:
        return Basket(purchase.customer_id, purchase.lines, seen, from_cart=False)
    lines = tuple(Line(line.stock_id, line.quantity) for line in cart if line.stock_id not in purchase.left_out)
    prices = {line.stock_id: line.price_minor_seen for line in cart} | seen
    return Basket(purchase.customer_id, lines, prices, from_cart=True, expected=purchase.expected)


def refusal_before(buyer: Buyer, basket: Basket) -> Refusal | None:
    """What can be refused before any stock is touched."""
    if buyer.card_token is None or not card_is_valid(buyer.card_expiry, buyer.now):
        return Refusal(STATUS_NO_CARD, {"reason": "no_card"})
    if not basket.lines:
        return Refusal(STATUS_REFUSED, {"reason": "cart_empty", "lines": []})
    if basket.expected is not None and basket.expected != basket.lines:
        return Refusal(STATUS_REFUSED, {"reason": "cart_changed", "lines": []})
    return None


def card_is_valid(expiry: str | None, now: dt.datetime) -> bool:
    """``expiry`` is YYYY-MM: valid until the end of that month, in UTC."""
    return expiry is not None and expiry >= now.astimezone(dt.UTC).strftime("%Y-%m")


def refusal_short(lines: Sequence[ShortLine]) -> Refusal:
    return Refusal(STATUS_REFUSED, {"reason": "not_enough_stock", "lines": [line.document() for line in lines]})


def refusal_after(basket: Basket, taken: Sequence[TakenLine]) -> Refusal | None:
    """What shows only in the taken rows: they are locked now, so their prices are those that would be charged (R4)."""
    changed = [line for line in taken if basket.seen_prices.get(line.stock_id, line.price_minor) != line.price_minor]
    if changed:
        shown = [
            {
                "stock_id": line.stock_id,
                "price_seen": money(basket.seen_prices[line.stock_id], line.currency),
                "price": money(line.price_minor, line.currency),
            }
            for line in changed
        ]
        return Refusal(STATUS_REFUSED, {"reason": "price_changed", "lines": shown})
    if len({line.currency for line in taken}) > 1:
        return Refusal(STATUS_REFUSED, {"reason": "currencies_differ", "lines": []})
    if total_of(taken) > AMOUNT_MINOR_MAX:
        return Refusal(STATUS_REFUSED, {"reason": "total_too_large", "lines": []})
    return None


def total_of(lines: Sequence[TakenLine]) -> int:
    return sum(line.quantity * line.price_minor for line in lines)


def sale_of(
    purchase: Purchase, buyer: Buyer, basket: Basket, taken: Sequence[TakenLine], new_id: Callable[[], uuid.UUID]
) -> Sale:
    """Put together what is to be written; the caller has made sure that no refusal applies."""
    if buyer.month is None or buyer.card_token is None or not taken:
        message = "a sale needs an open month, a card and at least one line"
        raise ValueError(message)
    total, currency = total_of(taken), taken[0].currency
    at = rfc3339(buyer.now)
    answer = {  # in the order of R6, as is what it is made of: to sort it costs as much as all the rest of a sale
        "id": buyer.order_id,
        "lines": [line_document(line) for line in taken],
        "month": buyer.month,
        "total": money(total, currency),
        "status": ORDER_STATUS_FIRST,
        "created_at": at,
    }
    return Sale(
        order_id=buyer.order_id,
        customer_id=purchase.customer_id,
        key=purchase.key,
        request_sha256=purchase.request_sha256,
        month=buyer.month,
        total_minor=total,
        currency=currency,
        card_token=buyer.card_token,
        created_at=at,
        lines=tuple(taken),
        from_cart=basket.from_cart,
        events=tuple(events_of(buyer.order_id, buyer.month, at, taken, new_id)),
        answer=answer,
        card_brand=buyer.card_brand,
        card_last4=buyer.card_last4,
    )


def events_of(
    order_id: int, month: int, at: str, taken: Sequence[TakenLine], new_id: Callable[[], uuid.UUID]
) -> list[Event]:
    """One ``sale.recorded`` per manufacturer, then one ``stock.depleted`` per emptied row (R5). ``at``: RFC 3339."""
    lines_by_manufacturer: dict[str, list[Document]] = {}
    for line in taken:
        sold = {"sku": line.sku, "quantity": line.quantity, "price_minor": line.price_minor, "currency": line.currency}
        lines_by_manufacturer.setdefault(line.manufacturer, []).append(sold)
    sales = [
        Event(new_id(), SALE_RECORDED, code, {"order_id": order_id, "month": month, "lines": lines, "recorded_at": at})
        for code, lines in lines_by_manufacturer.items()
    ]
    depleted = [
        Event(new_id(), STOCK_DEPLETED, line.manufacturer, {"month": month, "sku": line.sku, "at": at})
        for line in taken
        if line.left == 0
    ]
    return sales + depleted


def line_document(line: TakenLine) -> Document:
    return {
        "sku": line.sku,
        "name": line.name,
        "price": money(line.price_minor, line.currency),
        "quantity": line.quantity,
        "stock_id": line.stock_id,
        "subtotal": money(line.quantity * line.price_minor, line.currency),
        "manufacturer": {"code": line.manufacturer, "name": line.manufacturer_name},
    }


def money(amount: int, currency: str) -> Document:
    return {"amount": amount, "currency": currency}


def rfc3339(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
