"""The quantities that open pages ask for again and again: read together, once for all that are asked for, then kept.

Q1  A quantity that is handed out was read at most ``seconds`` ago (and the time that reading took, for who waited for it).
Q2  While pages are open there is one statement in ``seconds``, whatever their number; a list that was not asked for lately
    costs one more when it first comes. Statements follow one another, and who waits for one gets what it reads.
Q3  What nobody asked for in ``REMEMBERED_SECONDS`` is neither read nor kept: memory and work follow the open pages, not the
    stock. They are bounded: of more than ``IDS_MAX`` ids those asked for longest ago are forgotten.
Q4  An error is nobody's answer but the asker's: who waited for a statement that failed asks again itself.
"""

import threading
import time
from collections.abc import Callable, Sequence

from distributor.errors import Busy
from distributor.queries import Quantity

REMEMBERED_SECONDS = (
    60.0  # an open page comes to each of three instances every 12 s on average, rarely after more than 40
)
IDS_MAX = 20_000  # of all lists together; reading that many takes PostgreSQL and us 4 ms each
WAIT_SECONDS_MAX = 2.0  # for the statement of another: as long as for a connection (database.pool_wait_ms)

Ids = tuple[int, ...]
Found = dict[int, Quantity]
Read = Callable[[Sequence[int]], Found]


class StockWatch:
    """One object an instance. ``read``: the present quantities of some ids, without those that do not exist."""

    def __init__(self, read: Read, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._seconds = seconds
        self._now = now
        self._reading = threading.Lock()
        """Held while a statement runs; guards the three below it, of which others only read single values."""
        self._known: dict[int, Quantity | None] = {}
        """None for an id that does not exist."""
        self._read_at = float("-inf")
        """When the oldest of ``_known`` was read."""
        self._lists: dict[Ids, float] = {}
        """What was asked for, and when it was asked for last."""

    def at_once(self, ids: Ids) -> Found | None:
        """From memory, without waiting for anything; None if it is not there or too old (Q1)."""
        now = self._now()
        if now - self._read_at > self._seconds or ids not in self._lists:
            return None
        self._lists[ids] = now
        known = self._known
        try:
            return {stock_id: quantity for stock_id in ids if (quantity := known[stock_id]) is not None}
        except KeyError:  # another thread has just forgotten the list, or not yet read it
            return None

    def quantities(self, ids: Ids) -> Found:
        """Those of these ids that exist. Raises what ``read`` raises, and Busy when another's reading takes too long."""
        found = self.at_once(ids)
        if found is not None:
            return found
        if not self._reading.acquire(timeout=WAIT_SECONDS_MAX):
            raise Busy
        try:
            found = self.at_once(ids)  # perhaps the statement that we waited for has read it
            return self._read_for(ids) if found is None else found
        finally:
            self._reading.release()

    def _read_for(self, ids: Ids) -> Found:
        """Everything again if it is too old, else only what is missing (Q2)."""
        began = self._now()
        self._lists[ids] = began
        if began - self._read_at > self._seconds:
            wanted = self._wanted(began)
            self._known = dict.fromkeys(wanted) | self._read(sorted(wanted))
            self._read_at = began
        else:
            missing = [stock_id for stock_id in ids if stock_id not in self._known]
            if missing:
                self._known.update(dict.fromkeys(missing) | self._read(missing))
        known = self._known
        return {stock_id: quantity for stock_id in ids if (quantity := known[stock_id]) is not None}

    def _wanted(self, now: float) -> set[int]:
        """Q3"""
        wanted: set[int] = set()
        remembered: dict[Ids, float] = {}
        for ids, asked_at in sorted(self._lists.items(), key=lambda entry: -entry[1]):
            if now - asked_at > REMEMBERED_SECONDS or (remembered and len(wanted) + len(ids) > IDS_MAX):
                break
            remembered[ids] = asked_at
            wanted.update(ids)
        self._lists = remembered
        return wanted
