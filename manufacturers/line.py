"""What a production line does next: a function of its state, the time, the room in the store and random numbers.

N1  Over any time without breakdowns and with room, a product comes off the line at its own rate, to within one batch.
N2  Stock and unfinished work of a product together never exceed its capacity; no debt is built up while it is full.
N3  The n-th attempt to start a batch breaks down or does not, whenever it happens: same seed, same breakdowns.
N4  A line that nothing but a change of the stock can set to work says so (``wake_at`` None): it costs nothing to wait.

A batch lies in stock ``lead_time_seconds`` after its start; the next may start before that (a conveyor, not an oven).
States: running <-> full; running -> broken -> running; idle for good if the line has nothing to make.
No clock, no sleeping and no tasks here: ``production.py`` has them.
"""

import enum
import hashlib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

# Chosen: at high rates batches become larger, so that a line needs not wake for each unit.
BATCH_SECONDS_MIN = 1.0
LOOK_SECONDS_MIN = 0.05  # chosen: a line looks up at most 20 times a second; due times catch up, so no unit is lost
LOOK_SECONDS_PER_PRODUCT = 4e-6
"""Of all products of a process: a look takes 0.2 µs of CPU for each (measured), so all lines together look 5 % of the time."""


class Status(enum.Enum):
    """Shown in the metrics."""

    RUNNING = "running"  # it starts a batch when one is due
    FULL = "full"  # every product that it makes is at capacity
    BROKEN = "broken"  # it starts nothing until it is repaired
    IDLE = "idle"  # it has nothing to make


@dataclass(frozen=True)
class Plan:
    """What a line makes: units a second by sku (greater than 0), and how."""

    rates: Mapping[str, float]
    batch_units: int
    lead_time_seconds: float
    breakdown_probability: float
    repair_seconds: float
    look_seconds: float = LOOK_SECONDS_MIN
    """Between two looks, at least. A batch takes at least twice as long, or what is made would depend on it (N1)."""

    def batch(self, sku: str) -> int:
        """Units of a whole batch."""
        return max(self.batch_units, math.ceil(self.rates[sku] * max(BATCH_SECONDS_MIN, 2 * self.look_seconds)))


@dataclass(frozen=True)
class Batch:
    """Units that are being made, in stock at ``ready_at``."""

    sku: str
    units: int
    ready_at: float


@dataclass(frozen=True)
class Line:
    """A line's state: when each product is due, what is in work (oldest first), attempts to start a batch so far."""

    due: Mapping[str, float]
    in_work: tuple[Batch, ...] = ()
    broken_until: float | None = None
    attempts: int = 0


@dataclass(frozen=True)
class Conditions:
    """What a line sees when it looks up.

    ``room``: units of the sku that still fit into the store beside the finished ones. ``urgent``: sold out in the shop,
    so make it before others, up to one batch ahead of time. ``chance``: a number in [0, 1) for the n-th attempt.
    """

    now: float
    room: Callable[[str], int]
    urgent: Collection[str]
    chance: Callable[[int], float]


@dataclass(frozen=True)
class Step:
    """The line afterwards, what came off it, and when to look again (None: when the stock has changed)."""

    line: Line
    status: Status
    finished: Mapping[str, int]
    wake_at: float | None


@dataclass
class _Shift:
    """The step in the making."""

    due: dict[str, float]
    in_work: list[Batch]
    attempts: int
    broken_until: float | None = None
    unfinished: dict[str, int] = field(default_factory=dict)


def look_seconds(products: int) -> float:
    """How long a line lets pass between two looks, in a process whose lines make so many products together."""
    return max(LOOK_SECONDS_MIN, products * LOOK_SECONDS_PER_PRODUCT)


def first(plan: Plan, now: float) -> Line:
    """A line at its start: first batches spread over the time that each takes, so that they do not all come at once."""
    count = len(plan.rates)
    return Line({sku: now + _interval(plan, sku) * (n + 1) / count for n, sku in enumerate(plan.rates)})


def step(plan: Plan, line: Line, seen: Conditions) -> Step:
    """Take off what is ready, start what is due, and say when to look again."""
    finished: dict[str, int] = {}
    shift = _Shift(dict(line.due), [], line.attempts)
    for batch in line.in_work:
        if batch.ready_at <= seen.now:
            finished[batch.sku] = finished.get(batch.sku, 0) + batch.units
        else:
            shift.in_work.append(batch)
            shift.unfinished[batch.sku] = shift.unfinished.get(batch.sku, 0) + batch.units
    if line.broken_until is not None and seen.now < line.broken_until:
        shift.broken_until = line.broken_until

    def still_fits(sku: str) -> int:
        return seen.room(sku) - finished.get(sku, 0) - shift.unfinished.get(sku, 0)

    for sku in _startable(plan, shift.due, seen):
        if shift.broken_until is not None:
            break
        units = min(plan.batch(sku), still_fits(sku))
        if units > 0:
            _start(plan, shift, sku, units, seen)
    open_dues = [due for sku, due in shift.due.items() if still_fits(sku) > 0]
    return Step(
        Line(shift.due, tuple(shift.in_work), shift.broken_until, shift.attempts),
        _status(plan, shift, open_dues),
        finished,
        _wake_at(shift, open_dues),
    )


def _startable(plan: Plan, due: Mapping[str, float], seen: Conditions) -> list[str]:
    """Urgent goods first, then what has been due for longest."""
    skus = [sku for sku in due if due[sku] <= seen.now + (_interval(plan, sku) if sku in seen.urgent else 0)]
    return sorted(skus, key=lambda sku: (sku not in seen.urgent, due[sku]))


def _start(plan: Plan, shift: _Shift, sku: str, units: int, seen: Conditions) -> None:
    """Try to start a batch; the due time moves on from where it was (N1), but not from before one interval ago (N2)."""
    shift.attempts += 1
    if seen.chance(shift.attempts) < plan.breakdown_probability:
        shift.broken_until = seen.now + plan.repair_seconds
        return
    shift.due[sku] = max(shift.due[sku], seen.now - _interval(plan, sku)) + units / plan.rates[sku]
    shift.in_work.append(Batch(sku, units, seen.now + plan.lead_time_seconds))
    shift.unfinished[sku] = shift.unfinished.get(sku, 0) + units


def _wake_at(shift: _Shift, open_dues: list[float]) -> float | None:
    ready = [shift.in_work[0].ready_at] if shift.in_work else []
    starts = open_dues if shift.broken_until is None else [shift.broken_until]
    return min(ready + starts, default=None)


def _status(plan: Plan, shift: _Shift, open_dues: list[float]) -> Status:
    if not plan.rates:
        return Status.IDLE
    if shift.broken_until is not None:
        return Status.BROKEN
    return Status.RUNNING if open_dues else Status.FULL


def _interval(plan: Plan, sku: str) -> float:
    """Seconds from one whole batch of the product to the next."""
    return plan.batch(sku) / plan.rates[sku]


def chances(seed: int, code: str, line: int) -> Callable[[int], float]:
    """The random numbers of one line: the n-th depends on nothing but the seed, the manufacturer, the line and n (N3)."""

    def chance(attempt: int) -> float:
        digest = hashlib.blake2b(f"{seed}/{code}/{line}/{attempt}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    return chance


def share_out(rates: Mapping[str, float], lines: int) -> list[dict[str, float]]:
    """Which line makes which product: in turn, each product on one line; what is not made (rate 0) on none."""
    shares: list[dict[str, float]] = [{} for _ in range(lines)]
    for number, (sku, rate) in enumerate((sku, rate) for sku, rate in rates.items() if rate > 0):
        shares[number % lines][sku] = rate
    return shares
