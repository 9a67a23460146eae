"""Counts of purchases for /metrics; labels are few and fixed."""

from functools import cache

from prometheus_client import Counter, Histogram

from distributor.errors import DistributorError
from distributor.sales.contention import Contention
from distributor.sales.rules import Answer

REPEATS = Counter("cds_purchase_repeats", "Purchase transactions repeated, by SQLSTATE (or lost)", ["cause"])
SECONDS = Histogram(
    "cds_purchase_seconds",
    "Time of a purchase from request to outcome, repetitions included",
    ["outcome"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
WAITS = Histogram(
    "cds_purchase_wait_seconds",
    "Time of a purchase in the process's own queue, and for the statements that lock, over all its attempts",
    ["strategy", "queue"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
GROUP = Histogram(
    "cds_purchase_group_size",
    "Purchases committed in one transaction (strategies that sell in groups)",
    buckets=(1, 2, 4, 8, 16, 32, 64),
)


def count_repeat(cause: str) -> None:
    REPEATS.labels(cause).inc()


def observe_answer(answer: Answer, seconds: float) -> None:
    _seconds("replayed" if answer.replayed else str(answer.body.get("reason", "sold"))).observe(seconds)
    _observe_waits(answer.contention)


def observe_error(error: DistributorError, seconds: float) -> None:
    _seconds(type(error).__name__).observe(seconds)
    _observe_waits(error.contention)


def _observe_waits(met: Contention | None) -> None:
    if met is not None:
        in_process, in_database = _waits(met.strategy)
        in_process.observe(met.queued_seconds)
        in_database.observe(met.lock_seconds)


@cache
def _seconds(outcome: str) -> Histogram:
    """Finding it by its label costs more than counting."""
    return SECONDS.labels(outcome)


@cache
def _waits(strategy: str) -> tuple[Histogram, Histogram]:
    return WAITS.labels(strategy, "process"), WAITS.labels(strategy, "database")


def observe_group(purchases: int) -> None:
    GROUP.observe(purchases)
