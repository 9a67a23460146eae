"""What goes into a ledger and comes out of it, as values."""

import uuid
from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """A good as this manufacturer makes it. ``initial_units`` count only when the ledger is created."""

    sku: str
    name: str
    price_minor: int
    currency: str
    initial_units: int = 0


@dataclass(frozen=True)
class SaleLine:
    sku: str
    quantity: int
    price_minor: int


@dataclass(frozen=True)
class Sale:
    """What one order bought of this manufacturer."""

    order_id: int
    month: int
    lines: tuple[SaleLine, ...]


@dataclass(frozen=True)
class StockDepleted:
    month: int
    sku: str


@dataclass(frozen=True)
class Total:
    """The distributor's figures of one product at a month's close; ``unsold`` is carried over."""

    sku: str
    supplied: int
    sold: int
    unsold: int


@dataclass(frozen=True)
class MonthClosed:
    """Part ``part`` of ``parts`` of what is told of a month's end; each product is in one of them."""

    month: int
    reason: str
    totals: tuple[Total, ...]
    part: int = 1
    parts: int = 1


@dataclass(frozen=True)
class Event:
    """A message that was checked, with what it says. ``body`` is its canonical JSON, ``body_sha256`` that text's hash."""

    id: uuid.UUID
    type: str
    body: str
    body_sha256: str
    content: Sale | StockDepleted | MonthClosed


class EventRefused(Exception):
    """An event contradicts one that was applied before; it can never be applied. The text says which."""
