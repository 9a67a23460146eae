"""Rates from counters that are looked at a few times a second: nothing is added to a request's cost."""

from typing import Final

SECONDS_MIN: Final = 1.0  # over which a rate is taken, as HAProxy does


class Rate:
    """``now``: events a second in the last second that is over; ``most``: the highest since the start."""

    __slots__ = ("_at", "_count", "most", "now")

    def __init__(self, at: float) -> None:
        self.now = 0.0
        self.most = 0.0
        self._at = at
        self._count = 0

    def look(self, at: float, count: int) -> None:
        """``count``: all events until ``at`` (seconds, monotonic)."""
        elapsed = at - self._at
        if elapsed < SECONDS_MIN:
            return
        self.now = (count - self._count) / elapsed
        self.most = max(self.most, self.now)
        self._at, self._count = at, count


class MeanTime:
    """``seconds``: the mean of what was answered in the last second in which something was."""

    __slots__ = ("_at", "_count", "_total", "longest", "seconds")

    def __init__(self, at: float) -> None:
        self.seconds = 0.0
        self.longest = 0.0
        self._at = at
        self._count = 0
        self._total = 0.0

    def look(self, at: float, count: int, total: float) -> None:
        """``count`` answers took ``total`` seconds until ``at``."""
        if at - self._at < SECONDS_MIN:
            return
        if count > self._count:
            self.seconds = (total - self._total) / (count - self._count)
            self.longest = max(self.longest, self.seconds)
        self._at, self._count, self._total = at, count, total
