"""The monthly table: per month and manufacturer what was produced, offered, supplied, ordered, sold, refused, left, earned.

Each figure comes from the books of whoever knows it: production and offers from the manufacturer's ledger, the rest from
the distributor's database. ``refused``: units that the shop had to refuse for lack of stock, over all its 409 answers.
``ordered`` = sold + refused. ``unsold``: units left at the month's close, which stay on sale in the next month.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, LiteralString

from scenarios.books import Database, ledger_rows

COLUMNS = ("produced", "offered", "supplied", "ordered", "sold", "refused", "unsold", "revenue_minor")


@dataclass
class Row:
    month: int
    manufacturer: str
    reason: str = ""
    """Why the month ended."""
    produced: int = 0
    offered: int = 0
    supplied: int = 0
    ordered: int = 0
    sold: int = 0
    refused: int = 0
    unsold: int = 0
    revenue_minor: int = 0


_SUPPLIED: LiteralString = """
SELECT s.month, m.code, sum(l.quantity - l.withdrawn)::bigint AS supplied
  FROM supply s JOIN supply_line l ON l.supply_id = s.id JOIN manufacturer m ON m.id = s.manufacturer_id
 GROUP BY 1, 2"""
_SOLD: LiteralString = """
SELECT o.month, m.code, sum(l.quantity)::bigint AS sold, sum(l.quantity * l.price_minor)::bigint AS revenue_minor
  FROM orders o JOIN order_line l ON l.order_id = o.id JOIN stock s ON s.id = l.stock_id
  JOIN manufacturer m ON m.id = s.manufacturer_id
 GROUP BY 1, 2"""
_REFUSED: LiteralString = """
SELECT n.number AS month, m.code,
       sum(greatest(0, (line ->> 'wanted')::bigint - (line ->> 'available')::bigint))::bigint AS refused
  FROM idempotency_key k
  CROSS JOIN LATERAL jsonb_array_elements(
      CASE jsonb_typeof(k.answer -> 'lines') WHEN 'array' THEN k.answer -> 'lines' ELSE '[]' END) AS line
  JOIN stock s ON s.id = (line ->> 'stock_id')::bigint JOIN manufacturer m ON m.id = s.manufacturer_id
  JOIN month n ON k.created_at >= n.gathering_at AND k.created_at < coalesce(n.closed_at, 'infinity')
 WHERE k.status = 409 AND line ? 'available'
 GROUP BY 1, 2"""
_UNSOLD: LiteralString = """
SELECT (o.body ->> 'month')::int AS month, o.manufacturer AS code,
       coalesce(sum((total ->> 'unsold')::bigint), 0)::bigint AS unsold
  FROM outbox o LEFT JOIN LATERAL jsonb_array_elements(o.body -> 'totals') AS total ON true
 WHERE o.type = 'month.closed'
 GROUP BY 1, 2"""
_OFFERED = "SELECT month, sum(quantity) AS offered FROM offer_line GROUP BY month"


def collect(database: Database, ledgers: Path, produced: Mapping[int, Mapping[str, int]]) -> list[Row]:
    """The table, sorted by month and manufacturer; ``produced``: month -> manufacturer -> units made in it."""
    codes = [row["code"] for row in database.rows("SELECT code FROM manufacturer ORDER BY id")]
    months = database.months()
    table = {(m.number, code): Row(m.number, code, m.reason or "") for m in months for code in codes}
    for query in (_SUPPLIED, _SOLD, _REFUSED, _UNSOLD):
        _put(table, database.rows(query))
    for code in codes:
        path = ledgers / f"{code}.sqlite"
        if path.exists():
            _put(table, [row | {"code": code} for row in ledger_rows(path, _OFFERED)])
    for (month, code), row in table.items():
        row.produced = produced.get(month, {}).get(code, 0)
        row.ordered = row.sold + row.refused
    return [table[key] for key in sorted(table, key=lambda key: (key[0], len(key[1]), key[1]))]


def _put(table: Mapping[tuple[int, str], Row], rows: Sequence[Mapping[str, Any]]) -> None:
    for values in rows:
        row = table.get((values["month"], values["code"]))
        for column, value in values.items():
            if row is not None and column not in {"month", "code"}:
                setattr(row, column, int(value))


class ProductionLog:
    """Turns the running counters of the ledgers, read when a month ends, into units made per month."""

    def __init__(self) -> None:
        self._counted: dict[str, int] = {}
        self.months: defaultdict[int, dict[str, int]] = defaultdict(dict)

    def month_ended(self, month: int, counters: Mapping[str, int]) -> None:
        for code, total in counters.items():
            made = total - self._counted.get(code, 0)
            self.months[month][code] = self.months[month].get(code, 0) + made
            self._counted[code] = total


def write(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("month", "manufacturer", "reason", *COLUMNS))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Sums over all rows; of ``unsold`` the last month's, for what is left over stays on sale and would count again."""
    last = max((row["month"] for row in rows), default=0)
    summed = {column: sum(row[column] for row in rows) for column in COLUMNS}
    return summed | {"unsold": sum(row["unsold"] for row in rows if row["month"] == last)}
