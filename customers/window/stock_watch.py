"""The quantities that open pages ask for again and again: read together, once for all that are asked for, then kept.

Q1  A quantity that is handed out was read at most ``seconds`` ago (and the time that reading took, for who waited for it).
Q2  While pages are open there is one statement in ``seconds``, whatever their number; a list that was not asked for lately
    costs one more when it first comes. Statements follow one another, and who waits for one gets what it reads.
Q3  What nobody asked for in ``REMEMBERED_SECONDS`` is neither read nor kept: memory and work follow the open pages, not the
    stock. They are bounded: of more than ``IDS_MAX`` ids those asked for longest ago are forgotten.
Q4  An error is nobody's answer but the asker's: who waited for a statement that failed asks again itself.
Q5  As long as the same pages are open, the statement brings only what has changed since the last one; everything is read
    again after ``WHOLE_SECONDS`` (queries/quantities.C2) and after an error.
"""

import threading
import time
from collections.abc import Callable

from distributor.errors import Busy
from distributor.queries import IdList, Quantity, Reading

# An open page at rest comes to each of three instances every 24 s on average, rarely after more than 80.
REMEMBERED_SECONDS = 120.0
# Of all lists together; reading that many takes PostgreSQL and us 5 ms each, changes of them 3 and 0.3.
IDS_MAX = 20_000
WAIT_SECONDS_MAX = 2.0  # for the statement of another: as long as for a connection (database.pool_wait_ms)
WHOLE_SECONDS = 30.0  # chosen: rare beside one statement a second

Ids = tuple[int, ...]
Quantities = tuple[Quantity | None, ...]
"""In the order of the ids asked for; None for one that does not exist."""
Read = Callable[[IdList, str | None], Reading]


class StockWatch:
    """One object an instance. ``read``: the present quantities of some ids, or those that changed since a reading's moment."""

    def __init__(self, read: Read, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._seconds = seconds
        self._now = now
        self._reading = threading.Lock()
        """Held while a statement runs; guards everything below it, of which others only read single values."""
        self._known: dict[int, Quantity | None] = {}
        self._read_at = float("-inf")
        """When the oldest of ``_known`` was read, or was known not to have changed."""
        self._moment: str | None = None
        """Of the reading at ``_read_at``; None: read everything next."""
        self._read_whole_at = float("-inf")
        self._wanted = IdList(())
        """What ``_known`` was read for, as far as the lists are still those (``_lists_changed``)."""
        self._lists: dict[Ids, float] = {}
        """What was asked for, and when it was asked for last."""
        self._lists_changed = False

    def at_once(self, ids: Ids) -> Quantities | None:
        """From memory, without waiting for anything; None if it is not there or too old (Q1)."""
        now, lists = self._now(), self._lists
        if now - self._read_at > self._seconds:
            return None
        try:
            found = tuple(map(self._known.__getitem__, ids))
        except KeyError:
            return None
        if ids not in lists:  # a new list of what others show, too
            self._lists_changed = True
        lists[ids] = now
        return found

    def quantities(self, ids: Ids) -> Quantities:
        """Raises what ``read`` raises, and Busy when another's reading takes too long."""
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

    def _read_for(self, ids: Ids) -> Quantities:
        """Everything again if it is too old, else only what is missing (Q2)."""
        began = self._now()
        if ids not in self._lists:
            self._lists_changed = True
        self._lists[ids] = began
        if began - self._read_at > self._seconds:
            self._read_again(began)
        else:
            self._add({stock_id for stock_id in ids if stock_id not in self._known})
        return tuple(map(self._known.__getitem__, ids))

    def _read_again(self, began: float) -> None:
        """Q5. Whatever fails on the way, the next one reads everything."""
        since, self._moment = self._moment, None
        self._forget(began)
        changed = self._lists_changed and self._follow_lists()
        if since is None or began - self._read_whole_at > WHOLE_SECONDS:
            reading = self._read(self._wanted, None)
            self._known = dict.fromkeys(self._wanted.ids) | reading.found
            self._read_whole_at = began
        else:
            if changed:
                self._follow_wanted()
            reading = self._read(self._wanted, since)
            self._known.update(reading.found)
        self._read_at, self._moment = began, reading.moment

    def _follow_lists(self) -> bool:
        """Whether other ids are wanted than before. `at_once` adds lists meanwhile; those it adds from now on count next time."""
        self._lists_changed = False
        wanted = IdList(stock_id for ids in list(self._lists) for stock_id in ids)
        changed = wanted.ids != self._wanted.ids
        if changed:
            self._wanted = wanted
        return changed

    def _follow_wanted(self) -> None:
        known = self._known
        self._add({stock_id for stock_id in self._wanted.ids if stock_id not in known})
        self._known = {stock_id: known[stock_id] for stock_id in self._wanted.ids}

    def _add(self, missing: set[int]) -> None:
        if missing:
            self._known.update(dict.fromkeys(missing) | self._read(IdList(missing), None).found)

    def _forget(self, now: float) -> None:
        """Q3"""
        units, remembered = 0, {}
        for ids, asked_at in sorted(self._lists.items(), key=lambda entry: -entry[1]):
            units += len(ids)
            if now - asked_at > REMEMBERED_SECONDS or (asked_at < now and units > IDS_MAX):
                break
            remembered[ids] = asked_at
        if len(remembered) != len(self._lists):
            self._lists, self._lists_changed = remembered, True
