"""Which counters there are, and what the rows say of them."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Row, text

# Units by stock row, beside its counters. Rows of one table are added up before the join: none is counted twice.
_STOCK = """
    SELECT stock.id, supplied, withdrawn, sold, booked.units AS units_booked, booked.back AS units_back,
           ordered.units AS units_ordered
    FROM stock
    LEFT JOIN (SELECT stock_id, sum(quantity)::bigint AS units, sum(withdrawn)::bigint AS back
               FROM supply_line {which} GROUP BY stock_id) AS booked ON booked.stock_id = stock.id
    LEFT JOIN (SELECT stock_id, sum(quantity)::bigint AS units
               FROM order_line {which} GROUP BY stock_id) AS ordered ON ordered.stock_id = stock.id
"""
_DIFFERS = """
    WHERE (supplied, withdrawn, sold)
          IS DISTINCT FROM (coalesce(booked.units, 0), coalesce(booked.back, 0), coalesce(ordered.units, 0))
    ORDER BY stock.id
"""
_ALL_STOCK = text(_STOCK.format(which="") + _DIFFERS)
_ONE_STOCK = text(_STOCK.format(which="WHERE stock_id = :id") + " WHERE stock.id = :id")
_LOCK_STOCK = text("SELECT 1 FROM stock WHERE id = :id FOR UPDATE")

_MONEY = text("""
    SELECT orders.id, orders.total_minor, lines.total AS lines_total, charge.amount_minor
    FROM orders
    LEFT JOIN (SELECT order_id, sum(quantity * price_minor)::bigint AS total FROM order_line GROUP BY order_id) AS lines
           ON lines.order_id = orders.id
    LEFT JOIN charge ON charge.order_id = orders.id
    WHERE orders.total_minor IS DISTINCT FROM lines.total OR orders.total_minor IS DISTINCT FROM charge.amount_minor
    ORDER BY orders.id
""")


class Counter(Enum):
    """Named as table and column."""

    SUPPLIED = "stock.supplied"
    WITHDRAWN = "stock.withdrawn"
    SOLD = "stock.sold"
    TOTAL = "orders.total_minor"
    CHARGED = "charge.amount_minor"


OF_STOCK = (Counter.SUPPLIED, Counter.WITHDRAWN, Counter.SOLD)


@dataclass(frozen=True)
class Difference:
    """``kept`` is what the counter says, ``counted`` what the rows say; None: there is no such row. Units or minor units."""

    counter: Counter
    row_id: int
    """Of the stock row; of the order for `Counter.TOTAL` and `Counter.CHARGED`."""
    kept: int | None
    counted: int | None


@dataclass(frozen=True)
class StockCount:
    """The counters of one stock row and what its rows say, in units: supplied, withdrawn, sold."""

    stock_id: int
    kept: tuple[int, int, int]
    counted: tuple[int, int, int]

    @property
    def differences(self) -> list[Difference]:
        compared = zip(OF_STOCK, self.kept, self.counted, strict=True)
        return [Difference(name, self.stock_id, kept, counted) for name, kept, counted in compared if kept != counted]

    @property
    def missing(self) -> int:
        """How many units more were sold and taken back than were ever supplied, by the rows; 0 if none (R4)."""
        supplied, withdrawn, sold = self.counted
        return max(0, withdrawn + sold - supplied)


def differing_stock(connection: Connection) -> list[StockCount]:
    """Every stock row of which a counter differs, by its id. One statement, so one snapshot (R1)."""
    return [_count(row) for row in connection.execute(_ALL_STOCK)]


def count_locked(connection: Connection, stock_id: int) -> StockCount:
    """Counted again, with the row locked until the transaction ends (R3)."""
    connection.execute(_LOCK_STOCK, {"id": stock_id})
    return _count(connection.execute(_ONE_STOCK, {"id": stock_id}).one())


def differing_money(connection: Connection) -> list[Difference]:
    """Every order whose total is not what its lines cost, or that was not charged exactly that (R1)."""
    found = []
    for row in connection.execute(_MONEY):
        if row.total_minor != row.lines_total:
            found.append(Difference(Counter.TOTAL, row.id, row.total_minor, row.lines_total))
        if row.total_minor != row.amount_minor:
            found.append(Difference(Counter.CHARGED, row.id, row.amount_minor, row.total_minor))
    return found


def _count(row: Row[Any]) -> StockCount:
    return StockCount(
        row.id,
        (row.supplied, row.withdrawn, row.sold),
        (row.units_booked or 0, row.units_back or 0, row.units_ordered or 0),
    )
