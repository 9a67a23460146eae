"""One round of the gather: every manufacturer that is still missing is asked, all at the same time.

R1  A manufacturer's trouble ends its own task, with an outcome and a reason for people to see, and no other.
R2  Nobody is asked for a month before every earlier supply of its was settled, for asking releases what was not accepted.
R3  A month's opening waits for those who are expected to answer: not for one that has answered, though it be nonsense,
    and not for one that was away in the month before already. So who stays away delays one opening, not each.
R4  A supply counts as accepted or refused only when the manufacturer said so; anything else is asked again (H5).
R5  Who was away in the month before has its turn after all others: many silent ones must not use up all turns until the
    month is over, month after month.

Called by gatherer.py, in a thread of its own.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Engine

from distributor.database import Retries, repeat, transaction
from distributor.errors import DistributorError
from distributor.gather.booking import (
    MonthOver,
    NameTaken,
    OfferChanged,
    Task,
    Unsettled,
    book,
    mark_accepted,
    record_attempt,
    rename,
    tasks,
    withdraw,
)
from distributor.gather.client import Answer, Client, ManufacturerError, Partner, Refused, TimedOut
from distributor.gather.feed import FeedRefused, read_offer

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Outcome(Enum):
    """Of one attempt; the values are those in ``gather_attempt``."""

    BOOKED = "booked"  # its goods are in stock
    EMPTY = "empty"  # it has nothing to offer this month
    UNAVAILABLE = "unavailable"  # no usable answer; asked again while the month is open
    TIMEOUT = "timeout"  # no complete answer in time; asked again while the month is open
    REFUSED = "refused"  # what it answered cannot be booked, or it refused that we take its offer
    CONFLICT = "conflict"  # it answered something else than what was booked for the same month


class Progress(Enum):
    """How far a round came with one manufacturer."""

    DONE = 1  # nothing is left to do
    ANSWERED = 2  # something is left, but waiting is of no use: it was refused, or is booked and not accepted yet
    ABSENT = 3  # it may still come


ABSENT = frozenset({Outcome.UNAVAILABLE, Outcome.TIMEOUT})


@dataclass(frozen=True)
class Plan:
    """What a round needs to know of the settings."""

    partners: Mapping[str, Partner]
    concurrency: int
    deadline_seconds: float
    bytes_max: int
    currency: str
    transaction_attempts_max: int
    carts_hold: bool = False


class Round:
    """Runs many rounds, one after the other; remembers each manufacturer's trouble, so that it is logged once."""

    def __init__(self, engine: Engine, executor: Executor, plan: Plan) -> None:
        self._engine = engine
        self._executor = executor
        self._plan = plan
        self._troubles: dict[str, str] = {}
        self.awaited: set[str] | None = None
        """Whom the month's opening waits for (R3); None: not known yet. Other threads only read it."""

    async def run(self, month: int | None) -> bool:
        """Ask everybody who is missing in ``month`` (None: only settle earlier supplies); True if nothing is left."""
        self.awaited = None
        left = await self._write(partial(tasks, codes=list(self._plan.partners), month=month))
        self.awaited = awaited = {task.code for task in left if task.ask and not task.was_absent}
        if not left:
            return True
        turns = asyncio.Semaphore(self._plan.concurrency)
        async with Client(
            self._plan.partners, deadline_seconds=self._plan.deadline_seconds, bytes_max=self._plan.bytes_max
        ) as client:

            async def in_turn(task: Task) -> Progress:
                async with turns:
                    progress = await self._one(client, task, month)
                if progress is not Progress.ABSENT:
                    awaited.discard(task.code)
                return progress

            done = await asyncio.gather(*(in_turn(task) for task in left), return_exceptions=True)
        for task, result in zip(left, done, strict=True):
            if isinstance(result, BaseException):
                logger.error("gather from %s failed", task.code, exc_info=result)
        complete = sum(result is Progress.DONE for result in done)
        logger.info("gathered month=%s asked=%d complete=%d", month, len(left), complete)
        return complete == len(left)

    async def _one(self, client: Client, task: Task, month: int | None) -> Progress:
        """Everything that is left to do with one manufacturer."""
        try:
            for supply in task.unsettled:
                if await self._settle(client, task.code, supply) is Progress.DONE:
                    continue
                if task.ask and month is not None:
                    reason = f"it did not confirm yet that we took its offer of month {supply.month}"
                    return await self._record(task.code, month, Outcome.UNAVAILABLE, reason)
                return Progress.ANSWERED
            if not task.ask or month is None:
                return Progress.DONE
            return await self._ask(client, task.code, month)
        except DistributorError as error:  # the database's trouble, not the manufacturer's: the next round tries again
            self._log_trouble(task.code, f"not booked: {error}")
            return Progress.ABSENT

    async def _ask(self, client: Client, code: str, month: int) -> Progress:
        try:
            answer = await client.offer(code, month)
            supply, note = await self._in_thread(partial(self._read_and_book, answer, code, month))
        except TimedOut as error:
            return await self._record(code, month, Outcome.TIMEOUT, str(error))
        except (Refused, FeedRefused) as error:
            return await self._record(code, month, Outcome.REFUSED, str(error))
        except OfferChanged as error:
            return await self._record(code, month, Outcome.CONFLICT, str(error))
        except (ManufacturerError, MonthOver) as error:
            return await self._record(code, month, Outcome.UNAVAILABLE, str(error))
        return await self._settle(client, code, supply, note)

    def _read_and_book(self, answer: Answer, code: str, month: int) -> tuple[Unsettled, str | None]:
        """The supply, and what people should know of it. In a thread, so at most WRITERS offers are taken apart at a time.

        Another one's name is not taken over, but the goods are: who came second may well be the honest one (R1).
        """
        offer = read_offer(answer.body, answer.content_type, code=code, month=month, currency=self._plan.currency)
        supply = self._transact(partial(book, offer=offer))
        try:
            self._transact(partial(rename, code=code, name=offer.manufacturer_name))
        except NameTaken as error:
            return supply, f"its name was not taken over: {error}"
        return supply, None

    async def _settle(self, client: Client, code: str, supply: Unsettled, note: str | None = None) -> Progress:
        """Tell the manufacturer that we took the supply; DONE when that is decided either way (R4)."""
        booked = Outcome.EMPTY if supply.empty else Outcome.BOOKED
        try:
            await client.accept(code, supply.month, supply.content_sha256)
        except Refused as error:
            reason = f"it does not let us take its offer; what was left of it was taken back: {error}"
            take_back = partial(withdraw, supply_id=supply.supply_id, carts_hold=self._plan.carts_hold)
            await self._record(code, supply.month, Outcome.REFUSED, reason, take_back)
            return Progress.DONE
        except ManufacturerError as error:
            return await self._record(code, supply.month, booked, f"not accepted yet: {error}")
        await self._record(code, supply.month, booked, note, partial(mark_accepted, supply_id=supply.supply_id))
        return Progress.DONE

    async def _record(
        self,
        code: str,
        month: int,
        outcome: Outcome,
        reason: str | None,
        effect: Callable[[Connection], object] = lambda _: None,
    ) -> Progress:
        """Note the outcome, together with ``effect``; how far one is with an outcome that has a reason."""

        def write(connection: Connection) -> None:
            effect(connection)
            record_attempt(connection, code, month, outcome.value, reason)

        if reason is None:
            self._troubles.pop(code, None)
        else:
            self._log_trouble(code, f"month {month}: {outcome.value}: {reason}")
        await self._write(write)
        return Progress.ABSENT if outcome in ABSENT else Progress.ANSWERED

    def _log_trouble(self, code: str, trouble: str) -> None:
        """Once, not with every round: a manufacturer that stays away must not fill the log."""
        if self._troubles.get(code) != trouble:
            self._troubles[code] = trouble
            logger.warning("gather from %s: %s", code, trouble)

    def _write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """``work`` in a transaction of its own, in a thread: the other manufacturers' answers do not wait for it."""
        return self._in_thread(partial(self._transact, work))

    def _in_thread(self, work: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        def attempt() -> T:
            with transaction(self._engine) as connection:
                return work(connection)

        return repeat(attempt, Retries(self._plan.transaction_attempts_max))
