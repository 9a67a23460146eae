"""What pure functions of bytes said before, kept so that it need not be worked out again. It never changes an answer.

M1  Bounded in number and in bytes, whatever clients send: when it is full it begins anew.
M2  Only what comes a second time is kept: heads that never repeat cost no memory, and cannot push out those that do.
M3  Keys are the whole bytes, compared in full. Their hashes are keyed by a secret of the process (SipHash), so nobody
    can choose bytes that collide.
"""

from typing import Generic, TypeVar

Value = TypeVar("Value")
SEEN_PER_KEPT = 1  # as many as are kept: more of them cost more in missed processor caches than they find


class Memory(Generic[Value]):
    """Look up in ``known``, and ``offer`` what was not there."""

    __slots__ = ("_bytes_max", "_count_max", "_seen", "known")

    def __init__(self, count_max: int, bytes_max: int) -> None:
        """``bytes_max``: of one key; longer ones are never kept."""
        self.known: dict[bytes, Value] = {}
        self._seen: set[int] = set()
        self._count_max = count_max
        self._bytes_max = bytes_max

    def offer(self, key: bytes, value: Value) -> None:
        if len(key) > self._bytes_max:
            return
        mark = hash(key)
        if mark in self._seen:
            if len(self.known) >= self._count_max:
                self.known.clear()
            self.known[key] = value
        else:
            if len(self._seen) >= self._count_max * SEEN_PER_KEPT:
                self._seen.clear()
            self._seen.add(mark)

    def clear(self) -> None:
        self.known.clear()
        self._seen.clear()
