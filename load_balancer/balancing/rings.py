"""Turns of servers of equal weight: a ring in which the turn goes round and passes over those that are full.

N1  Between two requests to one server every other one that is free all the while gets exactly one.
N2  A server that is full keeps its place: one that is free again before its turn has missed nothing, one that the turn
    passed over is owed nothing, and none gets its turn twice because it was full in between.
N3  A ring that is made anew goes on behind the server that was chosen last, else one that flaps would send all requests
    to the first one.

As long as nobody is full, the usual case, the next one is an index. Else it is the lowest bit at or behind that index
in a whole number with a bit for each server that is free: Python needs some 20 ns more for 1,000 of them than for 3.
"""

from collections.abc import Collection, Sequence
from typing import Final

from load_balancer.balancing.members import Server

BEFORE_ALL: Final = -1  # behind it comes the first of all orders


class Ring:
    """``servers``: in the order in which they were added, each in one ring at a time.

    ``free``: how many of them may be chosen; ``counted``: how many have not missed their last turn (N2), for whoever
    asked for it.
    """

    def __init__(self, servers: Sequence[Server] = (), behind: int = BEFORE_ALL, *, counting: bool = False) -> None:
        """``behind``: the ``order`` of the server that was chosen last (N3)."""
        self.servers: list[Server] = list(servers)
        self._count = len(self.servers)
        for place, server in enumerate(self.servers):
            server.place = place
        free = "".join("0" if server.parked else "1" for server in reversed(self.servers))
        self._bits = int(free or "0", 2)
        self._missed = (1 << self._count) - 1 ^ self._bits
        self.free = self.counted = self._bits.bit_count()
        self._counting = counting
        self._behind = behind
        self._begin = self._next = next((server.place for server in self.servers if server.order > behind), 0)
        self._any = 0 < self._count == self.free  # whether any one may be chosen: nobody is full

    @property
    def behind(self) -> int:
        """The ``order`` of the server that was chosen last, or of one that leads to the same turn."""
        return self._behind if self._next == self._begin else self.servers[self._next - 1].order

    def choose(self, avoid: Collection[str] = ()) -> Server | None:
        """Whose turn it is; one of ``avoid`` only where there is no other, and None where all are full."""
        if avoid or not self._any:
            return self._choose_among(avoid)
        place = self._next
        server = self.servers[place]
        place += 1
        self._next = place if place < self._count else 0
        return server

    def has_other(self, avoid: Collection[str]) -> bool:
        """Whether anybody else may be chosen."""
        return self._other(avoid) is not None

    def skip(self, turns: int) -> None:
        """Nobody is full, and so many turns were taken elsewhere."""
        self._next = (self._next + turns) % self._count

    def park(self, server: Server) -> None:
        """It is full."""
        self._bits ^= 1 << server.place
        self.free -= 1
        self._any = False

    def unpark(self, server: Server) -> None:
        """It is no longer full."""
        bit = 1 << server.place
        self._bits ^= bit
        self.free += 1
        self._any = self.free == self._count
        if self._missed & bit:
            self._missed ^= bit
            self.counted += 1

    def _choose_among(self, avoid: Collection[str]) -> Server | None:
        if not self.free:
            return None
        place = self._other(avoid) if avoid else None
        if place is None:
            place = self._at_or_behind(self._next)
        if self._counting and place != self._next:
            self._pass_over(place)
        self._next = place + 1 if place + 1 < self._count else 0
        return self.servers[place]

    def _pass_over(self, place: int) -> None:
        """Those that are full in front of it have missed their turn."""
        first, last = sorted((self._next, place))
        passed = (1 << last) - (1 << first)
        if place < self._next:
            passed ^= (1 << self._count) - 1
        missed = passed & ~(self._bits | self._missed)
        if missed:
            self._missed |= missed
            self.counted -= missed.bit_count()

    def _other(self, avoid: Collection[str]) -> int | None:
        place = self._next
        for _ in range(min(self.free, len(avoid) + 1)):
            place = self._at_or_behind(place)
            if self.servers[place].name not in avoid:
                return place
            place += 1
        return None

    def _at_or_behind(self, place: int) -> int:
        """The first free one from there on, round the ring; somebody is free."""
        bits = self._bits >> place
        if not bits:
            bits, place = self._bits, 0
        return place + (bits & -bits).bit_length() - 1
