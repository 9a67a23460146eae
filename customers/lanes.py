"""Threads that take calls from a queue, beside the event loop that waits for their results.

L1  At most ``threads`` calls of a lane run at once; the others wait in the order in which they came.
L2  Calls of one lane never wait for those of another.
L3  The loop is woken once for each result, and by nothing else of ours.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_Call = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Lane:
    """Daemon threads: the process may end while a call still waits for the database."""

    def __init__(self, name: str, threads: int) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many calls have no thread yet."""
        return self._calls.qsize()

    def call(self, function: Callable[[], T]) -> "asyncio.Future[T]":
        """To be awaited on the loop that this is called on."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._calls.put((function, loop, future))
        return future

    def end(self) -> None:
        """Each thread ends after its call; nobody waits for that."""
        for _thread in self._threads:
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
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
