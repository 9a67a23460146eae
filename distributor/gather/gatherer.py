"""Runs the rounds of the gather beside the leader, so that no manufacturer can hold up the months.

Y1  At most one round runs at a time; a new month's first round waits until the old month's round has ended.
Y2  ``tend`` never blocks: the leader's tick must go on, or its session would be ended (L3).
Y3  A month counts as asked when its round awaits nobody any more (R3); until then rounds follow one another quickly.

Called by months/leader.py, from one thread.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from distributor.errors import DistributorError
from distributor.gather.rounds import Plan, Round

logger = logging.getLogger(__name__)

URGENT_RETRY_SECONDS = 0.5  # while a month's opening waits for somebody, for instance at the start of the whole system
WRITERS = 2
"""Threads, and connections, that book at the same time: the database's disk is the limit, not the network."""


class Gatherer:
    """``engine`` should have a pool of WRITERS connections."""

    def __init__(
        self, engine: Engine, plan: Plan, retry_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._round = Round(engine, ThreadPoolExecutor(WRITERS, thread_name_prefix="booking"), plan)
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._running: _RunningRound | None = None
        self._month: int | None = None
        self._complete = False
        self._ended_at = 0.0

    def tend(self, month: int | None, *, urgent: bool = False) -> None:
        """Start a round if one is due: for a new ``month`` at once, else while somebody is missing (Y1, Y2).

        ``month`` None: no month takes supplies at the moment; earlier ones are still settled. ``urgent``: the month's
        opening waits for it.
        """
        if self._running is not None:
            if self._running.is_alive():
                if month is not None and self._running.month != month:
                    self._running.cancel()
                return
            self._complete = self._running.complete
            self._ended_at = self._clock()
            self._running = None
        pause = min(URGENT_RETRY_SECONDS, self._retry_seconds) if urgent else self._retry_seconds
        if month not in (None, self._month) or (not self._complete and self._clock() >= self._ended_at + pause):
            self._month = month
            self._round.awaited = None
            self._running = _RunningRound(self._round, month)

    def asked(self, month: int) -> bool:
        """Whether the opening of ``month`` has to wait for nobody any more (Y3)."""
        return self._month == month and self._round.awaited == set()

    def stop(self, seconds_max: float) -> None:
        """Give up the round that runs and forget everything: the next leader starts from what the database says."""
        if self._running is not None:
            self._running.cancel()
            self._running.join(seconds_max)
        self._running = self._month = None
        self._complete = False
        self._ended_at = 0.0


class _RunningRound:
    """A round in a thread with an event loop of its own."""

    def __init__(self, round_: Round, month: int | None) -> None:
        self.month = month
        self.complete = False
        """Nothing is left to do."""
        self._round = round_
        self._guard = threading.Lock()
        self._given_up = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="gather", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, seconds_max: float) -> None:
        self._thread.join(seconds_max)

    def cancel(self) -> None:
        """End it soon: answers are not waited for any more. A booking that has begun is finished by its thread."""
        with self._guard:
            self._given_up = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)

    def _run(self) -> None:
        try:
            self.complete = asyncio.run(self._main())
        except asyncio.CancelledError:
            logger.info("gather of month %s given up", self.month)
        except DistributorError as error:
            logger.warning("gather of month %s: %s", self.month, error)

    async def _main(self) -> bool:
        with self._guard:
            if self._given_up:
                raise asyncio.CancelledError
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.ensure_future(self._round.run(self.month))
        try:
            return await self._task
        finally:
            with self._guard:
                self._loop = None
