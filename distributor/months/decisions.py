"""What the leader does next. Pure: facts and rules in, one step out; no clock, no SQL.

    (none) -> gathering -> open -> closing -> closed -> the next month's gathering …

N1  Months follow one another without a gap; one is closed before the next begins. Missed ones are caught up in order.
N2  Time over and by hand close a month at any time; sold out or all finished only after ``length_min``.
N3  A month opens even when manufacturers failed, and no later than ``gathering_max`` after its gather began.
N4  After ``months_max`` months (0 = no limit) none begins.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from distributor.months.calendar import Calendar


class State(Enum):
    """Of one month; the values are those in the database."""

    GATHERING = "gathering"  # offers are being asked for and booked
    OPEN = "open"  # customers buy
    CLOSING = "closing"  # no purchase can commit any more
    CLOSED = "closed"


class Reason(Enum):
    """Why a month was closed; the values are those in the database and in month.closed."""

    DEPLETED = "depleted"  # nothing is left to sell
    FINISHED = "finished"  # every customer who is signed in is done
    TIME_OVER = "time_over"
    BY_HAND = "by_hand"


@dataclass(frozen=True)
class CurrentMonth:
    """The newest month that ever began."""

    number: int
    state: State
    gathering_at: datetime
    opened_at: datetime | None
    ends_at: datetime
    close_requested: bool


@dataclass(frozen=True)
class Facts:
    """What the database said at ``now``, its own clock.

    ``depleted``, ``finished`` and ``left_over`` (some stock row with units) are only looked up when they can matter.
    """

    now: datetime
    calendar: Calendar
    month: CurrentMonth | None
    depleted: bool
    finished: bool
    left_over: int | None = None


@dataclass(frozen=True)
class Rules:
    length_min: timedelta
    gathering_max: timedelta
    months_max: int


@dataclass(frozen=True)
class Wait:
    """Nothing to do until the next tick."""


@dataclass(frozen=True)
class Begin:
    """Begin the month ``number`` with its gather."""

    number: int
    ends_at: datetime

    def __str__(self) -> str:
        return f"month {self.number} begins; its time is over at {self.ends_at:%H:%M:%S}"


@dataclass(frozen=True)
class Open:
    """Let customers buy."""

    number: int

    def __str__(self) -> str:
        return f"month {self.number} is open"


@dataclass(frozen=True)
class Close:
    """Stop the sale of the month."""

    number: int
    reason: Reason

    def __str__(self) -> str:
        return f"month {self.number} is closing: {self.reason.value}"


@dataclass(frozen=True)
class Settle:
    """End the month; what it came to is told afterwards."""

    number: int

    def __str__(self) -> str:
        return f"month {self.number} is closed"


Step = Wait | Begin | Open | Close | Settle


def decide(facts: Facts, rules: Rules, *, gathered: bool) -> Step:
    """The next step; ``gathered``: every manufacturer was asked for the current month and has answered or failed."""
    month = facts.month
    if month is None or month.state is State.CLOSED:
        return _after(0 if month is None else month.number, facts, rules)
    if month.state is State.GATHERING:
        overdue = facts.now >= month.gathering_at + rules.gathering_max
        return Open(month.number) if gathered or overdue else Wait()
    if month.state is State.CLOSING:
        return Settle(month.number)
    reason = _reason_to_close(month, facts, rules)
    return Close(month.number, reason) if reason else Wait()


def _after(last: int, facts: Facts, rules: Rules) -> Step:
    following = last + 1
    if rules.months_max and following > rules.months_max:  # N4
        return Wait()
    if facts.calendar.month_at(facts.now) < following:
        return Wait()
    return Begin(following, facts.calendar.end(following))


def _reason_to_close(month: CurrentMonth, facts: Facts, rules: Rules) -> Reason | None:
    if month.close_requested:
        return Reason.BY_HAND
    if facts.now >= month.ends_at:
        return Reason.TIME_OVER
    if not may_close_early(month, facts.now, rules):
        return None
    if facts.depleted:
        return Reason.DEPLETED
    return Reason.FINISHED if facts.finished else None


def may_close_early(month: CurrentMonth, now: datetime, rules: Rules) -> bool:
    """Whether it is time to look if the month is sold out or everybody is done (N2)."""
    return month.state is State.OPEN and month.opened_at is not None and now >= month.opened_at + rules.length_min
