"""Listening sockets that outlive the process which opened them, so that its successor accepts from the same queue.

H1  A child that serves shows us its sockets; we hold them. While none of its lives accepts, who connects waits in the
    kernel's queue and is not refused: not between two lives, and not after a crash.
H2  A new life gets all of them, before it does anything.
H3  When a child is stopped, or is not started again, they are let go: nobody waits for what does not come.
"""

import array
import asyncio
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass

MESSAGE_BYTES_MAX = 64
SOCKETS_MAX = 253  # SCM_MAX_FD of Linux: so many fit into one message


class HeldSockets:
    """The sockets of one child."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self.closed = False

    def hold(self, numbers: Iterable[int]) -> None:
        """These from now on; they are ours to close."""
        old, self._held = self._held, list(numbers)
        _close(old)
        if self.closed:
            self.release()

    def release(self) -> None:
        """H3."""
        old, self._held = self._held, []
        _close(old)

    def close(self) -> None:
        """H3, for good: what is shown from now on is not held any more."""
        self.closed = True
        self.release()

    @property
    def descriptors(self) -> tuple[int, ...]:
        return tuple(self._held)


@dataclass(frozen=True)
class Passed:
    """What a new life is given: descriptors, and the words behind its command that name them."""

    descriptors: tuple[int, ...]
    words: tuple[str, ...]


class Announcement:
    """How one life tells us that it serves: a socket pair, whose other end it inherits."""

    def __init__(self, held: HeldSockets) -> None:
        self._held = held
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ours.setblocking(False)

    def passed(self) -> Passed:
        """H2."""
        held, notify = self._held.descriptors, self._theirs.fileno()
        sockets = ("--listen-fds", ",".join(map(str, held))) if held else ()
        return Passed((*held, notify), ("--notify-fd", str(notify), *sockets))

    def close(self) -> None:
        """There is no child to hear of."""
        self._ours.close()
        self._theirs.close()

    async def heard(self) -> bool:
        """H1; whether it serves: False if it ended, or shut its end, without a word. The child has been started."""
        self._theirs.close()  # its copy is the only one now: its death can be seen
        try:
            await _readable(self._ours)
            numbers = _receive(self._ours)
        finally:
            self._ours.close()
        if numbers is None:
            return False
        self._held.hold(numbers)
        return True


def _receive(ours: socket.socket) -> list[int] | None:
    """The sockets that came with a message; None if there came none before the end."""
    flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    size = array.array("i").itemsize
    try:
        message, ancillary, _, _ = ours.recvmsg(MESSAGE_BYTES_MAX, socket.CMSG_SPACE(SOCKETS_MAX * size), flags)
    except ConnectionError:
        return None
    numbers = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(data[: len(data) - len(data) % size])
    for number in numbers:
        os.set_inheritable(number, False)
    if not message:
        _close(numbers)
        return None
    return list(numbers)


async def _readable(one: socket.socket) -> None:
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(one, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(one)


def _close(numbers: Iterable[int]) -> None:
    for number in numbers:
        os.close(number)
