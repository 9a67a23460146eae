"""Threads that take calls from a queue, beside the event loop that waits for their results.

L1  At most ``threads`` calls of a lane run at once; the others wait in the order in which they came.
L2  Calls of one lane never wait for those of another.
L3  The loop is woken once for each result, and by nothing else of ours.
L4  A call goes to the thread that became idle last, whose stack and database connection are still in the processor's caches:
    in the order of a queue, eight threads would take turns at few requests.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_Call = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class _Seat:
    """Where one idle thread waits. ``given`` is released when there is a ``call`` for it."""

    __slots__ = ("call", "given")

    def __init__(self) -> None:
        self.call: _Call | None = None
        self.given = threading.Lock()
        self.given.acquire()


class Lane:
    """Daemon threads: the process may end while a call still waits for the database."""

    def __init__(self, name: str, threads: int) -> None:
        self._guard = threading.Lock()
        """Of the two below, one of which is always empty."""
        self._calls: deque[_Call | None] = deque()
        self._idle: list[_Seat] = []
        self._threads = [
            threading.Thread(target=self._work, args=[_Seat()], name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many calls have no thread yet."""
        return len(self._calls)

    def call(self, function: Callable[[], T]) -> "asyncio.Future[T]":
        """To be awaited on the loop that this is called on."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._give((function, loop, future))
        return future

    def end(self) -> None:
        """Each thread ends after its call; nobody waits for that."""
        for _thread in self._threads:
            self._give(None)

    def _give(self, call: _Call | None) -> None:
        """L1, L4"""
        with self._guard:
            if not self._idle:
                self._calls.append(call)
                return
            seat = self._idle.pop()
        seat.call = call
        seat.given.release()

    def _next(self, seat: _Seat) -> _Call | None:
        with self._guard:
            if self._calls:
                return self._calls.popleft()
            self._idle.append(seat)
        seat.given.acquire()
        call, seat.call = seat.call, None
        return call

    def _work(self, seat: _Seat) -> None:
        while (call := self._next(seat)) is not None:
            function, loop, future = call
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 - whoever waits for the call gets it
                _tell(loop, _fail, future, error)
            else:
                _tell(loop, _succeed, future, result)


def _tell(loop: asyncio.AbstractEventLoop, how: Callable[..., None], *values: object) -> None:
    try:
        loop.call_soon_threadsafe(how, *values)
    except RuntimeError:  # the loop has ended meanwhile, and with it whoever waited
        if not loop.is_closed():
            raise


def _succeed(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
