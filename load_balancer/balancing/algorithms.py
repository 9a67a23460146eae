"""Which server gets the next request: HAProxy's `balance`. Each algorithm sees only the servers that may be chosen.

B1  ``choose`` returns one of the members, or None if there is none; it does no I/O and reads no clock.
B2  Its cost does not grow with the number of servers, at most with the logarithm of how many weights or loads they
    have; ``rebuild`` may walk over all of them, for it follows a change of state.
B3  A server that is full is parked: it is not chosen until it is unparked.
B4  One of ``avoid`` is chosen only where there is no other.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from heapq import heapify, heappop, heappush
from random import Random
from typing import Final, Protocol

from load_balancer.balancing.cycles import Cycle
from load_balancer.balancing.members import Server
from load_balancer.balancing.rings import Ring
from load_balancer.balancing.shares import Shares

# Loads of which no server is left stay in a heap until they come up, or until there are too many of them.
_LOADS_PER_SERVER_MAX: Final = 4
_LOADS_MORE: Final = 64


class Algorithm(Protocol):
    """The contract of a balancing algorithm. Servers are told apart by name and ordered by ``order``.

    Whoever calls sets ``parked`` of a server, before ``rebuild``, ``park`` and ``unpark``; the latter two tell that it
    has changed. An algorithm may keep what it likes in ``place`` and ``bucket`` of its members.
    """

    follows_load: bool  # whether ``loaded`` has to be told

    def rebuild(self, members: Sequence[Server]) -> None:
        """From now on exactly these may be chosen, in their order; weights above 0."""

    @property
    def choose(self) -> Callable[[Collection[str]], Server | None]:
        """A server for one request (B1, B2, B4); ``avoid``: names. Holds until ``rebuild``.

        If the algorithm follows load, ``loaded`` or ``park`` has to be told of the server next.
        """

    def park(self, server: Server) -> None:
        """It is full (B3)."""

    def unpark(self, server: Server) -> None:
        """It is no longer full."""

    def loaded(self, server: Server) -> None:
        """The number of its requests has changed, and it is not full, nor was it."""

    def forget(self, server: Server) -> None:
        """It was removed; it is no member any more."""


class RoundRobin:
    """Each in turn, as often as its weight says, by the simplest means that keep this exact.

    Servers of one weight need a ring, weights of which nobody is ever full a list of turns, all others the shares.
    """

    follows_load = False

    def __init__(self) -> None:
        self._shares = Shares()
        self._cycle = Cycle(self._shares)
        self._turns: Ring | Shares = Ring()
        self.choose: Callable[[Collection[str]], Server | None] = self._turns.choose

    def rebuild(self, members: Sequence[Server]) -> None:
        self._cycle.interrupt()
        self._shares.rebuild(members)
        only = self._shares.only
        self._turns = self._shares if only is None else only
        self.choose = self._turns.choose
        if only is None and not any(member.limit for member in members) and self._cycle.fits():
            self._cycle.begin()
            self.choose = self._cycle.choose

    def park(self, server: Server) -> None:
        self._turns.park(server)

    def unpark(self, server: Server) -> None:
        self._turns.unpark(server)

    def loaded(self, server: Server) -> None:
        """Turns do not depend on it."""

    def forget(self, server: Server) -> None:
        self._shares.forget(server.name)


class LeastConn:
    """The one with the fewest requests for its weight; among equals the one whose load has been the same for longest.

    As in HAProxy idle servers are equal whatever their weight, else requests one after the other all went to the
    heaviest. A bucket for each load holds its servers in the order in which they came to it; a heap of the loads
    for which there is a bucket tells the least one. There are few of them, however many servers there are.
    """

    follows_load = True

    def __init__(self) -> None:
        self._buckets: dict[float, OrderedDict[Server, None]] = {}
        self._loads: list[float] = []
        self._count = 0

    def rebuild(self, members: Sequence[Server]) -> None:
        """Who has waited for longest still has; whoever is new comes last."""
        waited = [server for load in sorted(self._loads) for server in self._buckets[load]]
        chosen = dict.fromkeys(members)
        self._buckets, self._loads, self._count = {}, [], len(members)
        for server in dict.fromkeys([*(server for server in waited if server in chosen), *members]):
            server.bucket = None
            if not server.parked:
                self.loaded(server)

    def choose(self, avoid: Collection[str]) -> Server | None:
        buckets, loads = self._buckets, self._loads
        if avoid:
            server = self._other(avoid)
            if server is not None:
                self.park(server)
                return server
        while loads:
            bucket = buckets[loads[0]]
            if bucket:
                server, _ = bucket.popitem(last=False)
                server.bucket = None
                return server
            del buckets[heappop(loads)]
        return None

    def park(self, server: Server) -> None:
        if server.bucket is not None:
            del server.bucket[server]
            server.bucket = None

    def unpark(self, server: Server) -> None:
        self.loaded(server)

    def loaded(self, server: Server) -> None:
        bucket = server.bucket
        if bucket is not None:
            del bucket[server]
        load = len(server.serving) / server.effective_weight
        bucket = self._buckets.get(load)
        if bucket is None:
            bucket = self._open(load)
        bucket[server] = None
        server.bucket = bucket

    def forget(self, server: Server) -> None:
        """Nothing is kept of it."""

    def _other(self, avoid: Collection[str]) -> Server | None:
        ordered = (server for load in sorted(self._loads) for server in self._buckets[load])
        return next((server for server in ordered if server.name not in avoid), None)

    def _open(self, load: float) -> OrderedDict[Server, None]:
        if len(self._loads) > _LOADS_PER_SERVER_MAX * self._count + _LOADS_MORE:
            self._buckets = {load: bucket for load, bucket in self._buckets.items() if bucket}
            self._loads = list(self._buckets)
            heapify(self._loads)
        heappush(self._loads, load)
        bucket = self._buckets[load] = OrderedDict()
        return bucket


_DRAWS_MAX: Final = 8  # that may meet a server which is full or to be avoided, before a free one is simply taken


class PowerOfTwo:
    """HAProxy's `random(2)`: two drawn by weight, the one with the fewer requests for its weight.

    Draws are by A. J. Walker's alias method (1977): one index and one number, however many servers there are.
    """

    follows_load = False

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._members: list[Server] = []
        self._odds: list[float] = []
        self._aliases: list[int] = []
        self._free: list[Server] = []

    def rebuild(self, members: Sequence[Server]) -> None:
        self._members = list(members)
        weights = [member.effective_weight for member in members]
        self._odds, self._aliases = alias_table(weights) if len(set(weights)) > 1 else ([], [])
        self._free = [member for member in members if not member.parked]
        for place, member in enumerate(self._free):
            member.place = place

    def choose(self, avoid: Collection[str]) -> Server | None:
        if len(self._free) < 2:
            return self._free[0] if self._free else None
        first = self._draw(avoid)
        second = self._draw(avoid, first)
        if second is first or second.name in avoid:
            return first
        of_first = (len(first.serving) + 1) * second.effective_weight
        return second if (len(second.serving) + 1) * first.effective_weight < of_first else first

    def park(self, server: Server) -> None:
        last = self._free.pop()
        if last is not server:
            self._free[server.place] = last
            last.place = server.place

    def unpark(self, server: Server) -> None:
        server.place = len(self._free)
        self._free.append(server)

    def loaded(self, server: Server) -> None:
        """It is looked at when it is drawn."""

    def forget(self, server: Server) -> None:
        """Nothing is kept of it."""

    def _draw(self, avoid: Collection[str], drawn: Server | None = None) -> Server:
        """By weight, another one than ``drawn``; where that does not find a free one soon, any free one."""
        dice, members, odds = self._dice.random, self._members, self._odds
        for _ in range(_DRAWS_MAX):
            place = int(dice() * len(members))
            if odds and dice() >= odds[place]:
                place = self._aliases[place]
            server = members[place]
            if not (server.parked or server is drawn or (avoid and server.name in avoid)):
                return server
        free = self._free
        start = int(dice() * len(free))
        around = (free[(start + step) % len(free)] for step in range(min(len(free), len(avoid) + 2)))
        return next((server for server in around if server is not drawn and server.name not in avoid), free[start])


def alias_table(weights: Sequence[int]) -> tuple[list[float], list[int]]:
    """For each place the odds of staying there once it is drawn evenly, and the place it is exchanged for otherwise."""
    count, total = len(weights), sum(weights)
    scaled = [weight * count / total for weight in weights]
    aliases = list(range(count))
    odds = [1.0] * count
    small = [place for place, value in enumerate(scaled) if value < 1]
    large = [place for place, value in enumerate(scaled) if value >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        odds[low], aliases[low] = scaled[low], high
        scaled[high] -= 1 - scaled[low]
        if scaled[high] < 1:
            small.append(large.pop())
    return odds, aliases


ALGORITHMS: Final[dict[str, Callable[[Random], Algorithm]]] = {
    "roundrobin": lambda _: RoundRobin(),
    "leastconn": lambda _: LeastConn(),
    "random": PowerOfTwo,
    "random(2)": PowerOfTwo,  # HAProxy knows it under both names
}
