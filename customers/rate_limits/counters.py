"""Where the moments of quota.Q2 are kept: in this instance's memory, or in the database for all instances.

C1  Counting is atomic: of requests at the same moment no more are let through than there is room for.
C2  Memory and table stay bounded: a subject whose quota is whole again is forgotten. When an instance knows
    ``SUBJECTS_MAX`` subjects that are not, it forgets the one whose quota will be whole first.
C3  What is counted in an instance is exact for that instance only: with n of them a subject may have up to n quotas.
"""

import hashlib
import threading
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Engine, text

from customers.errors import TooManyAttempts
from customers.rate_limits.quota import ROUNDING, Quota, Standing
from distributor.database import transaction

SUBJECTS_MAX = 20_000  # about 3 MB

_SPEND = text("""
    INSERT INTO rate_limit AS known (subject, whole_at)
    VALUES (:subject, now() + :step * interval '1 second')
    ON CONFLICT (subject) DO UPDATE SET whole_at = greatest(known.whole_at, now()) + :step * interval '1 second'
    WHERE greatest(known.whole_at, now()) + :step * interval '1 second' <= now() + (:window + :rounding) * interval '1 second'
    RETURNING extract(epoch FROM whole_at - now())::float AS debt, xmax = 0 AS is_new
""")
_DEBT = text("""
    SELECT coalesce(max(extract(epoch FROM greatest(whole_at, now()) - now()))::float, 0) FROM rate_limit
    WHERE subject = :subject
""")
# Each new row takes two old ones along, so that the table stays near the number of subjects that are not whole (C2).
_SWEEP = text("""
    DELETE FROM rate_limit WHERE subject IN (
        SELECT subject FROM rate_limit WHERE whole_at < now() ORDER BY whole_at LIMIT 2 FOR UPDATE SKIP LOCKED)
""")


class Counter(Protocol):
    """Counts requests of subjects against quotas."""

    def spend(self, quota: Quota, subject: str) -> Standing:
        """Count one request; raises TooManyAttempts and counts nothing when there is no room."""

    def require_room(self, quota: Quota, subject: str) -> None:
        """Raises TooManyAttempts when `spend` would; counts nothing."""


class InstanceCounter:
    """In memory (C3); costs a microsecond, for what is asked often. ``now`` comes in from outside: a monotonic clock."""

    def __init__(self, now: Callable[[], float], subjects_max: int = SUBJECTS_MAX) -> None:
        self._now = now
        self._subjects_max = subjects_max
        self._whole_at: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def spend(self, quota: Quota, subject: str) -> Standing:
        key = (quota.name, subject)
        with self._lock:
            now = self._now()
            debt = max(0.0, self._whole_at.get(key, now) - now)
            if not quota.has_room(debt):
                raise _refusal(quota, debt)
            if key not in self._whole_at and len(self._whole_at) >= self._subjects_max:
                self._make_room(now)
            self._whole_at[key] = now + debt + quota.step_seconds
        return quota.standing(debt + quota.step_seconds)

    def require_room(self, quota: Quota, subject: str) -> None:
        with self._lock:
            now = self._now()
            debt = max(0.0, self._whole_at.get((quota.name, subject), now) - now)
        if not quota.has_room(debt):
            raise _refusal(quota, debt)

    def _make_room(self, now: float) -> None:
        self._whole_at = {key: moment for key, moment in self._whole_at.items() if moment > now}
        if len(self._whole_at) >= self._subjects_max:
            del self._whole_at[min(self._whole_at, key=lambda key: self._whole_at[key])]


class DatabaseCounter:
    """In the table ``rate_limit``, exact over all instances; for what is asked rarely."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def spend(self, quota: Quota, subject: str) -> Standing:
        values = {
            "subject": _hashed(quota, subject),
            "step": quota.step_seconds,
            "window": quota.window_seconds,
            "rounding": ROUNDING,
        }
        with transaction(self._engine) as connection:
            # Losing the last counts in a crash of the server costs nothing; waiting for its disk would.
            connection.execute(text("SET LOCAL synchronous_commit = off"))
            counted = connection.execute(_SPEND, values).one_or_none()
            if counted is None:
                raise _refusal(quota, float(connection.execute(_DEBT, values).scalar_one()))
            if counted.is_new:
                connection.execute(_SWEEP)
        return quota.standing(counted.debt)

    def require_room(self, quota: Quota, subject: str) -> None:
        with transaction(self._engine) as connection:
            debt = float(connection.execute(_DEBT, {"subject": _hashed(quota, subject)}).scalar_one())
        if not quota.has_room(debt):
            raise _refusal(quota, debt)


def _hashed(quota: Quota, subject: str) -> str:
    """What the table knows of a subject: nobody reads network addresses out of it at a glance."""
    return hashlib.sha256(f"{quota.name}:{subject}".encode(errors="replace")).hexdigest()


def _refusal(quota: Quota, debt: float) -> TooManyAttempts:
    return TooManyAttempts(quota.wait_seconds(debt), quota.standing(debt))
