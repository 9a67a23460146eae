"""The loop that moves the months: take the leadership, look, decide, do; again and again.

E1  Everything that the months need to know lies in the database: a new leader goes on where the old one was stopped.
E2  One transition a transaction, each conditional on the state that it starts from (transitions.py).
E3  No error of the database or of a manufacturer ends the loop. After an error it waits, longer each time, and retries.
States: standby -> leading -> standby …; stopped at the end.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from distributor.errors import Busy, DistributorError
from distributor.months import transitions
from distributor.months.decisions import Begin, Close, Open, Rules, Settle, State, Step, Wait, decide
from distributor.months.leadership import Leadership
from settings import Settings

logger = logging.getLogger(__name__)

BACKOFF_SECONDS_MAX = 5.0  # after this pause at most, a database that is back is noticed; chosen
IDLE_SECONDS_MIN = 5.0  # a leader that is silent for this long, or for 20 ticks, has lost (L3); chosen
IDLE_TICKS = 20
GATHERING_DEADLINES_MAX = 2.0  # a month opens after that many of a manufacturer's deadlines, whoever is missing
GATHERING_MONTH_SHARE_MAX = 0.5  # … or after that part of the month, if that is sooner
GATHERING_TICK_SECONDS_MAX = 0.05  # customers wait for the opening
GATHER_STOP_SECONDS = 3.0  # well below the supervisor's patience


class SupplySource(Protocol):
    """What the leader needs of the gather; see gather/gatherer.py."""

    def tend(self, month: int | None, *, urgent: bool) -> None: ...

    def asked(self, month: int) -> bool: ...

    def stop(self, seconds_max: float) -> None: ...


@dataclass(frozen=True)
class Pace:
    """The settings that the leader follows."""

    length: timedelta
    rules: Rules
    tick_seconds: float
    codes: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings, codes: list[str]) -> "Pace":
        month_seconds = settings.simulation.month_seconds
        gathering_seconds = min(
            GATHERING_DEADLINES_MAX * settings.distributor.offer_deadline_seconds,
            GATHERING_MONTH_SHARE_MAX * month_seconds,
        )
        return cls(
            timedelta(seconds=month_seconds),
            Rules(
                timedelta(seconds=settings.simulation.month_seconds_min),
                timedelta(seconds=gathering_seconds),
                settings.simulation.months_max,
            ),
            settings.distributor.tick_ms / 1000,
            tuple(codes),
        )


class Leader:
    """Run by one thread. ``engine`` has a pool of one connection that nothing else uses (L2)."""

    def __init__(
        self,
        engine: Engine,
        pace: Pace,
        gather: SupplySource,
        stop: threading.Event,
        on_step: Callable[[Step], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._pace = pace
        self._gather = gather
        self._stop = stop
        self._on_step = on_step
        self._left_over: int | None = None
        self.leading = False
        """Whether this process leads at the moment, for people to see."""
        self.trouble: str | None = "the leader has not looked at the database yet"
        """Why months do not move from here at the moment; None when all is well, on standby too."""

    def run(self) -> None:
        """Until told to stop (E3)."""
        pause = self._pace.tick_seconds
        while not self._stop.is_set():
            try:
                self._lead_while_possible()
                pause = self._pace.tick_seconds
            except (DistributorError, SQLAlchemyError) as error:
                self.trouble = f"months: {error}"
                logger.warning("months do not move from here: %s", str(error).partition("\n")[0])
                pause = min(BACKOFF_SECONDS_MAX, pause * 2)
            self._stop.wait(pause)
        logger.info("leader stopped")

    def _lead_while_possible(self) -> None:
        """Returns at once when another one leads."""
        leadership = Leadership.take(self._engine, max(IDLE_SECONDS_MIN, IDLE_TICKS * self._pace.tick_seconds))
        self.trouble = None
        if leadership is None:
            return
        logger.info("leading")
        self.leading = True
        try:
            with leadership.transaction() as connection:
                transitions.prepare(connection, self._pace.codes, self._pace.length)
            while not self._stop.is_set():
                self._stop.wait(self._advance(leadership))
        finally:
            self.leading = False
            self._gather.stop(GATHER_STOP_SECONDS)
            leadership.release()
            logger.info("no longer leading")

    def _advance(self, leadership: Leadership) -> float:
        """One look and, if there is something to do, one step; the seconds until the next look."""
        with leadership.transaction() as connection:
            facts = transitions.look_closely(connection, self._pace.rules, self._left_over)
        self._left_over = facts.left_over
        month = facts.month
        gathering = month is not None and month.state is State.GATHERING
        asked = month is not None and gathering and self._gather.asked(month.number)
        step = decide(facts, self._pace.rules, gathered=asked)
        if not isinstance(step, Wait) and self._took(leadership, step):
            return 0.0
        takes_supplies = month is not None and month.state in (State.GATHERING, State.OPEN)
        self._gather.tend(month.number if month is not None and takes_supplies else None, urgent=gathering)
        return min(self._pace.tick_seconds, GATHERING_TICK_SECONDS_MAX) if gathering else self._pace.tick_seconds

    def _took(self, leadership: Leadership, step: Begin | Open | Close | Settle) -> bool:
        """Whether the step took place; if not, it is decided anew at the next look."""
        try:
            done = self._do(leadership, step)
        except Busy as error:  # a purchase holds the gate for longer than a lock may be waited for
            logger.warning("not yet: %s (%s)", step, error)
            return False
        if done is None:
            return False
        logger.info("%s", done)
        self._on_step(done)
        return True

    def _do(self, leadership: Leadership, step: Begin | Open | Close | Settle) -> Step | None:
        """What was done, or None if the month was not in the expected state any more (E2)."""
        with leadership.transaction() as connection:
            match step:
                case Begin():
                    done = transitions.begin(connection, step)
                case Open():
                    done = transitions.open_sale(connection, step.number)
                case Close():
                    return transitions.close(connection, step.number, self._pace.rules)
                case Settle():
                    done = transitions.settle(connection, step.number)
        return step if done else None
