"""One manufacturer's books: the ledger's transactions, callable from any thread.

B1  One thread at a time uses the connection (``_lock``); another process that opens the same file is kept apart by
    BEGIN IMMEDIATE. So both may be wrong about *who* counts, never about *how much* there is.
B2  A method that returned has committed with ``synchronous = FULL``; one that raised has changed nothing.
"""

import datetime as dt
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from manufacturers.ledger import inbox, offers
from manufacturers.ledger.report import report
from manufacturers.ledger.schema import open_ledger, transaction
from manufacturers.ledger.values import Event, Product


class Books:
    """The ledger of the manufacturer ``code``."""

    def __init__(self, path: Path, code: str, name: str, products: Iterable[Product]) -> None:
        self._manufacturer = {"code": code, "name": name}
        self._lock = threading.Lock()
        self._connection = open_ledger(path, products)
        self.skus = frozenset(sku for (sku,) in self._connection.execute("SELECT sku FROM product"))

    def produce(self, units: Mapping[str, int]) -> None:
        """Put finished units into stock."""
        with self._lock, transaction(self._connection):
            self._connection.executemany(
                "UPDATE product SET produced = produced + :units, in_stock = in_stock + :units WHERE sku = :sku",
                [{"sku": sku, "units": number} for sku, number in units.items()],
            )

    def stock(self) -> dict[str, Any]:
        """What lies in stock now, as the API shows it."""
        with self._lock:
            rows = offers.in_stock(self._connection)
        return {"manufacturer": self._manufacturer, "items": [offers.item(*row) for row in rows]}

    def units_in_stock(self) -> dict[str, int]:
        with self._lock:
            return dict(self._connection.execute("SELECT sku, in_stock FROM product"))

    def units_produced(self) -> int:
        with self._lock:
            return int(self._connection.execute("SELECT coalesce(sum(produced), 0) FROM product").fetchone()[0])

    def offer(self, month: int) -> tuple[str, bool]:
        """The offer of the month, and whether it was made just now; raises OfferRefused."""
        with self._lock, transaction(self._connection):
            return offers.freeze(self._connection, self._manufacturer, month, _now())

    def accept(self, month: int, sha256: str) -> None:
        """The distributor has booked the offer; raises OfferRefused."""
        with self._lock, transaction(self._connection):
            offers.accept(self._connection, month, sha256)

    def take_in(self, event: Event) -> bool:
        """Record and apply an event; False if it was known already; raises EventRefused."""
        with self._lock, transaction(self._connection):
            return inbox.take_in(self._connection, event, _now())

    def take_in_all(self, events: Iterable[Event]) -> list[bool]:
        """The same for many, in one transaction: all or, raising EventRefused, none."""
        with self._lock, transaction(self._connection):
            at = _now()
            return [inbox.take_in(self._connection, event, at) for event in events]

    def keep_nonce(self, nonce: str, expires_at: int, now: int) -> None:
        """Note what a request was signed with; what is too old by now (``now``, Unix time) is forgotten."""
        with self._lock, transaction(self._connection):
            self._connection.execute("DELETE FROM nonce WHERE expires_at < ?", (now,))
            self._connection.execute("INSERT OR IGNORE INTO nonce VALUES (?, ?)", (nonce, expires_at))

    def nonces(self) -> dict[str, int]:
        """All that are kept, and when they expire."""
        with self._lock:
            return dict(self._connection.execute("SELECT nonce, expires_at FROM nonce"))

    def report(self, month: int | None = None) -> dict[str, Any]:
        """All figures at one moment."""
        with self._lock, transaction(self._connection):
            return {"manufacturer": self._manufacturer, **report(self._connection, month)}

    def close(self) -> None:
        """Write the log back into the file and let go of it."""
        with self._lock:
            self._connection.close()


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
