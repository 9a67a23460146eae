"""Marks: what checks and figures are worth. Pure.

M1  Every mark is 0 to 100 points; it passes from `PASS_POINTS` on, correctness only with all 100: a shop that is wrong
    once in a hundred sales is wrong.
M2  Speed and waiting are ratios to `row_lock`, measured in the same run on the same database: as good as row_lock is
    `LEVEL_POINTS`, twice as bad half of that. `naive`, which protects nothing, shows what safety costs: as good as naive
    (or a quarter better than row_lock, whichever is more) is 100.
M3  The total weighs them; the verdict does not: each mark has to pass by itself, so no speed makes up for a wrong sale.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grading.checks import Check

WEIGHTS = {"correctness": 50, "throughput": 15, "p99": 10, "fairness": 15, "deadlocks": 10}
PASS_POINTS = 40.0
LEVEL_POINTS = 80.0
TOP_RATIO_MIN = 1.25
DEADLOCK_SHARE_ZERO = 0.1  # of purchases that were a deadlock's victim: no points from here on; chosen
WAIT_RATIO_TOLERATED = 2.0  # large baskets may wait so much longer, beside small ones, than row_lock's do; chosen

Figures = Mapping[str, Any]
"""Of one strategy in one round: figures by load (measuring.py)."""


@dataclass(frozen=True)
class Mark:
    """``points`` None: could not be measured. ``told``: the figures behind it, in a sentence."""

    name: str
    points: float | None
    passed: bool
    told: str


@dataclass(frozen=True)
class Rounds:
    """Figures of the same rounds: of the strategy, of row_lock, of naive, in this order in each list."""

    own: Sequence[Figures]
    row_lock: Sequence[Figures]
    naive: Sequence[Figures]


def marks(checks: Sequence[Check], rounds: Rounds, deadlocks: int, purchases: int) -> list[Mark]:
    """All of them, in the order of `WEIGHTS`. ``deadlocks``: victims among ``purchases`` that could have been one."""
    found = [_correctness(checks)]
    if rounds.own and len(rounds.own) == len(rounds.row_lock) == len(rounds.naive):
        found += [_throughput(rounds), _p99(rounds), _fairness(rounds)]
    else:
        found += [Mark(name, None, passed=False, told="not measured") for name in ("throughput", "p99", "fairness")]
    return [*found, _deadlocks(deadlocks, purchases)]


def total(found: Sequence[Mark]) -> float:
    """0 to 100, by the weights; what could not be measured gives no points (M3)."""
    return sum(WEIGHTS[mark.name] * (mark.points or 0.0) for mark in found) / sum(WEIGHTS.values())


def _mark(name: str, points: float, told: str) -> Mark:
    points = round(min(100.0, max(0.0, points)), 1)
    return Mark(name, points, points >= PASS_POINTS, told)


def _correctness(checks: Sequence[Check]) -> Mark:
    held = sum(check.passed for check in checks)
    points = 100.0 * held / len(checks) if checks else 0.0
    passed = bool(checks) and held == len(checks)
    rounded = 100.0 if passed else min(99.0, round(points, 1))
    return Mark("correctness", rounded, passed, f"{held} of {len(checks)} checks hold")


def points_of(ratio: float, naive_ratio: float) -> float:
    """M2. ``ratio``: how many times as good as row_lock; ``naive_ratio``: the same of naive."""
    if ratio <= 1:
        return LEVEL_POINTS * ratio
    top = max(naive_ratio, TOP_RATIO_MIN)
    return LEVEL_POINTS + (100 - LEVEL_POINTS) * (ratio - 1) / (top - 1)


def _throughput(rounds: Rounds) -> Mark:
    def rate(figures: Figures) -> float:
        """Geometric mean of the two loads, so that both weigh the same whatever their height."""
        return float((figures["hot"]["per_second"] * figures["spread"]["per_second"]) ** 0.5)

    ratio, naive = _ratios(rounds, rate)
    hot = statistics.median(figures["hot"]["per_second"] for figures in rounds.own)
    spread = statistics.median(figures["spread"]["per_second"] for figures in rounds.own)
    told = f"{ratio:.2f} times row_lock's (naive {naive:.2f}): {hot:.0f}/s on one good, {spread:.0f}/s on many"
    return _mark("throughput", points_of(ratio, naive), told)


def _p99(rounds: Rounds) -> Mark:
    def swiftness(figures: Figures) -> float:
        wait = float(figures["hot"]["p99_ms"])
        return 1 / wait if wait else 0.0

    ratio, naive = _ratios(rounds, swiftness)
    wait = statistics.median(figures["hot"]["p99_ms"] for figures in rounds.own)
    told = f"row_lock's is {ratio:.2f} times as long (naive {naive:.2f}): {wait:.0f} ms on one good"
    return _mark("p99", points_of(ratio, naive), told)


def _ratios(rounds: Rounds, value: Any) -> tuple[float, float]:
    """Medians over the rounds of the strategy's and naive's value per row_lock's of the same round."""
    bases = [value(figures) or 1e-9 for figures in rounds.row_lock]
    own = statistics.median(value(figures) / base for figures, base in zip(rounds.own, bases, strict=True))
    naive = statistics.median(value(figures) / base for figures, base in zip(rounds.naive, bases, strict=True))
    return own, naive


def _fairness(rounds: Rounds) -> Mark:
    """How evenly customers were served, and whether large baskets starve, each beside row_lock's."""
    even, row_lock_even = _median(rounds.own, _evenness), _median(rounds.row_lock, _evenness)
    large, small = _median(rounds.own, _large_share), _median(rounds.own, _small_share)
    wait, row_lock_wait = _median(rounds.own, _wait_ratio), _median(rounds.row_lock, _wait_ratio)
    share = min(1.0, large / small) if small else 0.0
    patience = min(1.0, WAIT_RATIO_TOLERATED * row_lock_wait / wait) if wait else 0.0
    points = 100 * min(1.0, even / row_lock_even if row_lock_even else 1.0) * share * patience
    told = (
        f"evenness {even:.2f} (row_lock {row_lock_even:.2f}); {100 * large:.0f} % of large baskets sold, {100 * small:.0f} % of "
        f"small ones; large ones wait {wait:.1f} times as long (row_lock {row_lock_wait:.1f})"
    )
    return _mark("fairness", points, told)


def _median(rounds: Sequence[Figures], value: Any) -> float:
    return float(statistics.median(value(figures) for figures in rounds))


def _evenness(figures: Figures) -> float:
    return float(figures["hot"]["evenness"])


def _large_share(figures: Figures) -> float:
    return float(figures["mixed"]["large_sold_share"] or 0)


def _small_share(figures: Figures) -> float:
    return float(figures["mixed"]["small_sold_share"] or 0)


def _wait_ratio(figures: Figures) -> float:
    return float(figures["mixed"]["large_wait_ratio"] or 0)


def _deadlocks(victims: int, purchases: int) -> Mark:
    if not purchases:
        return Mark("deadlocks", None, passed=False, told="not tried")
    share = victims / purchases
    told = f"{victims} deadlock(s) in {purchases} purchases of overlapping baskets"
    return _mark("deadlocks", 100 * (1 - share / DEADLOCK_SHARE_ZERO), told)
