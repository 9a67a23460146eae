"""The database sessions of the tried strategy, as PostgreSQL shows them: who sits idle in a transaction, who waits."""

import time
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

LOOK_SECONDS = 0.2
APPLICATION_NAME = "grade watch"

_LOOK = """
    SELECT application_name, state, wait_event_type, query,
           extract(epoch FROM clock_timestamp() - state_change)::float AS state_seconds,
           pg_blocking_pids(pid) AS blocked_by, pid,
           EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = activity.pid AND locktype = 'relation'
                   AND relation = to_regclass('stock') AND mode <> 'AccessShareLock') AS locks_stock
    FROM pg_stat_activity AS activity
    WHERE datname = current_database() AND application_name <> 'grade watch' AND backend_type = 'client backend'
    ORDER BY backend_start
"""
_END = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name <> 'grade watch' AND backend_type = 'client backend'
"""


class Sessions:
    """All sessions of one database but our own; use as a context manager."""

    def __init__(self, conninfo: str) -> None:
        self._connection: psycopg.Connection[Any] = psycopg.connect(
            conninfo, autocommit=True, application_name=APPLICATION_NAME, options="-c statement_timeout=2000"
        )
        self._looked = 0.0
        self.forget()

    def __enter__(self) -> "Sessions":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def forget(self) -> None:
        self.idle_seconds_max = 0.0
        self.lock_wait_seconds_max = 0.0

    def look(self) -> None:
        """Note the longest waits; seldom enough that it costs nothing."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        for row in self._rows():
            if row.state == "idle in transaction":
                self.idle_seconds_max = max(self.idle_seconds_max, row.state_seconds)
            elif row.wait_event_type == "Lock":
                self.lock_wait_seconds_max = max(self.lock_wait_seconds_max, row.state_seconds)

    def describe(self) -> str:
        """What the sessions do at this moment, in a sentence."""
        rows = self._rows()
        idle = [row for row in rows if row.state == "idle in transaction"]
        waiting = [row for row in rows if row.wait_event_type == "Lock"]
        busy = [row for row in rows if row.state == "active" and row not in waiting]
        parts = []
        if idle:
            longest = max(idle, key=lambda row: row.state_seconds)
            held = " with locks on stock" if longest.locks_stock else ""
            parts.append(f"{len(idle)} session(s) idle in transaction{held}, for {longest.state_seconds:.1f} s")
        if waiting:
            first = waiting[0]
            parts.append(f"{len(waiting)} wait for a lock held by session {first.blocked_by}: {_brief(first.query)}")
        if busy:
            parts.append(f"{len(busy)} execute {_brief(busy[0].query)}")
        return "; ".join(parts) or f"none of its {len(rows)} database sessions is in a transaction"

    def end_all(self) -> None:
        """A killed child's sessions may hold locks for a while longer."""
        self._connection.execute(_END)

    def _rows(self) -> list[Any]:
        with self._connection.cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(_LOOK).fetchall()


def _brief(sql: str) -> str:
    return " ".join(sql.split())[:80]
