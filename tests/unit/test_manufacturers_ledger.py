"""Opening a ledger again with another catalogue (L6), and what the file itself refuses (L2, L3, L5)."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from manufacturers.ledger import Books, LedgerUnusable, Product
from tests.manufacturers_world import assert_conserved, rows

AXE = Product("A", "Axe", 5, "GBP", 10)
BOW = Product("B", "Bow", 7, "GBP", 4)
GOODS = "SELECT sku, name, price_minor, produced, in_stock FROM product"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "m1.sqlite"
    books = Books(path, "m1", "Alder & Finch", [AXE])
    books.offer(1)
    books.close()
    yield path
    assert_conserved(path)


def test_at_a_later_start_names_and_prices_follow_the_catalogue_but_no_unit_appears(ledger: Path) -> None:
    Books(ledger, "m1", "Alder & Finch", [Product("A", "Great Axe", 6, "GBP", 99), BOW]).close()
    assert rows(ledger, GOODS) == [("A", "Great Axe", 6, 10, 0), ("B", "Bow", 7, 0, 0)]


def test_a_good_that_left_the_catalogue_stays_in_the_books(ledger: Path) -> None:
    Books(ledger, "m1", "Alder & Finch", [BOW]).close()
    assert rows(ledger, GOODS) == [("A", "Axe", 5, 10, 0), ("B", "Bow", 7, 0, 0)]


def test_a_start_that_is_cut_off_leaves_nothing_behind(tmp_path: Path) -> None:
    """L6: the next start makes the ledger as if it were the first."""
    path = tmp_path / "m1.sqlite"
    with pytest.raises(LedgerUnusable, match="CHECK constraint failed: price_minor"):
        Books(path, "m1", "Alder & Finch", [BOW, Product("A", "Axe", 0, "GBP", 10)])
    Books(path, "m1", "Alder & Finch", [AXE]).close()
    assert rows(path, GOODS) == [("A", "Axe", 5, 10, 10)]


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE product SET produced = produced - 1", "L2"),
        ("UPDATE product SET in_stock = -1", "in_stock >= 0"),
        ("UPDATE product SET in_stock = 11", "in_stock <= produced"),
        ("UPDATE product SET in_stock = 'many'", "cannot store TEXT"),
        ("UPDATE offer SET content = '{}'", "L3"),
        ("UPDATE offer SET month = 2", "L3"),
        ("UPDATE offer SET state = 'forgotten'", "CHECK constraint failed"),
        ("INSERT INTO offer SELECT 2, state, content, content_sha256, at FROM offer", "UNIQUE constraint failed"),
        ("INSERT INTO offer_line VALUES (9, 'A', 1, 1)", "FOREIGN KEY"),
        ("INSERT INTO sale_line VALUES ('x', 1, 1, 'A', 1, 1)", "FOREIGN KEY"),
    ],
)
def test_the_file_refuses_what_breaks_an_invariant(ledger: Path, statement: str, why: str) -> None:
    connection = sqlite3.connect(ledger, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError, match=why):
        connection.execute(statement)
    connection.close()


def test_an_accepted_offer_stays_accepted(ledger: Path) -> None:
    connection = sqlite3.connect(ledger, isolation_level=None)
    connection.execute("UPDATE offer SET state = 'accepted'")
    with pytest.raises(sqlite3.IntegrityError, match="L3: accepted and released are final"):
        connection.execute("UPDATE offer SET state = 'released'")
    connection.close()
