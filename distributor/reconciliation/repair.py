"""Sets the counters of stock rows to what their rows say, each in a transaction of its own: the shop goes on selling."""

from dataclasses import dataclass

from sqlalchemy import Engine, text

from distributor.database import transaction
from distributor.reconciliation.counters import Difference, count_locked

_SET = text("UPDATE stock SET supplied = :supplied, withdrawn = :withdrawn, sold = :sold WHERE id = :id")


@dataclass(frozen=True)
class Repaired:
    """``differences`` as they were found under the lock: none if there is nothing to repair any more (R3).

    ``missing``: units that were sold and never supplied; then nothing was changed (R4).
    """

    stock_id: int
    differences: tuple[Difference, ...]
    missing: int


def repair(engine: Engine, stock_id: int) -> Repaired:
    """Repair one stock row. Raises what `distributor.database.transaction` raises; then nothing was changed."""
    with transaction(engine) as connection:
        count = count_locked(connection, stock_id)
        if count.differences and not count.missing:
            supplied, withdrawn, sold = count.counted
            values = {"id": stock_id, "supplied": supplied, "withdrawn": withdrawn, "sold": sold}
            connection.execute(_SET, values)
        return Repaired(stock_id, tuple(count.differences), count.missing)
