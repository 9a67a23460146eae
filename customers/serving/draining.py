"""When a web instance may stop: after the load balancer has seen that it is not ready any more, and its work is done.

G1  While draining, /readyz says no, and every request that still comes is answered.
G2  It stops when nothing is in flight and the load balancer was told ``refusals_wanted`` times; nobody has to be told
    when nobody asks: the last question is older than ``quiet_seconds``.
G3  It stops at the latest ``seconds_max`` after the first signal.
States: serving -> draining -> stopped. Called by server.py (signals, loop) and health.py (/readyz). Time comes in.
"""

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class DrainLimits:
    """``refusals_wanted``: how many failed checks make the load balancer stop sending."""

    seconds_max: float
    quiet_seconds: float
    refusals_wanted: int


class Draining:
    """Shared by the signal handler, the health pages and the server's loop."""

    def __init__(self, limits: DrainLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._began_at: float | None = None
        self._asked_at: float | None = None
        self._refusals = 0

    def begin(self, now: float) -> None:
        """The first signal; later ones change nothing. No lock: signal handlers run between any two instructions."""
        if self._began_at is None:
            self._began_at = now

    @property
    def is_draining(self) -> bool:
        return self._began_at is not None

    def readiness_asked(self, now: float) -> bool:
        """Somebody asks /readyz; returns whether the answer may be yes (G1)."""
        with self._lock:
            self._asked_at = now
            if self._began_at is not None:
                self._refusals += 1
            return self._began_at is None

    def may_stop(self, now: float, in_flight: int) -> bool:
        """G2 and G3."""
        if self._began_at is None:
            return False
        if now - self._began_at >= self._limits.seconds_max:
            return True
        with self._lock:
            told = self._refusals >= self._limits.refusals_wanted
            nobody_asks = self._asked_at is None or now - self._asked_at > self._limits.quiet_seconds
        return in_flight == 0 and (told or nobody_asks)
