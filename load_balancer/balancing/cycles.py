"""Turns of fixed weights, worked out once and then repeated: a list and an index, however many servers there are.

C1  Whoever is chosen is whom the shares would choose: the same promises hold (shares.H1 to H3).
C2  A round is repeated only if the shares stood at its end as they stood at its begin.
C3  Whatever interrupts the round finds the shares as if they had chosen all along.

After as many requests as the weights add up to, divided by what all have in common, each server got whole ones. It then
stands where it stood, perhaps not after the first such round, but soon (J. Leung and M. Merrill, "A note on preemptive
scheduling of periodic, real-time tasks", 1980).
"""

from collections import Counter
from collections.abc import Collection
from math import gcd
from typing import Final

from load_balancer.balancing.members import WEIGHT_MAX, Server
from load_balancer.balancing.shares import SLACK, Shares

# 1,000 servers of the greatest weight: 2 MB. Weights within a slow start have longer rounds, and do not last one.
TURNS_MAX: Final = 1_000 * WEIGHT_MAX


class Cycle:
    """The turns of ``shares`` while nobody is full and no weight changes."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._turns: list[Server] = []
        self._place = 0
        self._repeated = 0  # how many turns there are to repeat; 0 as long as they are being worked out
        self._length = 0
        self._ahead: list[float] = []

    def fits(self) -> bool:
        """Whether a round is worth keeping."""
        return _length(self._shares) <= TURNS_MAX

    def begin(self) -> None:
        """The shares are others now."""
        self._turns = []
        self._place = self._repeated = 0
        self._length = _length(self._shares)
        self._ahead = self._shares.ahead()

    def interrupt(self) -> None:
        """Tell the shares which turns were taken, and forget the rest (C3)."""
        taken = Counter(self._turns[: self._place])
        for share in self._shares.shares if taken else ():
            count = sum(taken[server] for server in share.ring.servers)
            if count:
                share.ring.skip(count)
                self._shares.take(share, count)
        self.begin()

    def choose(self, avoid: Collection[str]) -> Server | None:
        """Whose turn it is; one of ``avoid`` only where there is no other."""
        place = self._place
        if place >= self._repeated or avoid:
            return self._work_out(avoid)
        server = self._turns[place]
        place += 1
        self._place = place if place < self._repeated else 0
        return server

    def _work_out(self, avoid: Collection[str]) -> Server | None:
        if avoid:
            self.interrupt()
            server = self._shares.choose(avoid)
            self.begin()
            return server
        server = self._shares.choose()
        if server is not None:
            self._turns.append(server)
            if len(self._turns) == self._length:
                self._close()
        return server

    def _close(self) -> None:
        """C2."""
        ahead = self._shares.ahead()
        if all(abs(now - then) < SLACK for now, then in zip(ahead, self._ahead, strict=True)):
            self._repeated = self._length
        else:
            self.begin()


def _length(shares: Shares) -> int:
    """Of a round: so many turns give each server, and so each share, whole ones."""
    whole = sum(share.weight for share in shares.shares)
    return whole // (gcd(*(share.each for share in shares.shares)) or 1)
