"""process_mutex: a control. A lock of the programming language; right in one process, wrong behind the load balancer.

Idea        ``with threading.Lock():`` around the whole purchase, commit included, and the statements of naive inside.
            Many a shop was written like this and was right, until it got a second instance.
SQL         SELECT … FROM stock … WHERE id = ANY(:ids)                          (no lock)
            UPDATE stock SET sold = :value_read + quantity FROM unnest(:ids, :values)
Contention  All purchases of the process wait for each other, whatever they buy; those of other processes do not.
Deadlocks   None in one process. Between processes as naive.
Cost        One purchase at a time in each process. A purchase that waits holds no connection and no lock.
Anomaly     Lost update (P4) as soon as two processes sell. None in one process.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from distributor.errors import Busy
from distributor.strategies.contract import DEADLOCK_DETECTED, IsolationLevel, Line, Short, Taken
from distributor.strategies.naive import CHECK_VIOLATION, read_then_write

WAIT_SECONDS = 3.0  # as long as the database's lock_timeout is by default


class ProcessMutex:
    """threading.Lock around the transaction; SELECT, then UPDATE with the value that was read."""

    name = "process_mutex"
    isolation: IsolationLevel = "READ COMMITTED"
    retry_on = frozenset({DEADLOCK_DETECTED, CHECK_VIOLATION})
    groups_max = 1

    def __init__(self) -> None:
        self._mutex = threading.Lock()

    @contextmanager
    def whole_transaction(self) -> Iterator[None]:
        """Raises Busy when others held the mutex for too long."""
        if not self._mutex.acquire(timeout=WAIT_SECONDS):
            raise Busy
        try:
            yield
        finally:
            self._mutex.release()

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        return [read_then_write(connection, lines) for lines in baskets]
