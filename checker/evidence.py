"""Reads the final books into the run folder, and back from there.

E1  All of PostgreSQL is read in one REPEATABLE READ, READ ONLY snapshot: the books of one moment.
E2  The ledgers are read after it, so that an event in the snapshot can only be missing in a ledger if it was not applied.
E3  Reading changes nothing: the transaction and the SQLite files are opened read-only.
"""

import gzip
import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Row = dict[str, Any]

# Every column that a check reads. Texts of customers (names, e-mail, password hashes, cards) are not evidence and stay out.
DATABASE_TABLES: dict[str, str] = {
    "manufacturer": "id, code",
    "product": "id, sku",
    "stock": "id, product_id, manufacturer_id, price_minor, currency, supplied, withdrawn, sold",
    "month": "number, state, reason, gathering_at, closing_at, closed_at, told_at",
    "supply": "id, manufacturer_id, month, accepted_at, refused_at",
    "supply_line": "supply_id, stock_id, quantity, withdrawn",
    "orders": "id, customer_id, idempotency_key, month, total_minor, currency, strategy, created_at",
    "order_line": "order_id, stock_id, quantity, price_minor",
    "charge": "id, order_id, amount_minor, currency",
    "cart_line": "customer_id, stock_id, quantity, held, holds_begun, "
    "extract(epoch FROM held_until - clock_timestamp())::float8 AS seconds_left",
    "idempotency_key": "customer_id, key, status, (answer ->> 'id')::bigint AS order_id, created_at, "
    "CASE WHEN answer ->> 'reason' = 'not_enough_stock' THEN answer -> 'lines' END AS short",
    "outbox": "event_id, type, manufacturer, body, published_at",
    "pruned": "kind, up_to",
}
LEDGER_TABLES = ("product", "offer", "offer_line", "event", "sale_line", "month_total", "month_closed")
STATEMENT_TIMEOUT_MS = 60_000
DATABASE_FILE = "database.json.gz"
LEDGERS_FOLDER = "ledgers"


class EvidenceMissing(Exception):
    """A piece of evidence cannot be read; the text says which and why."""


@dataclass(frozen=True)
class Evidence:
    """The books of one run: PostgreSQL's tables, each manufacturer's ledger, the clients' history, the run's own facts."""

    run: Row
    database: dict[str, list[Row]]
    ledgers: dict[str, dict[str, list[Row]]]
    history: list[Row] = field(default_factory=list)

    @property
    def drained(self) -> bool:
        """Whether the driver waited until every event had reached its ledger."""
        return bool(self.run.get("drained"))


def collect(database_url: str, ledgers_dir: Path, run_dir: Path) -> None:
    """Write the evidence below ``run_dir``; raises EvidenceMissing if the books cannot be read."""
    try:
        books = _read_database(database_url)
    except psycopg.Error as error:
        raise EvidenceMissing(f"the distributor's database cannot be read: {error}") from error
    run_dir.mkdir(parents=True, exist_ok=True)
    _write_json(run_dir / DATABASE_FILE, books)
    folder = run_dir / LEDGERS_FOLDER
    folder.mkdir(exist_ok=True)
    for path in sorted(ledgers_dir.glob("*.sqlite")):
        _write_json(folder / f"{path.stem}.json.gz", read_ledger(path))


def read(run_dir: Path) -> Evidence:
    """Read a run folder; raises EvidenceMissing, naming the file, where a piece is absent or damaged."""
    try:
        ledgers = {
            path.name.removesuffix(".json.gz"): _read_json(path)
            for path in sorted((run_dir / LEDGERS_FOLDER).glob("*.json.gz"))
        }
    except (OSError, ValueError) as error:  # a name that no file can have
        raise EvidenceMissing(f"the run folder cannot be read: {error}") from error
    return Evidence(
        run=_read_json(run_dir / "run.json"),
        database=_read_json(run_dir / DATABASE_FILE),
        ledgers=ledgers,
        history=_read_history(run_dir / "history.jsonl"),
    )


def _read_database(database_url: str) -> dict[str, list[Row]]:
    conninfo = database_url.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(conninfo, row_factory=dict_row, connect_timeout=10) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
        return {
            table: connection.execute(
                sql.SQL("SELECT {} FROM {}").format(sql.SQL(columns), sql.Identifier(table))
            ).fetchall()
            for table, columns in DATABASE_TABLES.items()
        }


def read_ledger(path: Path) -> dict[str, list[Row]]:
    """All tables of one manufacturer's ledger; raises EvidenceMissing if one cannot be read."""
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=10)
    except sqlite3.Error as error:
        raise EvidenceMissing(f"ledger {path.name} cannot be opened: {error}") from error
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        return {
            table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608 - fixed names
            for table in LEDGER_TABLES
        }
    except sqlite3.Error as error:
        raise EvidenceMissing(f"ledger {path.name} cannot be read: {error}") from error
    finally:
        connection.close()


def _write_json(path: Path, content: object) -> None:
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=3) as file:
        json.dump(content, file, default=str, separators=(",", ":"))


def _read_json(path: Path) -> Any:
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if path.suffix == ".gz" else raw
        return json.loads(text)
    except (OSError, ValueError, EOFError) as error:
        raise EvidenceMissing(f"{path.name} cannot be read: {error}") from error


def _read_history(path: Path) -> list[Row]:
    """One JSON object a line. The last line may be torn (the driver was killed); any other damage is missing evidence."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise EvidenceMissing(f"{path.name} cannot be read: {error}") from error
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise EvidenceMissing(f"{path.name}, line {number}: {error}") from error
    return rows
