"""Who moves the months: the one distributor that holds a lock of its database session.

L1  At most one session holds the leadership; it ends with the session, whatever happens to the process.
L2  A leader's transaction runs on the very session that holds the lock, and takes the lock once more for itself: where
    that fails, or the session is another one than at the beginning, nothing is changed and LeadershipLost is raised.
L3  A leader that is paused between two ticks is ended by PostgreSQL after ``idle_seconds_max``, so that another takes
    over; when it wakes up, L2 stops it.

Called by leader.py only. Source of the danger: a lease alone does not stop a process that was paused (Kleppmann).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from distributor.database import transaction
from distributor.errors import DistributorError

LEADER = 0x4344_5303  # beside distributor.months.gate.SALES_GATE

_TAKE = text(
    "SELECT pg_backend_pid() AS session, pg_try_advisory_lock(:leader) AS granted,"
    " set_config('idle_session_timeout', :idle_ms, false)"
)
_HOLD = text("SELECT pg_backend_pid() AS session, pg_try_advisory_xact_lock(:leader) AS granted")


class LeadershipLost(DistributorError):
    """Another session may lead now; nothing was done."""


class Leadership:
    """Made by ``take``. ``engine`` must have a pool of one connection that nothing else uses."""

    def __init__(self, engine: Engine, session: int) -> None:
        self._engine = engine
        self._session = session

    @classmethod
    def take(cls, engine: Engine, idle_seconds_max: float) -> "Leadership | None":
        """The leadership, or None while another session holds it."""
        with transaction(engine) as connection:
            row = connection.execute(_TAKE, {"leader": LEADER, "idle_ms": str(int(idle_seconds_max * 1000))}).one()
        return cls(engine, row.session) if row.granted else None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that only a leader can commit (L2)."""
        with transaction(self._engine) as connection:
            row = connection.execute(_HOLD, {"leader": LEADER}).one()
            if row.session != self._session or not row.granted:
                raise LeadershipLost
            yield connection

    def release(self) -> None:
        """End the session, and the lock with it; harmless when it is lost already."""
        try:
            self._engine.dispose()
        except SQLAlchemyError:
            return
