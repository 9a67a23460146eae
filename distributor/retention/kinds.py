"""What is pruned, and how its rows of an age are found. Each statement deletes at most ``:rows`` rows of [:up_to, :before)."""

from dataclasses import dataclass

from sqlalchemy import TextClause, text

from distributor.sales.rules import STATUS_SOLD
from settings.model import Retention

# Ids are given out in the order of creation, give or take the moments between two writers: hence the minute (R3).
_OLDEST_UNCONFIRMED = text("""
    SELECT created_at - interval '1 minute' FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT 1
""")

_EVENTS = text("""
    DELETE FROM outbox WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM outbox WHERE created_at >= :up_to AND created_at < :before AND published_at IS NOT NULL LIMIT :rows))
""")

_REFUSALS = text(f"""
    DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM idempotency_key
        WHERE created_at >= :up_to AND created_at < :before AND status <> {STATUS_SOLD} LIMIT :rows))
""")  # noqa: S608 - a number of ours

_ATTEMPTS = text("""
    DELETE FROM gather_attempt WHERE ctid = ANY (ARRAY(
        SELECT note.ctid FROM gather_attempt AS note JOIN month ON month.number = note.month
        WHERE month.closed_at >= :up_to AND month.closed_at < :before LIMIT :rows))
""")

_FINISHED = text("""
    DELETE FROM finished_customer WHERE ctid = ANY (ARRAY(
        SELECT note.ctid FROM finished_customer AS note JOIN month ON month.number = note.month
        WHERE month.closed_at >= :up_to AND month.closed_at < :before LIMIT :rows))
""")


@dataclass(frozen=True)
class Kind:
    """Rows that are kept for ``hours`` (by the database's clock). ``bound``: a moment that pruning must stop at, if any."""

    name: str
    hours: float
    delete: TextClause
    bound: TextClause | None = None


def kinds(settings: Retention) -> tuple[Kind, ...]:
    """All that is pruned (R1)."""
    return (
        Kind("outbox", settings.events_hours, _EVENTS, _OLDEST_UNCONFIRMED),
        Kind("idempotency_key", settings.refusals_hours, _REFUSALS),
        Kind("gather_attempt", settings.months_hours, _ATTEMPTS),
        Kind("finished_customer", settings.months_hours, _FINISHED),
    )
