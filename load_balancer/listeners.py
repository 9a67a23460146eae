"""The sockets that clients and operators reach: opened here, or inherited from whoever held them before.

K1  A socket that somebody else holds as well outlives us: who connects while nobody accepts waits in the kernel's queue
    and is not refused. So a successor gets the very same sockets; a second one on the same port would not do, for what
    waits in the queue of a socket is reset when that is closed, however many others listen beside it.
K2  A port that is in use is found out, although every socket here may be shared (SO_REUSEPORT): it is tried without first.
K3  Inherited sockets are all used, even if there are more of them than workers now (see K1).
"""

import os
import socket
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Final

from load_balancer.options import Address

BACKLOG: Final = 4_096  # asyncio's 100 would refuse a burst; the kernel lowers it to net.core.somaxconn
SERVING: Final = b"serving"  # what whoever started us is told, together with our sockets
_FIRST_PASSED: Final = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


class CannotListenError(OSError):
    """An address cannot be listened on; the message says which and why."""


class Listeners:
    """All listening sockets of one process, or of one group of workers."""

    def __init__(self, inherited: Iterable[int] = (), notify: int | None = None) -> None:
        """``inherited``: descriptors of sockets that listen already; ``notify``: of the one that leads to who started us."""
        self._inherited = [socket.socket(fileno=number) for number in inherited]
        self._in_use: list[socket.socket] = []
        self._notify = None if notify is None else socket.socket(fileno=notify)
        self.inherits = bool(self._inherited)

    def at(self, address: Address, count: int = 1) -> list[socket.socket]:
        """``count`` sockets or more (K3) for each address that the host stands for; raises CannotListenError."""
        found: list[socket.socket] = []
        try:
            for family, place in _places(address):
                mine = [one for one in self._inherited if (one.family, one.getsockname()[:2]) == (family, place[:2])]
                self._inherited = [one for one in self._inherited if one not in mine]
                found += mine
                if not mine:
                    _try(family, place)
                found += [_listen(family, place) for _ in range(count - len(mine))]
        except OSError as error:
            reason = (
                error.strerror if isinstance(error, socket.gaierror) or not error.errno else os.strerror(error.errno)
            )
            for one in found:
                one.close()
            raise CannotListenError(f"cannot listen on {address}: {reason}") from error
        self._in_use += found
        return found

    def serving(self) -> None:
        """We accept connections now: tell whoever started us, who may keep our sockets for a successor (K1)."""
        for one in self._inherited:
            one.close()
        self._inherited = []
        if self._notify is not None:
            with self._notify:
                socket.send_fds(self._notify, [SERVING], [one.fileno() for one in self._in_use])
            self._notify = None


def passed_by_systemd(environment: MutableMapping[str, str]) -> Sequence[int]:
    """Descriptors that a socket unit of systemd hands to this very process; none in any other case."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return ()
    count = environment.get("LISTEN_FDS", "")
    return range(_FIRST_PASSED, _FIRST_PASSED + int(count)) if count.isascii() and count.isdecimal() else ()


Place = tuple[str, int] | tuple[str, int, int, int]


def _places(address: Address) -> list[tuple[int, Place]]:
    """What the host stands for: ``localhost`` may be an IPv4 and an IPv6 address."""
    kind = socket.SOCK_STREAM
    answers = socket.getaddrinfo(address.host, address.port, type=kind, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, place) for family, _, _, _, place in answers))  # type: ignore[misc]


def _try(family: int, place: Place) -> None:
    """K2."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        _bind(probe, place)


def _listen(family: int, place: Place) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_REUSEPORT"):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(one, place)
        one.listen(BACKLOG)
    except OSError:
        one.close()
        raise
    one.setblocking(False)
    return one


def _bind(one: socket.socket, place: Place) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if one.family is socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # else "::" takes the IPv4 port, too
    one.bind(place)
