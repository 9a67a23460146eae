"""Who may connect: how many clients at a time, and how many from one place.

M1  A place's count is that of its open connections; a place without any takes no memory.
M2  Clients of exempt networks are counted with all, never by their place.
M3  A client beyond a limit is told so as long as few others are being told; beyond that its connection just ends.
"""

import ipaddress
from collections import Counter
from collections.abc import Hashable, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REFUSALS_MAX: Final = 128  # connections beyond the limit of all that are told so at the same time
REFUSALS_PER_PLACE_MAX: Final = 8  # the same for the limit of one place
# A subscriber gets 64 bits of IPv6 addresses at least (RFC 6177), and may use a new one for every connection (RFC 8981).
_IPV6_PLACE_BYTES: Final = 8
_REMEMBERED_MAX: Final = 4_096  # addresses; some 1 MB


class Verdict(Enum):
    """What becomes of a new connection."""

    WELCOME = "it is served"
    TOO_MANY = "it is told that there are too many connections"
    TOO_MANY_FROM_PLACE = "it is told that there are too many connections from where it comes"
    CLOSE = "it ends at once"


class Source(NamedTuple):
    """Where a client is. ``address``: as servers and logs are told; ``place``: what is counted, None for exempt ones."""

    address: bytes
    place: Hashable | None


UNKNOWN: Final = Source(b"unknown", None)


class Admission:
    """``enter`` with each connection, ``leave`` when it has ended."""

    def __init__(self, connections_max: int, per_place_max: int, exempt: Sequence[Network]) -> None:
        """``per_place_max``: of an IPv4 address, or an IPv6 network of 64 bits; 0 for no limit."""
        self._connections_max = connections_max
        self._per_place_max = per_place_max
        self._exempt = tuple(exempt)
        self._open: Counter[Hashable] = Counter()
        self.source = lru_cache(maxsize=_REMEMBERED_MAX)(self._read_source)

    def _read_source(self, host: str) -> Source:
        """``host``: an address as a socket has it, IPv6 with its zone or not."""
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        shown = str(address).encode("ascii")
        if not self._per_place_max or any(address in network for network in self._exempt):
            return Source(shown, None)
        return Source(shown, address.packed[:_IPV6_PLACE_BYTES])

    def enter(self, source: Source, connections: int) -> Verdict:
        """``connections``: all that are open, with this one. Whatever the verdict: ``leave`` when it has ended."""
        excess = connections - self._connections_max
        from_place = 0
        if source.place is not None:
            self._open[source.place] += 1
            from_place = self._open[source.place] - self._per_place_max
        if excess > REFUSALS_MAX or from_place > REFUSALS_PER_PLACE_MAX:
            return Verdict.CLOSE
        if excess > 0:
            return Verdict.TOO_MANY
        return Verdict.TOO_MANY_FROM_PLACE if from_place > 0 else Verdict.WELCOME

    def leave(self, source: Source) -> None:
        place = source.place
        if place is not None:
            self._open[place] -= 1
            if not self._open[place]:
                del self._open[place]

    @property
    def places(self) -> int:
        """How many are counted (M1)."""
        return len(self._open)
