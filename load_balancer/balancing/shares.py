"""Turns by weight: each server gets its share as evenly as whole requests allow.

H1  As long as nothing changes, after n requests a server of weight w among weights that add up to W got less than one
    request more, and less than one fewer, than n w / W.
H2  However others come and go, a server that stays gets one of any 2 (W / w + the number of servers) requests.
H3  A server that leaves and comes back does not get its turn earlier than if it had stayed, and is owed nothing.

Servers of one weight take turns (rings.py), so what has to be chosen is a weight: c servers of weight w are one share of
weight c w. Its k-th request belongs between (k - 1) / (c w) and k / (c w) of a virtual time that advances by 1 / W with
each request. Of those whose next request may begin before this step ends, the one whose request must end first is taken:
"earliest deadline first" meets all deadlines where they can be met, which they can (R. Tijdeman, "The chairman
assignment problem", 1980). A server's k-th request is its share's request number (k - 1) c + its place in the ring, so
what keeps the share within one request of n c w / W keeps each of its servers within one of n w / W.

Virtual time is the mean of all starts, by weight, so their sum is kept: it grows by 1 with each request. A server that is
full counts until it misses a turn. A share whose weight changes by that keeps what it got more or less than its due, in
requests, so virtual time does not change. One that is full as a whole stays where it is in virtual time (H3).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from load_balancer.balancing.members import Server
from load_balancer.balancing.rings import BEFORE_ALL, Ring

# Starts are floating point numbers and so a little off; what they add up to stays small enough for this to cover it.
SLACK: Final = 1e-6
_SUM_MAX_PER_WEIGHT: Final = 65_536.0
# Entries that are no longer valid stay until they come up, or until there are too many of them.
_ENTRIES_PER_SHARE_MAX: Final = 4
_ENTRIES_MORE: Final = 64


class Share:
    """The servers of one weight. ``start``: when their next request may begin; ``weight``: of those that count.

    ``stamp``: only heap entries that carry it are valid.
    """

    __slots__ = ("each", "order", "ring", "stamp", "start", "weight")

    def __init__(self, each: int, ring: Ring, start: float) -> None:
        """``each``: the weight of one of them. They may be told apart by the ``order`` of the first one."""
        self.each = each
        self.ring = ring
        self.order = ring.servers[0].order
        self.start = start
        self.weight = self.due
        self.stamp = 0

    @property
    def due(self) -> int:
        """What its weight has to be: 0 where all are full."""
        return self.each * self.ring.counted if self.ring.free else 0

    def ahead(self, now: float) -> float:
        """How much they got more than their due, in requests; who is full is owed nothing."""
        return (self.start - now) * self.weight if self.weight else max(0.0, self.start - now) * self.each


_Entry = tuple[float, int, int, Share]  # start or deadline, order, stamp


class Shares:
    """Two heaps: those whose next request may not begin yet, by start, and those whose may, by deadline."""

    def __init__(self) -> None:
        self._shares: dict[int, Share] = {}  # by the weight of one server
        self._away: dict[str, float] = {}  # servers that are known and no members: when their next request might begin
        self._behind = BEFORE_ALL
        self._early: list[_Entry] = []
        self._ready: list[_Entry] = []
        self._sum = 0.0  # of start * weight
        self._weights = 0

    @property
    def shares(self) -> Iterable[Share]:
        """All of them, each with at least one server."""
        return self._shares.values()

    @property
    def only(self) -> Ring | None:
        """The ring of all servers, if all weigh the same: then whoever likes may ask it instead."""
        if len(self._shares) > 1:
            return None
        return next((share.ring for share in self._shares.values()), Ring())

    def rebuild(self, members: Sequence[Server]) -> None:
        """From now on exactly these, with the weights that they have now; those that are parked are full."""
        now = self._now()
        before = {server.name: share for share in self._shares.values() for server in share.ring.servers}
        of_weight: dict[int, list[Server]] = {}
        for member in members:
            of_weight.setdefault(member.effective_weight, []).append(member)
        shares: dict[int, Share] = {}
        for each, servers in of_weight.items():
            had = self._shares.get(each) or next((before[one.name] for one in servers if one.name in before), None)
            behind = had.ring.behind if had else self._behind
            share = Share(each, Ring(servers, behind, counting=len(of_weight) > 1), 0.0)
            share.start = now + self._brought(servers, before, now) / (share.weight or each)
            shares[each] = share
        for share in self._shares.values():
            self._behind = share.ring.behind
        names = {member.name for member in members}
        self._away = {name: start for name, start in self._away.items() if name not in names and start > now}
        self._away |= {name: share.start for name, share in before.items() if name not in names}
        self._shares = shares
        self._restart()

    def forget(self, name: str) -> None:
        """The server will not come back; it is no member any more."""
        self._away.pop(name, None)

    def park(self, server: Server) -> None:
        """It is full."""
        share = self._shares[server.effective_weight]
        share.ring.park(server)
        if not share.ring.free:
            self._weigh(share)

    def unpark(self, server: Server) -> None:
        """It is no longer full."""
        share = self._shares[server.effective_weight]
        share.ring.unpark(server)
        if share.weight != share.due:
            self._weigh(share)

    def choose(self, avoid: Collection[str] = ()) -> Server | None:
        """Whose turn it is; one of ``avoid`` only where there is no other."""
        passed_over: list[_Entry] = []
        entry = self._next()
        while entry is not None and avoid and not entry[3].ring.has_other(avoid):
            passed_over.append(entry)
            entry = self._next()
        if entry is None and passed_over:
            entry = passed_over.pop(0)
        for other in passed_over:
            heappush(self._ready, other)
        if entry is None:
            return None
        share = entry[3]
        server = share.ring.choose(avoid)
        if share.weight != share.due:
            self._weigh(share)
        self.take(share, 1)
        return server

    def take(self, share: Share, requests: int) -> None:
        """A share that may be chosen from gets so many requests; which of its servers does is told to its ring."""
        share.start += requests / share.weight
        self._sum += requests
        self._push(share)
        if self._sum > _SUM_MAX_PER_WEIGHT and self._sum > _SUM_MAX_PER_WEIGHT * len(self._shares):
            self._restart()

    def ahead(self) -> list[float]:
        """How much each share got more than its due, in requests."""
        now = self._now()
        return [share.ahead(now) for share in self._shares.values()]

    def _next(self) -> _Entry | None:
        """The valid entry with the earliest deadline among those that may begin; it is taken out."""
        early, ready = self._early, self._ready
        while True:
            self._admit()
            while ready:
                entry = heappop(ready)
                if entry[2] == entry[3].stamp:
                    return entry
            while early and early[0][2] != early[0][3].stamp:
                heappop(early)
            if not early:
                return None
            # Nothing may begin, for the time went back when a server left: the first one begins.
            start, order, stamp, share = heappop(early)
            return (start + 1 / share.weight, order, stamp, share)

    def _admit(self) -> None:
        """Move to ``ready`` what may begin before this step ends."""
        early, weights = self._early, self._weights
        end = self._sum + 1.0 - SLACK
        while early and early[0][0] * weights < end:
            start, order, stamp, share = heappop(early)
            if stamp == share.stamp:
                heappush(self._ready, (start + 1 / share.weight, order, stamp, share))

    def _push(self, share: Share) -> None:
        share.stamp += 1
        heappush(self._early, (share.start, share.order, share.stamp, share))
        if len(self._early) > _ENTRIES_PER_SHARE_MAX * len(self._shares) + _ENTRIES_MORE:
            self._restart()  # requests of bound clients fill servers without a choice, so no entry comes up

    def _now(self) -> float:
        return self._sum / self._weights if self._weights else 0.0

    def _brought(self, servers: Sequence[Server], before: Mapping[str, Share], now: float) -> float:
        """How much these got more than their due, in requests; ``before``: the shares that they were in, by name."""
        came = Counter(before.get(server.name) for server in servers)
        del came[None]
        ahead = sum(share.ahead(now) * count / len(share.ring.servers) for share, count in came.items() if share)
        back = (server for server in servers if server.name in self._away) if self._away else ()
        return ahead + sum(max(0.0, self._away[server.name] - now) * server.effective_weight for server in back)  # H3

    def _weigh(self, share: Share) -> None:
        """The number of those that count has changed."""
        now, before, weight = self._now(), share.weight, share.due
        self._sum -= share.start * before
        if not before:
            share.start = max(share.start, now)  # H3
        elif weight:
            share.start = now + (share.start - now) * before / weight
        share.weight = weight
        self._sum += share.start * weight
        self._weights += weight - before
        if weight:
            self._push(share)
        else:
            share.stamp += 1

    def _restart(self) -> None:
        """Begin virtual time at zero, all where they are relative to it; invalid entries end here."""
        shares = self._shares.values()
        self._weights = sum(share.weight for share in shares)
        self._sum = sum(share.start * share.weight for share in shares)
        now = self._now()
        for share in shares:
            share.start -= now
            share.stamp += 1
        self._away = {name: start - now for name, start in self._away.items()}
        self._sum = sum(share.start * share.weight for share in shares)
        self._ready = []
        self._early = [(share.start, share.order, share.stamp, share) for share in shares if share.weight]
        heapify(self._early)
