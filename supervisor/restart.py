"""Whether and when a dead process is started again. Pure: no clock, no process.

R1  The pause doubles with each death in a row, from ``first_ms`` to ``longest_ms``; a stable life resets the row.
R2  Before the system was ready once, a death that cannot heal (exit code 64 or 70) or the third death of the same
    process ends the start: somebody sits there and waits for the reason.
R3  Later only exit code 64 (wrong configuration) is final: a port or a database that is missing now (70) may come back.
"""

from dataclasses import dataclass

EXIT_USAGE = 64  # EX_USAGE of sysexits.h
EXIT_CANNOT_START = 70  # EX_SOFTWARE
DEATHS_BEFORE_READY_MAX = 3
STABLE_SECONDS = 10.0  # chosen: longer than any start measured here, so that a crash right after ready still counts


@dataclass(frozen=True)
class Policy:
    first_ms: int = 200
    longest_ms: int = 5_000


@dataclass(frozen=True)
class Death:
    """``in_a_row``: deaths without a stable life between them, this one included. ``starting``: see R2."""

    exit_code: int
    in_a_row: int
    starting: bool


@dataclass(frozen=True)
class Again:
    after_seconds: float


@dataclass(frozen=True)
class GiveUp:
    reason: str


def deaths_in_a_row(before: int, ready_seconds: float) -> int:
    """The count with a new death, after the process had been ready for ``ready_seconds`` (0: never)."""
    return 1 if ready_seconds >= STABLE_SECONDS else before + 1


def decide(death: Death, policy: Policy) -> Again | GiveUp:
    if death.exit_code == EXIT_USAGE:
        return GiveUp("it refuses its configuration (exit code 64)")
    if death.starting and death.exit_code == EXIT_CANNOT_START:
        return GiveUp("it cannot start (exit code 70)")
    if death.starting and death.in_a_row >= DEATHS_BEFORE_READY_MAX:
        return GiveUp(f"it ended {death.in_a_row} times before it was ready, at last {ending(death.exit_code)}")
    doublings = min(death.in_a_row - 1, 20)  # 2**20 is beyond every bound, and never overflows
    return Again(min(policy.first_ms * 2**doublings, policy.longest_ms) / 1_000)


def ending(exit_code: int) -> str:
    """``with exit code 1`` or ``by signal 9``."""
    return f"by signal {-exit_code}" if exit_code < 0 else f"with exit code {exit_code}"
