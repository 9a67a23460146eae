"""Which server gets the next request. One class an algorithm; each sees only the servers that may be chosen.

B1  ``choose`` is given servers by name and returns one of them, or None; it does no I/O and reads no clock.
B2  Its cost does not depend on the number of servers, only ``change`` does, which follows a change of state.
"""

from collections.abc import Collection, Sequence
from typing import Protocol


class Algorithm(Protocol):
    """The contract of a balancing algorithm."""

    def change(self, configured: Sequence[str], eligible: Collection[str]) -> None:
        """From now on only ``eligible`` may be chosen; ``configured``: all servers, in the order of the configuration."""

    def choose(self, avoid: Collection[str]) -> str | None:
        """A server for one request; one of ``avoid`` only where there is no other."""


class RoundRobin:
    """Each in turn. Between two requests to one server every other one gets exactly one.

    A change of state does not start the round anew: the turn goes on behind the server that was chosen last, else a
    server that flaps would send all requests to the first one.
    """

    def __init__(self) -> None:
        self._eligible: list[str] = []
        self._next = 0
        self._last: str | None = None

    def change(self, configured: Sequence[str], eligible: Collection[str]) -> None:
        self._eligible = [name for name in configured if name in eligible]
        self._next = 0
        if self._last is not None and self._last in configured:
            behind = set(configured[configured.index(self._last) + 1 :])
            self._next = next((place for place, name in enumerate(self._eligible) if name in behind), 0)

    def choose(self, avoid: Collection[str]) -> str | None:
        eligible = self._eligible
        if not eligible:
            return None
        place = self._next
        if avoid:
            around = (*range(place, len(eligible)), *range(place))
            place = next((candidate for candidate in around if eligible[candidate] not in avoid), place)
        self._next = place + 1 if place + 1 < len(eligible) else 0
        self._last = eligible[place]
        return self._last


ALGORITHMS: dict[str, type[RoundRobin]] = {"roundrobin": RoundRobin}
