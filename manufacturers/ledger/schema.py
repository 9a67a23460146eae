"""The tables of a ledger, and how a file becomes one.

L1  produced = in_stock + units of offers in state offered or accepted - returned, for every product. The triggers and
    CHECKs below refuse what breaks a part of it; the transactions in ``books.py`` and ``offers.py`` keep the whole.
L2  ``produced`` and ``returned`` only grow; no counter is ever negative.
L3  An offer's month, content and hash never change after it was made (triggers). State: offered -> accepted | released.
L4  At most one offer is in state offered: asking for a later month releases the earlier one in the same transaction.
L5  A row in ``event`` exists exactly if its effect does: both are written in one transaction. Neither is changed later.
L6  A ledger exists whole or not at all: tables, version and the initial units are written in one transaction.
L7  A month is in ``month_closed`` exactly if all its parts are in ``month_part``; its totals are in ``month_total`` part by part.

Readers outside this process (the checker) rely on the names of tables and columns.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from manufacturers.ledger.values import Product

SCHEMA_VERSION = 1
BUSY_TIMEOUT_MS = 5_000  # chosen: longer than any transaction here, shorter than the callers' deadlines together
CACHE_KIB = 512  # chosen: a ledger of 50 products fits; SQLite's default of 2 MiB would cost 400 MB with 200 ledgers
STATEMENTS_CACHED = 32

TABLES = """
CREATE TABLE product (
    sku TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    price_minor INTEGER NOT NULL CHECK (price_minor > 0),
    currency TEXT NOT NULL CHECK (length(currency) = 3),
    produced INTEGER NOT NULL DEFAULT 0 CHECK (produced >= 0),
    in_stock INTEGER NOT NULL DEFAULT 0 CHECK (in_stock >= 0),
    returned INTEGER NOT NULL DEFAULT 0 CHECK (returned >= 0),
    CHECK (in_stock <= produced + returned)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER product_counters_grow BEFORE UPDATE OF produced, returned ON product
WHEN NEW.produced < OLD.produced OR NEW.returned < OLD.returned
BEGIN SELECT RAISE(ABORT, 'L2: produced and returned only grow'); END;

CREATE TABLE offer (
    month INTEGER PRIMARY KEY CHECK (month > 0),
    state TEXT NOT NULL CHECK (state IN ('offered', 'accepted', 'released')),
    content TEXT NOT NULL,         -- the response body, to the byte
    content_sha256 TEXT NOT NULL CHECK (length(content_sha256) = 64),
    at TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX offer_one_open ON offer (state) WHERE state = 'offered';  -- L4

CREATE TRIGGER offer_is_frozen BEFORE UPDATE OF month, content, content_sha256 ON offer
BEGIN SELECT RAISE(ABORT, 'L3: an offer never changes'); END;

CREATE TRIGGER offer_state_moves_on BEFORE UPDATE OF state ON offer WHEN OLD.state <> 'offered'
BEGIN SELECT RAISE(ABORT, 'L3: accepted and released are final'); END;

CREATE TABLE offer_line (
    month INTEGER NOT NULL REFERENCES offer (month),
    sku TEXT NOT NULL REFERENCES product (sku),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    price_minor INTEGER NOT NULL CHECK (price_minor > 0),
    PRIMARY KEY (month, sku)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (                -- the inbox
    event_id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    month INTEGER NOT NULL,
    body TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    received_at TEXT NOT NULL
) STRICT;

CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'L5: an event never changes'); END;
CREATE TRIGGER event_stays_there BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'L5: an event never goes'); END;

CREATE TABLE sale_line (
    event_id TEXT NOT NULL REFERENCES event (event_id),
    order_id INTEGER NOT NULL,
    month INTEGER NOT NULL,
    sku TEXT NOT NULL REFERENCES product (sku),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    price_minor INTEGER NOT NULL CHECK (price_minor > 0),
    PRIMARY KEY (event_id, sku)
) STRICT, WITHOUT ROWID;

CREATE INDEX sale_line_month ON sale_line (month, sku, quantity);  -- the sums of the ledger page

CREATE TABLE month_total (
    month INTEGER NOT NULL,
    sku TEXT NOT NULL REFERENCES product (sku),
    supplied INTEGER NOT NULL CHECK (supplied >= 0),
    sold INTEGER NOT NULL CHECK (sold >= 0),
    unsold INTEGER NOT NULL CHECK (unsold >= 0),
    PRIMARY KEY (month, sku)
) STRICT, WITHOUT ROWID;

CREATE TABLE month_closed (
    month INTEGER PRIMARY KEY,
    reason TEXT NOT NULL,
    event_id TEXT NOT NULL UNIQUE REFERENCES event (event_id)
) STRICT;
"""

# Made where they are missing, also in a ledger that is older than they are.
LATER_TABLES = """
CREATE TABLE IF NOT EXISTS nonce (
    nonce TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL  -- Unix time: from then on the request is too old in itself
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS month_part (
    month INTEGER NOT NULL,
    part INTEGER NOT NULL CHECK (part BETWEEN 1 AND parts),
    parts INTEGER NOT NULL,
    reason TEXT NOT NULL,
    content_sha256 TEXT NOT NULL,
    event_id TEXT NOT NULL UNIQUE REFERENCES event (event_id),
    PRIMARY KEY (month, part)
) STRICT, WITHOUT ROWID;
"""


class LedgerUnusable(Exception):
    """The file is not a ledger of this version; the text names the file and the way out."""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Take the write lock at once, so that what was read is still true when it is written; commit, or undo all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def connect(path: Path) -> sqlite3.Connection:
    """One connection, used by several threads one after another (``Books`` has the lock)."""
    connection = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT_MS / 1_000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS_CACHED,
    )
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"cache_size = -{CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def open_ledger(path: Path, products: Iterable[Product]) -> sqlite3.Connection:
    """Open the ledger, made with its initial units where there is none; names and prices follow the catalogue."""
    try:
        connection = connect(path)
        try:
            with transaction(connection):
                _bring_up_to_date(connection, path, products)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        msg = f"{path}: cannot be used as a ledger: {error}"
        raise LedgerUnusable(msg) from error
    return connection


def _bring_up_to_date(connection: sqlite3.Connection, path: Path, products: Iterable[Product]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, SCHEMA_VERSION):
        msg = (
            f"{path}: has schema version {version}, this program writes {SCHEMA_VERSION}; use the program that made it"
        )
        raise LedgerUnusable(msg)
    created = version == 0
    if created:
        for statement in _statements(TABLES):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    for statement in _statements(LATER_TABLES):
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO product (sku, name, price_minor, currency, produced, in_stock) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (sku) DO UPDATE SET name = excluded.name, price_minor = excluded.price_minor,"
        " currency = excluded.currency",
        [(p.sku, p.name, p.price_minor, p.currency, *([p.initial_units if created else 0] * 2)) for p in products],
    )


def _statements(script: str) -> Iterator[str]:
    """The script's statements one by one: ``executescript`` would commit the transaction that they belong to (L6)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
