"""Why a purchase, a gather or a month did not go on. Each error says whether it is *definite*.

Definite: it surely did not happen, and asking again starts afresh. Unknown: it may have happened; only the idempotency
key (or the unique key of a supply) tells. "When in doubt, unknown is always safe" (Maelstrom, resources/errors.edn).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributor.sales.contention import Contention


@dataclass(frozen=True)
class ShortLine:
    """A line that cannot be had: how many were wanted, how many are left (0 if the stock row does not exist)."""

    stock_id: int
    wanted: int
    available: int
    """For this customer: what other customers hold is not among them."""
    in_other_carts: int | None = None
    """Units that other customers hold at the moment; None where carts hold nothing back (``cart.hold_seconds`` 0)."""
    held: int | None = None
    """Units that this customer held: a judge can see from it that nobody was refused what was held. None as above."""

    def document(self) -> dict[str, int]:
        """As answers tell it."""
        shown = {"stock_id": self.stock_id, "wanted": self.wanted, "available": self.available}
        held = {"in_other_carts": self.in_other_carts, "held": self.held}
        return shown | {name: units for name, units in held.items() if units is not None}


class DistributorError(Exception):
    """Base of all; the docstring of each class is its default message."""

    definite: bool = True
    contention: "Contention | None" = None
    """Of a purchase: what it met before it ended so."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").partition("\n")[0].strip())


class NotEnoughStock(DistributorError):
    """There is not enough in stock for some lines."""

    def __init__(self, lines: Sequence[ShortLine]) -> None:
        super().__init__()
        self.lines = tuple(lines)


class HoldRefused(DistributorError):
    """These goods cannot be held any longer; they stay in the cart."""

    def __init__(self, reason: str) -> None:
        """``reason``: ``off``, ``extensions``, ``lines`` or ``units``: which rule of the section ``cart`` says so."""
        super().__init__()
        self.reason = reason


class ShopClosed(DistributorError):
    """No month is open at the moment; the next one opens soon."""


class Busy(DistributorError):
    """The goods are locked by other purchases; try again in a moment with the same key."""


class NoConnectionFree(Busy):
    """All database connections of this process are in use; try again in a moment with the same key."""


class KeyReused(DistributorError):
    """The idempotency key was used before with another request."""


class InvalidBasket(DistributorError):
    """The lines of a purchase or of a cart cannot be meant like this."""

    def __init__(self, field: str, rule: str, **values: int) -> None:
        """``field``: which part of the request, such as ``lines[2].quantity``; ``rule``: what is allowed there.

        The values stay apart from the rule's text, so that another language can say it.
        """
        self.field = field
        self.rule = rule
        self.values = values
        super().__init__(f"{field}: {self.reason}")

    @property
    def reason(self) -> str:
        return self.rule % self.values


class UnknownCustomer(DistributorError):
    """There is no such account, or it was deleted."""


class UnknownStock(DistributorError):
    """There is no such product."""


class DatabaseUnavailable(DistributorError):
    """The database cannot be reached; nothing was done."""


class ConnectionLost(DatabaseUnavailable):
    """The connection to the database was lost before the commit; nothing was done."""


class StrategyFailed(DistributorError):
    """The shop's locking strategy failed; nothing was bought."""


class TransactionConflict(DistributorError):
    """The database rolled the transaction back because of a concurrent one; repeat it as a whole."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__()
        self.sqlstate = sqlstate


class OutcomeUnknown(DistributorError):
    """The connection was lost during the commit; ask again with the same key to learn the outcome."""

    definite = False
