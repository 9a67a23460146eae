"""Counts of purchases for /metrics; labels are few and fixed."""

from prometheus_client import Counter, Histogram

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
    outcome = "replayed" if answer.replayed else answer.body.get("reason", "sold")
    SECONDS.labels(outcome).observe(seconds)
    met = answer.contention
    if met is not None:
        WAITS.labels(met.strategy, "process").observe(met.queued_seconds)
        WAITS.labels(met.strategy, "database").observe(met.lock_seconds)


def observe_error(error: Exception, seconds: float) -> None:
    SECONDS.labels(type(error).__name__).observe(seconds)


def observe_group(purchases: int) -> None:
    GROUP.observe(purchases)
