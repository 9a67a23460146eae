"""Read-only looks into the distributor's database and the manufacturers' ledgers, for the driver's own needs.

K1  Nothing is written: the connection is read-only, the ledgers are opened with mode=ro.
K2  A drained system: no purchase under way, every closed month told, every event published, every event applied by its
    manufacturer, every supply accepted or refused. The driver waits for it; the checker judges afterwards by its own reading.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import quote

import psycopg
from psycopg.rows import dict_row

STATEMENT_TIMEOUT_MS = 30_000


class BooksUnreadable(Exception):
    """The database or a ledger cannot be read now."""


@dataclass(frozen=True)
class MonthRow:
    number: int
    state: str
    reason: str | None


class Database:
    """The distributor's database, read-only; reconnects when the connection was lost."""

    def __init__(self, url: str) -> None:
        self._conninfo = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def rows(self, query: LiteralString, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        """All rows of a query; raises BooksUnreadable."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(
                    self._conninfo,
                    autocommit=True,
                    row_factory=dict_row,
                    connect_timeout=5,
                    application_name="scenarios",
                    options=f"-c default_transaction_read_only=on -c statement_timeout={STATEMENT_TIMEOUT_MS}",
                )
            return self._connection.execute(query, parameters).fetchall()
        except psycopg.Error as error:
            self.close()
            raise BooksUnreadable(f"database: {error}") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def months(self) -> list[MonthRow]:
        query: LiteralString = "SELECT number, state, reason FROM month ORDER BY number"
        return [MonthRow(row["number"], row["state"], row["reason"]) for row in self.rows(query)]

    def manufacturers_gathered(self, month: int) -> int:
        """How many manufacturers' supplies are booked for a month."""
        rows = self.rows("SELECT count(*) AS n FROM supply WHERE month = %(month)s", {"month": month})
        return int(rows[0]["n"])

    def event_ids(self) -> dict[str, set[str]]:
        """Manufacturer -> ids of the events meant for it."""
        found: dict[str, set[str]] = {}
        for row in self.rows("SELECT manufacturer, event_id::text AS id FROM outbox"):
            found.setdefault(row["manufacturer"], set()).add(row["id"])
        return found

    def untold(self) -> int:
        """Months that are closed, and whose totals are not in the outbox yet."""
        return int(self.rows("SELECT count(*) AS n FROM month WHERE state = 'closed' AND told_at IS NULL")[0]["n"])

    def unpublished(self) -> int:
        return int(self.rows("SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")[0]["n"])

    def supplies_unsettled(self) -> int:
        query: LiteralString = "SELECT count(*) AS n FROM supply WHERE accepted_at IS NULL AND refused_at IS NULL"
        return int(self.rows(query)[0]["n"])

    def version(self) -> str:
        return str(self.rows("SHOW server_version")[0]["server_version"])


def ledger_rows(path: Path, query: str) -> list[dict[str, Any]]:
    """All rows of a query on one manufacturer's ledger; raises BooksUnreadable."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]
    except sqlite3.Error as error:
        raise BooksUnreadable(f"ledger {path.name}: {error}") from error


def produced(ledgers: Path) -> dict[str, int]:
    """Manufacturer -> units made so far."""
    query = "SELECT coalesce(sum(produced), 0) AS n FROM product"
    return {path.stem: int(ledger_rows(path, query)[0]["n"]) for path in sorted(ledgers.glob("*.sqlite"))}


def what_is_missing(database: Database, ledgers: Path) -> str | None:
    """Why the system is not drained yet, as a sentence; None when it is (K2)."""
    untold = database.untold()
    if untold:
        return f"the totals of {untold} closed months are not told yet"
    waiting = database.unpublished()
    if waiting:
        return f"{waiting} events are not published yet"
    unsettled = database.supplies_unsettled()
    if unsettled:
        return f"{unsettled} supplies are neither accepted nor refused yet"
    for code, wanted in sorted(database.event_ids().items()):
        path = ledgers / f"{code}.sqlite"
        if not path.exists():
            return f"manufacturer {code} has no ledger"
        applied = {row["event_id"] for row in ledger_rows(path, "SELECT event_id FROM event")}
        if missing := len(wanted - applied):
            return f"manufacturer {code} has not applied {missing} of {len(wanted)} events yet"
    return None
