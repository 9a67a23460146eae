"""The ledger of one manufacturer: a SQLite file, and the only place where units are counted.

Promises: every change is one transaction that is on disk before anybody hears of it; the invariants L1 to L6 of
``schema.py`` hold at every moment, in the file itself, so that others may read it while it is in use.
"""

from manufacturers.ledger.books import Books
from manufacturers.ledger.offers import OfferRefused
from manufacturers.ledger.schema import LedgerUnusable
from manufacturers.ledger.values import Event, EventRefused, MonthClosed, Product, Sale, SaleLine, StockDepleted, Total

__all__ = [
    "Books",
    "Event",
    "EventRefused",
    "LedgerUnusable",
    "MonthClosed",
    "OfferRefused",
    "Product",
    "Sale",
    "SaleLine",
    "StockDepleted",
    "Total",
]
