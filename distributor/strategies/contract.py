"""What a locking strategy must do, so that they can be exchanged by a name in config.yml.

Promise (all but ``naive``): a basket is taken whole or not at all, and never more is sold than is there.
Temperament: how contention shows (waiting, refusing at once, a conflict reported late, possibly at COMMIT).

C1  A strategy never commits and never rolls back: the caller owns the transaction, so that it can retry it whole.
C2  Lines come merged (one per stock id) and sorted by stock id, quantities >= 1.
C3  ``take`` returns one result per basket, in order. A ``Short`` basket of a strategy with ``groups_max`` > 1 has
    changed nothing; with ``groups_max`` == 1 the caller rolls the transaction back when the result is ``Short``.
C4  Within ``take`` no network call but SQL on the given connection, and no sleep.
C5  When ``take`` returns ``Taken``, this transaction has written the stock rows that it took from, as counting ``sold``
    does, or holds their locks and has left that write for COMMIT (``database.with_commit``). So they are locked, and
    what other customers hold in their carts is compared with them after that write: no strategy needs to know of holds
    (decision 15).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sqlalchemy import Connection

from distributor.errors import ShortLine

IsolationLevel = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"


@dataclass(frozen=True)
class Line:
    """``quantity`` units of one stock row are wanted."""

    stock_id: int
    quantity: int


@dataclass(frozen=True)
class TakenLine:
    """Units that were taken, and the facts of that moment that the order must record."""

    stock_id: int
    quantity: int
    price_minor: int
    currency: str
    manufacturer: str
    """Manufacturer code, for the sale's event."""
    manufacturer_name: str
    sku: str
    name: str
    left: int
    """Units available after this purchase; 0 means that this purchase depleted the stock."""


@dataclass(frozen=True)
class Taken:
    lines: tuple[TakenLine, ...]


@dataclass(frozen=True)
class Short:
    lines: tuple[ShortLine, ...]


class Strategy(Protocol):
    """One way to take goods from stock. Instances are shared by all threads of a process and keep no state per purchase.

    Optional: ``whole_transaction()``, a context manager that the caller keeps open around each attempt, commit included,
    before it takes a connection (see process_mutex). It may raise Busy.
    """

    name: str
    isolation: IsolationLevel
    retry_on: frozenset[str]
    """SQLSTATEs after which the caller repeats the whole transaction, bounded and with jitter."""
    groups_max: int
    """How many waiting purchases the caller may put in one transaction: 1, or more for ``group_commit``."""

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        """Take every basket, in order, within the caller's transaction. Raises what the database raises."""
        ...
