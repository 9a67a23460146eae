"""Two requests for offers at once: the units are offered once (L1, L4), and each month has one content (L3)."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from manufacturers.ledger import Books, OfferRefused, Product, offers
from manufacturers.ledger.schema import connect, transaction
from tests.conftest import free_port
from tests.manufacturers_world import CONSERVATION, ROOT, Factory, assert_conserved, make_runtime, rows

PRODUCTS = [Product("A", "Axe", 5, "GBP", 10), Product("B", "Barrow", 5, "GBP", 3)]
MAKER = {"code": "m1", "name": "Alder & Finch"}
ROUNDS = 20


def open_books(path: Path) -> Books:
    return Books(path, "m1", "Alder & Finch", PRODUCTS)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "m1.sqlite"
    open_books(path).close()
    yield path
    assert_conserved(path)


def at_once(work: Sequence[Callable[[], object]]) -> list[object]:
    """Run all at the same moment, each in a thread of its own; what each returned, or how it was refused."""
    barrier = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> object:
        barrier.wait(60)
        try:
            return one()
        except OfferRefused as refused:
            return refused

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))


def asking(books: Books, month: int) -> Callable[[], object]:
    return lambda: books.offer(month)[0]


def accepting(books: Books, month: int, content: str) -> Callable[[], object]:
    return lambda: books.accept(month, offers.content_hash(content))


def requesting(factory: Factory, month: int) -> Callable[[], object]:
    return lambda: factory.signed("GET", f"/api/v1/offers/{month}").body


def test_requests_for_the_same_month_get_the_same_bytes(ledger: Path) -> None:
    """As from several processes: every thread has a connection of its own."""
    several = [open_books(ledger) for _ in range(6)]
    for month in range(1, ROUNDS):
        several[0].produce({"A": month})
        contents = at_once([asking(each, month) for each in several])
        assert len(set(contents)) == 1
        several[0].accept(month, offers.content_hash(str(contents[0])))
        assert_conserved(ledger)
    for each in several:
        each.close()


def test_requests_for_different_months_never_offer_a_unit_twice(ledger: Path) -> None:
    several = [open_books(ledger) for _ in range(4)]
    for first in range(1, ROUNDS, 4):
        at_once([asking(each, first + number) for number, each in enumerate(several)])
        assert_conserved(ledger)
        assert rows(ledger, "SELECT month FROM offer WHERE state = 'offered'") == [(first + 3,)]
    for each in several:
        each.close()


def test_a_late_accept_and_the_next_month_exclude_each_other(ledger: Path) -> None:
    """Either the offer was accepted, or it was released; never both, whoever comes first."""
    one, other = open_books(ledger), open_books(ledger)
    for month in range(1, 3 * ROUNDS, 2):
        content, _ = one.offer(month)
        one.produce({"B": 1})
        accepted, _ = at_once([accepting(one, month, content), asking(other, month + 1)])
        expected = "released" if isinstance(accepted, OfferRefused) else "accepted"
        assert rows(ledger, f"SELECT state FROM offer WHERE month = {month}") == [(expected,)]
        assert_conserved(ledger)
    one.close()
    other.close()


def steps(connection: sqlite3.Connection, month: int, between: Callable[[], None]) -> None:
    """What ``freeze`` does, with something happening between its reading of the stock and its writing of the offer."""
    found = offers.in_stock(connection)
    between()
    offers.put_on_offer(connection, month, offers.offer_content(MAKER, month, found), found, "now")


def sell_off(connection: sqlite3.Connection, month: int) -> None:
    """A whole offer by another request, accepted at once."""
    steps(connection, month, between=lambda: None)
    connection.execute("UPDATE offer SET state = 'accepted' WHERE month = ?", (month,))


def test_control_the_same_steps_without_a_transaction_offer_units_twice(tmp_path: Path) -> None:
    """The race is real: with nothing but the transaction left out, the books are wrong. (A CHECK notices, too late.)"""
    path = tmp_path / "m1.sqlite"
    open_books(path).close()
    one, other = connect(path), connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="in_stock >= 0"):
        steps(one, 1, between=lambda: sell_off(other, 2))
    one.close()
    other.close()
    assert [(sku, produced, out) for sku, produced, _, _, out in rows(path, CONSERVATION)] == [
        ("A", 10, 20),
        ("B", 3, 6),
    ]


def test_the_same_steps_in_a_transaction_keep_the_other_request_out(ledger: Path) -> None:
    one, other = connect(ledger), connect(ledger)
    other.execute("PRAGMA busy_timeout = 50")

    def try_to_sell_off() -> None:
        with pytest.raises(sqlite3.OperationalError, match="locked"), transaction(other):
            sell_off(other, 2)

    with transaction(one):
        steps(one, 1, between=try_to_sell_off)
    one.close()
    other.close()
    assert rows(ledger, "SELECT sku, quantity FROM offer_line") == [("A", 10), ("B", 3)]


CHILD = """
import sys
from pathlib import Path
from manufacturers.ledger import Books, OfferRefused, Product
books = Books(Path(sys.argv[1]), "m1", "Alder & Finch", [])
for month in range(1, 40):
    books.produce({"A": 1})
    try:
        print(month, books.offer(month)[0])
    except OfferRefused:
        print(month, "refused")
"""


def test_several_processes_with_one_ledger_agree(ledger: Path) -> None:
    """An old process that was not dead yet and its successor: no unit is offered twice, no month has two contents."""
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(ledger)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    contents: dict[str, set[str]] = {}
    for child in children:
        output, _ = child.communicate(timeout=60)
        assert child.returncode == 0
        for line in output.splitlines():
            month, content = line.split(" ", 1)
            contents.setdefault(month, set()).add(content)
    for month, seen in contents.items():
        assert len(seen - {"refused"}) == 1, month
    assert rows(ledger, "SELECT produced FROM product WHERE sku = 'A'") == [(10 + 3 * 39,)]


def test_concurrent_requests_over_http_get_the_same_bytes(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    """Through the API of a manufacturer that goes on producing."""
    made = {"count": 1, "units_per_month": 60_000, "lead_time_seconds": 0.01, "breakdown_probability": 0.0}
    factory = Factory(make_runtime(tmp_path, free_port(), manufacturers=made))
    try:
        factory.start_ready(wait_until)
        for month in range(1, 8):
            (body,) = set(at_once([requesting(factory, month)] * 8))
            assert isinstance(body, bytes)
            assert json.loads(body)["month"] == month
            assert factory.accept(month, body).status == 200
            assert_conserved(factory.ledger())
    finally:
        factory.kill()
