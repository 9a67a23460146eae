"""`main.py reconcile`: says which counters differ from their rows, and repairs those of the stock if asked to."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import Engine

from distributor.database import make_engine, transaction
from distributor.errors import DistributorError
from distributor.reconciliation.counters import Counter, Difference, StockCount, differing_money, differing_stock
from distributor.reconciliation.repair import Repaired, repair
from settings import Runtime, SettingsError

EXIT_AGREED = 0
EXIT_DIFFER = 1
EXIT_USAGE = 64
EXIT_CANNOT = 70
STATEMENT_TIMEOUT_MS = 600_000  # five million orders are added up in seconds; this is for a disk that is asleep


def reconcile(state: Path, *, repairing: bool, as_json: bool) -> int:
    """0: all agree, or do now; 1: some differ still; 64: no such system; 70: its database does not answer."""
    try:
        runtime = Runtime.read(state)
    except SettingsError as error:
        return _complain(str(error), EXIT_USAGE)
    try:
        with _engine(runtime) as engine:
            stock, money = _found(engine)
            repairs = [repair(engine, count.stock_id) for count in stock] if repairing else []
    except DistributorError as error:
        return _complain(f"error: {error}; is the system running? main.py status", EXIT_CANNOT)
    lines = _as_json(stock, money, repairs) if as_json else _as_text(stock, money, repairs, repairing=repairing)
    for line in lines:
        sys.stdout.write(line + "\n")
    settled = repairing and not any(one.missing for one in repairs)
    return EXIT_DIFFER if money or (stock and not settled) else EXIT_AGREED


@contextmanager
def _engine(runtime: Runtime) -> Iterator[Engine]:
    database = runtime.settings.database.model_copy(update={"statement_timeout_ms": STATEMENT_TIMEOUT_MS})
    engine = make_engine(runtime, database, pool_size=1, application_name="reconcile")
    try:
        yield engine
    finally:
        engine.dispose()


def _found(engine: Engine) -> tuple[list[StockCount], list[Difference]]:
    with transaction(engine) as connection:
        return differing_stock(connection), differing_money(connection)


def _as_text(
    stock: list[StockCount], money: list[Difference], repairs: list[Repaired], *, repairing: bool
) -> Iterator[str]:
    for count in stock:
        yield from (_line(difference) for difference in count.differences)
    yield from (_line(difference) for difference in money)
    for one in repairs:
        yield _outcome(one)
    if not stock and not money:
        yield "all counters agree with their rows"
    if stock and not repairing:
        yield "main.py reconcile --repair sets the counters of the stock to what the rows say"
    if money:
        yield "money is never repaired by a program: settle these orders by hand"


def _line(found: Difference) -> str:
    what = "order" if found.counter in (Counter.TOTAL, Counter.CHARGED) else "stock"
    kept = "is not there" if found.kept is None else f"says {found.kept}"
    counted = "nothing" if found.counted is None else found.counted
    return f"{what} {found.row_id}: {found.counter.value} {kept}, the rows say {counted}"


def _outcome(one: Repaired) -> str:
    if one.missing:
        return (
            f"stock {one.stock_id}: not repaired: {one.missing} more were sold than were ever supplied; "
            "decide by hand who does without"
        )
    if not one.differences:
        return f"stock {one.stock_id}: agrees by now"
    changes = ", ".join(f"{found.counter.value} {found.kept} -> {found.counted}" for found in one.differences)
    return f"stock {one.stock_id}: repaired: {changes}"


def _as_json(stock: list[StockCount], money: list[Difference], repairs: list[Repaired]) -> Iterator[str]:
    differences = [found for count in stock for found in count.differences] + money
    yield json.dumps(
        {
            "differences": [asdict(found) | {"counter": found.counter.value} for found in differences],
            "repaired": [one.stock_id for one in repairs if one.differences and not one.missing],
            "not_repaired": [{"stock_id": one.stock_id, "missing": one.missing} for one in repairs if one.missing],
        }
    )


def _complain(message: str, code: int) -> int:
    sys.stderr.write(message + "\n")
    return code
