"""Threads beside the event loop: who gets a call, and in which order calls are worked on."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from customers.serving.lanes import Lane
from tests.conftest import wait_until

SECONDS_MAX = 20.0


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane("tried", 3)
    yield lane
    lane.end()


def test_calls_one_after_the_other_keep_to_the_same_thread(lane: Lane) -> None:
    """L4; a queue would let all three take turns. A thread may not be idle again yet when its answer is there."""

    async def ask() -> list[int]:
        called = []
        for _time in range(6):
            wait_until(lambda: len(lane._idle) == 3, SECONDS_MAX, "all threads are idle")
            called.append(await lane.call(_here))
        return called

    assert len(set(asyncio.run(ask()))) == 1


def test_the_loop_is_woken_once_for_each_result(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """L3: for an error, too; and not by calls that wait for a thread or are taken from the queue."""
    woken: list[object] = []

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def counted(*what: Any, **context: Any) -> asyncio.Handle:
            woken.append(what[0])
            return wake(*what, **context)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        calls = [lane.call(_here) for _time in range(7)] + [lane.call(_fails) for _time in range(2)]
        told = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in told] == [int] * 7 + [ZeroDivisionError] * 2

    asyncio.run(ask())
    assert len(woken) == 9


def test_as_many_run_at_once_as_there_are_threads_and_the_rest_in_their_order(lane: Lane) -> None:
    """L1"""
    go, begun = threading.Event(), threading.Semaphore(0)
    order: list[int] = []

    def hold() -> None:
        begun.release()
        assert go.wait(SECONDS_MAX)

    async def ask() -> None:
        held = [lane.call(hold) for _thread in range(3)]
        for _thread in range(3):
            assert await asyncio.to_thread(begun.acquire, timeout=SECONDS_MAX)
        later = [lane.call(lambda number=number: order.append(number)) for number in range(5)]  # type: ignore[misc]
        assert lane.waiting == 5
        assert order == []
        held.append(lane.call(lambda: None))
        go.set()
        await asyncio.gather(*held, *later)
        assert lane.waiting == 0

    asyncio.run(ask())
    assert sorted(order) == [0, 1, 2, 3, 4]


def test_calls_of_one_lane_do_not_wait_for_those_of_another(lane: Lane) -> None:
    """L2"""
    go = threading.Event()

    async def ask() -> int:
        held = [lane.call(lambda: go.wait(SECONDS_MAX)) for _thread in range(4)]
        other = Lane("another", 1)
        answered_by = await asyncio.wait_for(other.call(_here), SECONDS_MAX)
        assert not any(call.done() for call in held)
        go.set()
        await asyncio.gather(*held)
        other.end()
        return answered_by

    assert asyncio.run(ask())


def test_a_call_of_one_thread_follows_the_other() -> None:
    """L1, the order, which more threads would hide."""
    lane, order = Lane("alone", 1), list[int]()

    async def ask() -> None:
        await asyncio.gather(*(lane.call(lambda number=number: order.append(number)) for number in range(50)))  # type: ignore[misc]

    asyncio.run(ask())
    lane.end()
    assert order == list(range(50))


def test_an_error_reaches_who_waits_and_the_thread_goes_on(lane: Lane) -> None:
    async def ask() -> int:
        for _time in range(5):
            with pytest.raises(ZeroDivisionError):
                await lane.call(_fails)
        return await lane.call(_here)

    assert asyncio.run(ask())


def test_threads_end_after_their_calls() -> None:
    lane = Lane("ended", 2)

    async def ask() -> None:
        await lane.call(_here)

    asyncio.run(ask())
    lane.end()
    for thread in threading.enumerate():
        if thread.name.startswith("ended-"):
            thread.join(SECONDS_MAX)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ended-")]


def _here() -> int:
    return threading.get_ident()


def _fails() -> int:
    return 1 // 0
