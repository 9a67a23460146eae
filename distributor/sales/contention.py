"""What a purchase met on its way to an answer: told with it, counted in the metrics, kept in the history of a run.

Nothing of it costs a query: it is our own clock around statements that are sent anyway, and SQLSTATEs that came anyway.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Contention:
    """``queued_seconds``: waited in this process, for a group, a mutex or an attempt that came to nothing with its group.

    ``lock_seconds``: for the statements that lock (key, gate, stock), over all attempts; without rivals it is their round
    trips, about a millisecond. ``repeats``: why each earlier attempt came to nothing: its SQLSTATE, ``lost`` (the
    connection, before COMMIT), ``unknown`` (during COMMIT), ``group`` (the group failed, it was sold by itself).
    ``together``: purchases in the transaction, this one included.
    """

    strategy: str
    queued_seconds: float
    lock_seconds: float
    repeats: tuple[str, ...]
    together: int


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a purchase met in this process before it came to be committed: it goes along with it, to be stored with the sale.

    ``repeats``: why attempts before this one came to nothing (``group``, ``unknown``); their time is in ``seconds``.
    """

    seconds: float = 0.0
    repeats: tuple[str, ...] = ()


NOTHING_EARLIER = Earlier()


@dataclass
class Watch:
    """Gathers the above while a transaction is tried; one for each, so nobody else writes to it."""

    queued_seconds: float = 0.0
    lock_seconds: float = 0.0
    repeats: list[str] = field(default_factory=list)

    @contextmanager
    def locking(self) -> Iterator[None]:
        """Around statements that may wait for locks, also when they fail."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.lock_seconds += time.monotonic() - began

    def seen(self, strategy: str, together: int, earlier: Earlier = NOTHING_EARLIER) -> Contention:
        """Of one of the purchases that were tried together."""
        waited = earlier.seconds + self.queued_seconds
        return Contention(strategy, waited, self.lock_seconds, (*earlier.repeats, *self.repeats), together)
