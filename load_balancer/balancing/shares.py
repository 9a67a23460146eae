"""Turns by weight: each server gets its share as evenly as whole requests allow.

H1  As long as nothing changes, after n requests a server of weight w among weights that add up to W got less than one
    request more, and less than one fewer, than n w / W.
H2  However others come and go, a server that stays gets one of any 2 (W / w + the number of servers) requests.
H3  A server that leaves and comes back does not get its turn earlier than if it had stayed, and is owed nothing.

The k-th request of a server belongs between (k - 1) / w and k / w of a virtual time that advances by 1 / W with each
request. Of those whose next request may begin before this step ends, the one whose request must end first is taken:
"earliest deadline first" meets all deadlines where they can be met, which they can (R. Tijdeman, "The chairman
assignment problem", 1980). Simply taking the one that is farthest behind, as stride scheduling does, gives a server of
weight 100 among a hundred of weight 1 all its requests at once; nginx's smooth weights do not, but walk over all servers.

Virtual time is the mean of all starts, by weight, so their sum is kept: it grows by 1 with each request.
"""

from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from load_balancer.balancing.members import Server

# Starts are floating point numbers and so a little off; what they add up to stays small enough for this to cover it.
_SLACK: Final = 1e-6
_SUM_MAX_PER_WEIGHT: Final = 65_536.0
# Entries that are no longer valid stay until they come up, or until there are too many of them.
_ENTRIES_PER_SERVER_MAX: Final = 4
_ENTRIES_MORE: Final = 64


class _Share:
    """``start``: when the server's next request may begin. ``stamp``: only heap entries that carry it are valid."""

    __slots__ = ("active", "server", "stamp", "start", "weight")

    def __init__(self, server: Server, start: float) -> None:
        self.server = server
        self.start = start
        self.weight = 1
        self.stamp = 0
        self.active = False


_Entry = tuple[float, int, int, _Share]  # start or deadline, place in the configuration, stamp


class Shares:
    """Two heaps: those whose next request may not begin yet, by start, and those whose may, by deadline."""

    def __init__(self) -> None:
        self._shares: dict[str, _Share] = {}
        self._early: list[_Entry] = []
        self._ready: list[_Entry] = []
        self._sum = 0.0  # of start * weight
        self._weights = 0

    def rebuild(self, members: Sequence[Server]) -> None:
        """From now on exactly these, with the weights that they have now."""
        now = self._now()
        known = self._shares
        names = {member.name for member in members}
        for name, share in known.items():
            share.active = share.active and name in names
        for member in members:
            share = known.get(member.name) or _Share(member, now)
            known[member.name] = share
            if not share.active:
                share.start = max(share.start, now)  # H3
            share.weight = member.effective_weight
            share.active = not member.full
        self._restart()

    def forget(self, name: str) -> None:
        """The server will not come back; it is no member any more."""
        self._shares.pop(name, None)

    def park(self, server: Server) -> None:
        share = self._shares.get(server.name)
        if share is not None and share.active:
            self._drop(share)

    def unpark(self, server: Server) -> None:
        share = self._shares.get(server.name)
        if share is not None and not share.active:
            share.start = max(share.start, self._now())  # H3
            share.active = True
            self._sum += share.start * share.weight
            self._weights += share.weight
            heappush(self._early, (share.start, server.order, share.stamp, share))
            if len(self._early) > _ENTRIES_PER_SERVER_MAX * len(self._shares) + _ENTRIES_MORE:
                self._restart()  # requests of bound clients fill servers without a choice, so no entry comes up

    def choose(self, avoid: Collection[str]) -> Server | None:
        """Whose turn it is; one of ``avoid`` only where there is no other."""
        passed_over: list[_Entry] = []
        entry = self._next()
        while entry is not None and avoid and entry[3].server.name in avoid:
            passed_over.append(entry)
            entry = self._next()
        if entry is None and passed_over:
            entry = passed_over.pop(0)
        for other in passed_over:
            heappush(self._ready, other)
        return None if entry is None else self._take(entry[3])

    def _take(self, share: _Share) -> Server:
        share.start += 1 / share.weight
        share.stamp += 1
        self._sum += 1.0
        server = share.server
        heappush(self._early, (share.start, server.order, share.stamp, share))
        if self._sum > _SUM_MAX_PER_WEIGHT and self._sum > _SUM_MAX_PER_WEIGHT * len(self._shares):
            self._restart()
        return server

    def _next(self) -> _Entry | None:
        """The valid entry with the earliest deadline among those that may begin; it is taken out."""
        early, ready = self._early, self._ready
        while True:
            self._admit()
            while ready:
                entry = heappop(ready)
                if entry[2] == entry[3].stamp and entry[3].active:
                    return entry
            while early:
                share = early[0][3]
                if early[0][2] == share.stamp and share.active:
                    break
                heappop(early)
            else:
                return None
            # Nothing may begin, for the time went back when a server left: the first one begins.
            start, order, stamp, share = heappop(early)
            return (start + 1 / share.weight, order, stamp, share)

    def _admit(self) -> None:
        """Move to ``ready`` what may begin before this step ends."""
        early, weights = self._early, self._weights
        end = self._sum + 1.0 - _SLACK
        while early and early[0][0] * weights < end:
            start, order, stamp, share = heappop(early)
            if stamp == share.stamp and share.active:
                heappush(self._ready, (start + 1 / share.weight, order, stamp, share))

    def _now(self) -> float:
        return self._sum / self._weights if self._weights else 0.0

    def _drop(self, share: _Share) -> None:
        share.active = False
        share.stamp += 1
        self._sum -= share.start * share.weight
        self._weights -= share.weight

    def _restart(self) -> None:
        """Begin virtual time at zero, all where they are relative to it; invalid entries end here."""
        active = [share for share in self._shares.values() if share.active]
        self._weights = sum(share.weight for share in active)
        self._sum = sum(share.start * share.weight for share in active)
        now = self._now()
        for share in self._shares.values():
            share.start -= now
            share.stamp += 1
        self._sum = sum(share.start * share.weight for share in active)
        self._ready = []
        self._early = [(share.start, share.server.order, share.stamp, share) for share in active]
        heapify(self._early)
