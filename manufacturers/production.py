"""The lines of one plant as tasks, and the booking of what they finish. Decisions are in ``line.py``.

R1  Lines run independently: a broken or waiting line holds up no other.
R2  A line with nothing to do sleeps until the stock changes; it costs no CPU.
R3  What a line finished is booked within ``booking_seconds``, together with whatever else was finished by then: with
    many plants in one process that bounds the commits per second, each of which waits for the disk.
R4  ``stop`` books what is finished; nothing is cancelled in the middle of a commit.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence

from manufacturers.line import Conditions, Plan, Status, first, step
from manufacturers.plant import Plant

BOOKINGS_PER_SECOND_MAX = 50  # chosen: of one process; measured 1 commit = 0.4 ms of disk and 0.1 ms of CPU
BOOKING_SECONDS_MIN = 0.1
BOOKING_RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


def booking_seconds(plants: int) -> float:
    """How long finished units may wait for their booking, so that the process stays below its commits per second."""
    return max(BOOKING_SECONDS_MIN, plants / BOOKINGS_PER_SECOND_MAX)


class Production:
    """Runs the lines of ``plant``; each has a plan and its random numbers."""

    def __init__(
        self, plant: Plant, lines: Sequence[tuple[Plan, Callable[[int], float]]], booking_seconds: float
    ) -> None:
        self._plant = plant
        self._lines = lines
        self._booking_seconds = booking_seconds
        self._stop = asyncio.Event()
        self._line_tasks: list[asyncio.Task[None]] = []
        self._booking_task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._plant.statuses = [Status.IDLE] * len(self._lines)
        self._line_tasks = [
            asyncio.create_task(self._run_line(number, plan, chance), name=f"{self._plant.code} line {number + 1}")
            for number, (plan, chance) in enumerate(self._lines)
            if plan.rates
        ]
        self._booking_task = asyncio.create_task(self._keep_books(), name=f"{self._plant.code} booking")

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """All that runs; none of them ends before ``stop`` unless by an error of ours."""
        return [*self._line_tasks, *([self._booking_task] if self._booking_task else [])]

    async def stop(self) -> None:
        """End the lines; book what they finished."""
        for task in self._line_tasks:
            task.cancel()
        await asyncio.gather(*self._line_tasks, return_exceptions=True)
        self._stop.set()
        self._plant.something_finished.set()
        if self._booking_task:
            await self._booking_task

    async def _run_line(self, number: int, plan: Plan, chance: Callable[[int], float]) -> None:
        line = first(plan, time.monotonic())
        while True:
            changed = self._plant.changed
            now = time.monotonic()
            result = step(plan, line, Conditions(now, self._plant.room, self._plant.urgent, chance))
            line = result.line
            self._plant.statuses[number] = result.status
            self._plant.finish(result.finished)
            await _wait(changed, None if result.wake_at is None else max(plan.look_seconds, result.wake_at - now))

    async def _keep_books(self) -> None:
        while not self._stop.is_set():
            await self._plant.something_finished.wait()
            await _wait(self._stop, self._booking_seconds)
            try:
                await self._plant.book()
            except sqlite3.Error:
                logger.exception("%s: the ledger took no booking; trying again", self._plant.code)
                await _wait(self._stop, BOOKING_RETRY_SECONDS)
                self._plant.something_finished.set()


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    """Until the event is set or the time is over, whatever comes first."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
