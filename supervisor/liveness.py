"""Whether a process that runs still lives: it is asked now and then, and any answer is a sign of life. Pure: no clock.

D1  A process is hung only when LOOKS_MIN looks in a row found no answer, and its silence has lasted ``Rules.seconds``.
D2  Only time in which it could have answered counts as silence: not what it waited for a processor, and of the time between
    two looks not more than two intervals. So a machine that slept or stood still, a supervisor that was stopped and a
    machine with more work than processors raise no alarm.
D3  What stands still on purpose (a fault that was asked for, a debugger) is excused: its silence begins anew afterwards.
"""

import enum
from dataclasses import dataclass

LOOKS = 6  # in the time after which a silent process is hung; chosen: a process that is asked costs 0.3 ms each time
LOOKS_MIN = 3
INTERVALS_MAX = 2.0  # D2


class Verdict(enum.Enum):
    """What is to be done about a process."""

    ALIVE = "alive"  # nothing: it answered since the last look, or is excused
    SILENT = "silent"  # nothing yet
    HUNG = "hung"  # end it


@dataclass(frozen=True)
class Rules:
    """``seconds`` > 0: the silence after which a process is hung."""

    seconds: float

    @property
    def interval_seconds(self) -> float:
        """From one look, and one question, to the next."""
        return self.seconds / LOOKS


@dataclass(frozen=True)
class Look:
    """``at``: seconds of a clock that stands still while the machine sleeps; ``answered``, ``waited_seconds`` (ready to
    work, but without a processor): since the look before; ``excused``: D3."""

    at: float
    answered: bool
    waited_seconds: float = 0.0
    excused: bool = False


@dataclass(frozen=True)
class Silence:
    """How long a process has given no sign, in seconds that count (D2) and in looks; ``at``: of the latest look."""

    at: float
    seconds: float = 0.0
    looks: int = 0


def observe(before: Silence, look: Look, rules: Rules) -> tuple[Silence, Verdict]:
    """What is known after one look more."""
    if look.answered or look.excused:
        return Silence(look.at), Verdict.ALIVE
    passed = min(look.at - before.at, INTERVALS_MAX * rules.interval_seconds)
    after = Silence(look.at, before.seconds + max(passed - look.waited_seconds, 0.0), before.looks + 1)
    is_hung = after.looks >= LOOKS_MIN and after.seconds >= rules.seconds
    return after, Verdict.HUNG if is_hung else Verdict.SILENT
