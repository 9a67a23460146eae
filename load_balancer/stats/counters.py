"""Counters as plain integers: the loop adds, the pages format when they are asked."""

from bisect import bisect_left
from collections import Counter
from typing import Final

LATENCY_BOUNDS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Traffic:
    """What one server was asked and answered. ``classes``: answers by hundreds of their status.

    Bytes: of heads and bodies as they go over the wire, but for the framing of chunks.
    """

    __slots__ = ("buckets", "bytes_in", "bytes_out", "classes", "connections", "failures", "requests", "seconds")

    def __init__(self) -> None:
        self.requests = 0
        self.connections = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.seconds = 0.0
        self.classes = [0, 0, 0, 0, 0, 0]
        self.buckets = [0] * (len(LATENCY_BOUNDS_SECONDS) + 1)
        self.failures: Counter[str] = Counter()

    def answered(self, status: int, seconds: float, sent_bytes: int) -> None:
        self.classes[status // 100] += 1
        self.bytes_out += sent_bytes
        self.seconds += seconds
        self.buckets[bisect_left(LATENCY_BOUNDS_SECONDS, seconds)] += 1


class Own:
    """What we answered or refused ourselves."""

    __slots__ = (
        "connections",
        "connections_most",
        "connections_refused",
        "handshakes_failed",
        "replies",
        "resends",
        "truncated",
        "tunnels",
    )

    def __init__(self) -> None:
        self.connections = 0
        self.connections_most = 0  # at a time
        self.connections_refused = 0
        self.resends = 0
        self.truncated = 0
        self.tunnels = 0
        self.handshakes_failed = 0
        self.replies: Counter[int] = Counter()
