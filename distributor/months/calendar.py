"""The arithmetic of the simulated calendar. Pure: time comes in as an argument.

K1  Month ``n`` spans [epoch + (n - 1) L, epoch + n L): every moment from the epoch on lies in exactly one month.
K2  A jump only moves the calendar forward (the epoch back), and never past the beginning of the month after ``n``.
K3  Another month length keeps the month of the present moment and the part of it that has passed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Calendar:
    """``length`` is that of every month; ``epoch`` the beginning of month 1."""

    epoch: datetime
    length: timedelta

    def __post_init__(self) -> None:
        if self.length <= timedelta(0):
            message = f"a month must have a length greater than 0, not {self.length}"
            raise ValueError(message)

    def month_at(self, moment: datetime) -> int:
        """The month that ``moment`` lies in; less than 1 before the epoch."""
        return (moment - self.epoch) // self.length + 1

    def start(self, number: int) -> datetime:
        return self.epoch + (number - 1) * self.length

    def end(self, number: int) -> datetime:
        return self.epoch + number * self.length

    def jump_after(self, number: int, now: datetime) -> "Calendar":
        """The calendar by which the month after ``number`` begins now, if it has not begun already (K2)."""
        if now >= self.end(number):
            return self
        return Calendar(now - number * self.length, self.length)

    def with_length(self, length: timedelta, now: datetime) -> "Calendar":
        """The calendar with months of another length (K3); integer arithmetic in microseconds, rounded down."""
        if length == self.length:
            return self
        months, passed = divmod(now - self.epoch, self.length)
        passed_microseconds = (passed // _MICROSECOND) * (length // _MICROSECOND) // (self.length // _MICROSECOND)
        return Calendar(now - timedelta(microseconds=passed_microseconds) - months * length, length)


_MICROSECOND = timedelta(microseconds=1)
