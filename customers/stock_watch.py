"""The quantities that open pages ask for again and again, read together and kept for a moment.

Q1  A quantity that is handed out was read at most ``seconds`` ago.
Q2  One statement at a time: whoever waits for it has named what it wants, and the next statement reads that for all.
    A page that others look at too therefore costs nothing, and many different ones cost a part of a statement each.
Q3  What nobody asked for lately is neither read nor kept: memory and work follow the open pages, not the stock.
Q4  An error is not kept, and who waited for it asks again itself: at most one statement at a time fails.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from distributor.errors import Busy
from distributor.queries import Quantity

KEPT_MAX = 20_000  # quantities; about 3 MB
WAIT_SECONDS_MAX = 2.0  # for the statement of another: as long as for a connection (database.pool_wait_ms)

Read = Callable[[Sequence[int]], Mapping[int, Quantity]]


class StockWatch:
    """One object an instance. ``read``: the present quantities of some ids, without those that do not exist."""

    def __init__(self, read: Read, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._seconds = seconds
        self._now = now
        self._reading = threading.Lock()
        self._naming = threading.Lock()
        self._wanted: set[int] = set()
        self._known: dict[int, tuple[float, Quantity | None]] = {}
        """By id: when it was read, and what; None for an id that does not exist. Replaced entry by entry, never changed."""

    def quantities(self, stock_ids: Iterable[int]) -> dict[int, Quantity]:
        """Those of these ids that exist. Raises what ``read`` raises, and Busy when another's reading takes too long."""
        wanted = list(stock_ids)
        found = self._fresh(wanted)
        if found is None:
            found = self._read_for(wanted)
        return {stock_id: quantity for stock_id, quantity in found.items() if quantity is not None}

    def _fresh(self, wanted: Sequence[int]) -> dict[int, Quantity | None] | None:
        """From memory, if all of it is there and not too old (Q1)."""
        oldest = self._now() - self._seconds
        found: dict[int, Quantity | None] = {}
        for stock_id in wanted:
            known = self._known.get(stock_id)
            if known is None or known[0] < oldest:
                return None
            found[stock_id] = known[1]
        return found

    def _read_for(self, wanted: Sequence[int]) -> dict[int, Quantity | None]:
        with self._naming:
            self._wanted.update(wanted)
        if not self._reading.acquire(timeout=WAIT_SECONDS_MAX):
            raise Busy
        try:
            found = self._fresh(wanted)  # perhaps the statement that we waited for has read it
            if found is not None:
                return found
            with self._naming:
                named, self._wanted = self._wanted | set(wanted), set()
            began = self._now()
            stale = [stock_id for stock_id in sorted(named) if self._is_stale(stock_id, began)]
            read = self._read(stale)
            self._keep(began, stale, read)
            return {stock_id: self._known[stock_id][1] for stock_id in wanted}
        finally:
            self._reading.release()

    def _is_stale(self, stock_id: int, now: float) -> bool:
        known = self._known.get(stock_id)
        return known is None or known[0] < now - self._seconds

    def _keep(self, began: float, asked: Sequence[int], read: Mapping[int, Quantity]) -> None:
        if len(self._known) + len(asked) > KEPT_MAX:  # Q3
            oldest = began - self._seconds
            self._known = {stock_id: known for stock_id, known in self._known.items() if known[0] >= oldest}
        self._known.update({stock_id: (began, read.get(stock_id)) for stock_id in asked})
