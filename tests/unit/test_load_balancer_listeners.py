"""Sockets that are opened, inherited, shown and held (K1 to K3 of listeners.py, H1 to H3 of supervisor/handover.py)."""

import asyncio
import os
import socket
from collections.abc import Callable

import pytest

from load_balancer.listeners import CannotListenError, Listeners, passed_by_systemd
from load_balancer.options import Address
from supervisor.handover import Announcement, HeldSockets
from tests.conftest import free_port


def test_an_inherited_socket_is_used_and_no_other_opened() -> None:
    """K1: another process may hold the very same one."""
    address = Address("127.0.0.1", free_port())
    (first,) = Listeners().at(address)
    copy = os.dup(first.fileno())
    (second,) = Listeners([copy]).at(address)
    assert second.fileno() == copy
    first.close()
    with socket.create_connection((address.host, address.port), 2.0) as client:
        accepted, peer = second.accept()
        accepted.close()
        assert peer == client.getsockname()
    second.close()


def test_a_port_of_somebody_else_is_found_out_though_sockets_may_be_shared() -> None:
    """K2."""
    address = Address("127.0.0.1", free_port())
    (taken,) = Listeners().at(address)
    with pytest.raises(CannotListenError, match=f"cannot listen on {address}: Address already in use"):
        Listeners().at(address)
    taken.close()


def test_there_are_as_many_sockets_as_workers_or_as_were_inherited() -> None:
    """K3."""
    address = Address("127.0.0.1", free_port())
    three = Listeners().at(address, 3)
    assert len(three) == 3
    copies = [os.dup(one.fileno()) for one in three]
    for one in three:
        one.close()
    kept = Listeners(copies).at(address)
    assert len(kept) == 3
    for one in kept:
        one.close()


@pytest.mark.parametrize(("others", "count", "expected"), [(0, "2", [3, 4]), (1, "2", []), (0, "two", []), (0, "", [])])
def test_systemds_sockets_are_taken_if_they_are_ours(others: int, count: str, expected: list[int]) -> None:
    assert list(passed_by_systemd({"LISTEN_PID": str(os.getpid() + others), "LISTEN_FDS": count})) == expected


def announced(told: Callable[[int], None], held: HeldSockets) -> bool:
    """What is heard of a child that does ``told`` with its end."""

    async def hear() -> bool:
        announcement = Announcement(held)
        passed = announcement.passed()
        theirs = os.dup(passed.descriptors[-1])  # the child's copy
        hearing = asyncio.create_task(announcement.heard())
        await asyncio.sleep(0)
        told(theirs)
        return await hearing

    return asyncio.run(hear())


def test_sockets_that_are_shown_are_held_and_passed_on() -> None:
    """H1, H2."""
    held, address = HeldSockets(), Address("127.0.0.1", free_port())

    def tell(end: int) -> None:
        listeners = Listeners(notify=end)
        listeners.at(address)
        listeners.serving()
        for one in listeners._in_use:
            one.close()  # the child dies

    assert announced(tell, held)
    socket.create_connection((address.host, address.port), 2.0).close()
    announcement = Announcement(held)
    passed = announcement.passed()
    descriptors, words = passed.descriptors, passed.words
    assert words[0::2] == ("--notify-fd", "--listen-fds")
    assert str(descriptors[0]) == words[3]
    announcement.close()
    held.release()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port), 2.0)


def test_a_child_that_ends_without_a_word_is_noticed() -> None:
    held = HeldSockets()
    assert not announced(os.close, held)
    assert held.descriptors == ()


def test_what_is_shown_after_the_end_is_not_held() -> None:
    """H3."""
    held = HeldSockets()
    held.close()
    held.hold([os.dup(0)])
    assert held.descriptors == ()
