"""Which server gets the next request: HAProxy's `balance`. Each algorithm sees only the servers that may be chosen.

B1  ``choose`` returns one of the members, or None if there is none; it does no I/O and reads no clock.
B2  Its cost does not grow with the number of servers, or only with its logarithm; ``rebuild`` may walk over all of
    them, for it follows a change of state.
B3  A server that is full is parked: it is not chosen until it is unparked.
B4  One of ``avoid`` is chosen only where there is no other.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from heapq import heapify, heappop, heappush
from random import Random
from typing import Final, Protocol

from load_balancer.balancing.members import Server
from load_balancer.balancing.shares import Shares


class Algorithm(Protocol):
    """The contract of a balancing algorithm. Servers are told apart by name and ordered by ``order``."""

    follows_load: bool  # whether ``loaded`` has to be told

    def rebuild(self, members: Sequence[Server]) -> None:
        """From now on exactly these may be chosen, in their order; weights above 0. Those that are full are parked."""

    def choose(self, avoid: Collection[str]) -> Server | None:
        """A server for one request (B1, B2, B4); ``avoid``: names. ``loaded`` has to be told next, if it follows load."""

    def park(self, server: Server) -> None:
        """It is full (B3)."""

    def unpark(self, server: Server) -> None:
        """It is no longer full."""

    def loaded(self, server: Server) -> None:
        """The number of its requests has changed, and it is not full."""

    def forget(self, server: Server) -> None:
        """It was removed; it is no member any more."""


class Rotation:
    """Equal weights, no limits: between two requests to one server every other one gets exactly one.

    A change of state does not start the round anew: the turn goes on behind the server that was chosen last, else a
    server that flaps would send all requests to the first one.
    """

    def __init__(self) -> None:
        self._members: list[Server] = []
        self._next = 0
        self._last: Server | None = None

    def rebuild(self, members: Sequence[Server]) -> None:
        self._members = list(members)
        last = -1 if self._last is None else self._last.order
        place = bisect_right(self._members, last, key=lambda member: member.order)
        self._next = place if place < len(self._members) else 0

    def choose(self, avoid: Collection[str]) -> Server | None:
        members, place = self._members, self._next
        if not members:
            return None
        if avoid:
            around = ((place + step) % len(members) for step in range(min(len(members), len(avoid) + 1)))
            place = next((candidate for candidate in around if members[candidate].name not in avoid), place)
        self._next = place + 1 if place + 1 < len(members) else 0
        self._last = server = members[place]
        return server


class RoundRobin:
    """Each in turn, as often as its weight says. Equal weights without limits, the usual case, need only a list."""

    follows_load = False

    def __init__(self) -> None:
        self._rotation = Rotation()
        self._shares = Shares()
        self.choose: Callable[[Collection[str]], Server | None] = self._rotation.choose

    def rebuild(self, members: Sequence[Server]) -> None:
        even = len({member.effective_weight for member in members}) <= 1
        plain = even and not any(member.limit for member in members)
        used: Rotation | Shares = self._rotation if plain else self._shares
        used.rebuild(members)
        self.choose = used.choose

    def park(self, server: Server) -> None:
        self._shares.park(server)

    def unpark(self, server: Server) -> None:
        self._shares.unpark(server)

    def loaded(self, server: Server) -> None:
        """Turns do not depend on it."""

    def forget(self, server: Server) -> None:
        self._shares.forget(server.name)


class _Load:
    """A server in the heap: ``stamp`` marks its one valid entry, ``turn`` orders servers of equal load."""

    __slots__ = ("server", "stamp", "turn")

    def __init__(self, server: Server, turn: int) -> None:
        self.server = server
        self.stamp = 0
        self.turn = turn


class LeastConn:
    """The one with the fewest requests for its weight; among equals the one that was chosen longest ago.

    As in HAProxy idle servers are equal whatever their weight, else requests one after the other all went to the
    heaviest. A heap with one valid entry a server; entries that are out of date are dropped when they come up.
    """

    follows_load = True

    def __init__(self) -> None:
        self._loads: dict[str, _Load] = {}
        self._heap: list[tuple[float, int, int, _Load]] = []
        self._turns = 0

    def rebuild(self, members: Sequence[Server]) -> None:
        known, self._loads = self._loads, {}
        for member in members:
            load = known.get(member.name)
            if load is None or load.server is not member:
                load = _Load(member, self._turns)
                self._turns += 1
            self._loads[member.name] = load
        self._compact()

    def choose(self, avoid: Collection[str]) -> Server | None:
        heap = self._heap
        passed_over: list[tuple[float, int, int, _Load]] = []
        found: _Load | None = None
        while heap:
            entry = heappop(heap)
            load = entry[3]
            if entry[2] != load.stamp:
                continue
            if load.server.name in avoid:
                passed_over.append(entry)
                continue
            found = load
            break
        if found is None and passed_over:
            found = passed_over.pop(0)[3]
        for entry in passed_over:
            heappush(heap, entry)
        if found is None:
            return None
        found.stamp += 1
        found.turn = self._turns
        self._turns += 1
        return found.server

    def park(self, server: Server) -> None:
        load = self._loads.get(server.name)
        if load is not None:
            load.stamp += 1

    def unpark(self, server: Server) -> None:
        self.loaded(server)

    def loaded(self, server: Server) -> None:
        load = self._loads.get(server.name)
        if load is not None:
            self._push(load)

    def forget(self, server: Server) -> None:
        self._loads.pop(server.name, None)

    def _push(self, load: _Load) -> None:
        load.stamp += 1
        server = load.server
        heappush(self._heap, (len(server.serving) / server.effective_weight, load.turn, load.stamp, load))
        if len(self._heap) > 4 * len(self._loads) + 64:
            self._compact()

    def _compact(self) -> None:
        """Begin a heap of valid entries only."""
        self._heap = []
        for load in self._loads.values():
            load.stamp += 1
            server = load.server
            if not server.full:
                key = len(server.serving) / server.effective_weight
                self._heap.append((key, load.turn, load.stamp, load))
        heapify(self._heap)


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
        self._places: dict[str, int] = {}

    def rebuild(self, members: Sequence[Server]) -> None:
        self._members = list(members)
        self._odds, self._aliases = alias_table([member.effective_weight for member in members])
        self._free = [member for member in members if not member.full]
        self._places = {member.name: place for place, member in enumerate(self._free)}

    def choose(self, avoid: Collection[str]) -> Server | None:
        if len(self._free) < 2:
            return self._free[0] if self._free else None
        first = self._draw(avoid)
        second = self._draw((*avoid, first.name))
        if second.name in avoid:
            return first
        of_first = (len(first.serving) + 1) * second.effective_weight
        return second if (len(second.serving) + 1) * first.effective_weight < of_first else first

    def park(self, server: Server) -> None:
        place = self._places.pop(server.name, None)
        if place is not None:
            last = self._free.pop()
            if last is not server:
                self._free[place] = last
                self._places[last.name] = place

    def unpark(self, server: Server) -> None:
        if server.name not in self._places:
            self._places[server.name] = len(self._free)
            self._free.append(server)

    def loaded(self, server: Server) -> None:
        """It is looked at when it is drawn."""

    def forget(self, server: Server) -> None:
        """Nothing is kept of it."""

    def _draw(self, avoid: Collection[str]) -> Server:
        """By weight; where that does not find a free one soon, any free one, of ``avoid`` only if there is no other."""
        dice, members = self._dice.random, self._members
        for _ in range(_DRAWS_MAX):
            place = int(dice() * len(members))
            if dice() >= self._odds[place]:
                place = self._aliases[place]
            server = members[place]
            if server.name in self._places and server.name not in avoid:
                return server
        free = self._free
        start = int(dice() * len(free))
        around = (free[(start + step) % len(free)] for step in range(min(len(free), len(avoid) + 1)))
        return next((server for server in around if server.name not in avoid), free[start])


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
