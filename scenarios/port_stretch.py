"""A stretch of ports for one run's system.

B1  Two runs that begin at the same moment never choose the same stretch: each holds a lock file while it runs.
B2  A stretch in which some other program listens is passed over. One that the user named is taken as it is.
"""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

from settings.addresses import HIGHEST_OFFSET, HOST, Addresses

# Below the kernel's range for outgoing connections (32768 and above on Linux).
BASES = range(10_000, 32_000 - HIGHEST_OFFSET, HIGHEST_OFFSET + 26)


class NoPorts(Exception):
    """No free stretch of ports was found; name one with --port-base."""


class PortStretch:
    """``base`` and the ports above it are this run's until ``release``."""

    def __init__(self, named: int | None) -> None:
        self._lock: IO[bytes] | None = None
        self.base = self._choose() if named is None else named

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _choose(self) -> int:
        bases = list(BASES)
        random.SystemRandom().shuffle(bases)
        for base in bases:
            if self._take_lock(base):
                if all(_is_free(port) for port in _ports_of(base)):
                    return base
                self.release()
        raise NoPorts(str(NoPorts.__doc__))

    def _take_lock(self, base: int) -> bool:
        path = Path(tempfile.gettempdir()) / f"cds-ports-{base}-{os.getuid()}.lock"
        lock = path.open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._lock = lock
        return True


def _ports_of(base: int) -> list[int]:
    """One port of each kind; a program that holds none of them seldom holds another of the stretch."""
    at = Addresses(base)
    single = [at.shop, at.load_balancer_admin, at.observatory, at.postgres, at.traffic, at.rabbitmq, at.epmd]
    numbered = [at.web(1), at.web(2), at.web(3), at.manufacturer_process(1), at.distributor(1)]
    return [*single, at.erlang_distribution, *numbered]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
