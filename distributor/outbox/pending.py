"""The outbox table as a queue: claim, mark, give back.

P1  A row is claimed by one relay at a time, for as long as the lease; a relay that dies leaves it to the next one.
P2  ``published_at`` is set only by ``mark_published``, which the relay calls only for what the broker confirmed.
P3  Nothing is ever deleted here, and no row is skipped for good: one that fails is tried again, later each time.
P4  What is claimed at once has at most CLAIM_BYTES_MAX of JSON and one event more: the totals of a month with 10,000 products are
    1 MB for each manufacturer, and ten times that as Python's objects.

No watermark (``id > last``): ids are given out before the commit, so a later commit may have a smaller id.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from broker.contract import Message

RETRY_FIRST_SECONDS = 1.0
RETRY_SECONDS_MAX = 60.0  # a queue that was declared again gets its messages within a minute
ERROR_CHARACTERS_MAX = 500
CLAIM_BYTES_MAX = 4_000_000  # chosen: some 40 MB of objects in the relay; 10,000 sales of one line


@dataclass(frozen=True)
class Claimed:
    """An event that this relay may publish until its lease ends; ``attempts`` failed before."""

    row_id: int
    attempts: int
    message: Message


# SKIP LOCKED on a single table, in a materialised step: neither joined nor evaluated twice, so no row is handed out
# twice and never more than :limit. claimed_until is both the lease and the pause after a failure. The oldest is handed out
# however large it is (P4).
_CLAIM = text(
    """
    WITH due AS MATERIALIZED (
        SELECT id, octet_length(body::text) AS bytes FROM outbox
        WHERE published_at IS NULL AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
        ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    ), measured AS (
        SELECT id, sum(bytes) OVER (ORDER BY id) - bytes AS bytes_before FROM due
    )
    UPDATE outbox SET claimed_until = clock_timestamp() + make_interval(secs => :lease_seconds)
    FROM measured WHERE outbox.id = measured.id AND measured.bytes_before < :bytes
    RETURNING outbox.id, outbox.attempts, outbox.event_id, outbox.type, outbox.manufacturer, outbox.body
    """
)

_PUBLISHED = text(
    """
    UPDATE outbox SET published_at = clock_timestamp(), claimed_until = NULL, last_error = NULL
    WHERE id = ANY(:ids) AND published_at IS NULL
    """
)

_FAILED = text(
    """
    UPDATE outbox SET attempts = attempts + 1, last_error = failed.error,
                      claimed_until = clock_timestamp() + make_interval(secs => failed.pause_seconds)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:errors AS text[]), CAST(:pauses AS double precision[]))
         AS failed (id, error, pause_seconds)
    WHERE outbox.id = failed.id AND outbox.published_at IS NULL
    """
)


@dataclass(frozen=True)
class Failure:
    """Why a claimed event was not confirmed, and when to try again."""

    row_id: int
    error: str
    pause_seconds: float


def claim(connection: Connection, limit: int, lease_seconds: float) -> list[Claimed]:
    """The oldest events that are due, at most ``limit``, in the order in which they were written (P1, P4)."""
    values = {"limit": limit, "lease_seconds": lease_seconds, "bytes": CLAIM_BYTES_MAX}
    rows = connection.execute(_CLAIM, values).all()
    return [
        Claimed(row.id, row.attempts, Message(_uuid(row.event_id), row.type, row.manufacturer, row.body))
        for row in sorted(rows, key=lambda row: row.id)
    ]


def mark_published(connection: Connection, row_ids: Sequence[int]) -> None:
    """The broker has confirmed these (P2)."""
    connection.execute(_PUBLISHED, {"ids": list(row_ids)})


def mark_failed(connection: Connection, failures: Sequence[Failure]) -> None:
    """Not confirmed; due again after each one's pause (P3)."""
    connection.execute(
        _FAILED,
        {
            "ids": [failure.row_id for failure in failures],
            "errors": [failure.error[:ERROR_CHARACTERS_MAX] for failure in failures],
            "pauses": [failure.pause_seconds for failure in failures],
        },
    )


def pause_seconds(attempts: int) -> float:
    """Before an event that failed ``attempts`` (>= 1) times is tried again."""
    pause: float = min(RETRY_FIRST_SECONDS * 2.0 ** min(attempts - 1, 16), RETRY_SECONDS_MAX)
    return pause


def unpublished(connection: Connection) -> int:
    """How many events still have to reach the broker."""
    count: int = connection.scalar(text("SELECT count(*) FROM outbox WHERE published_at IS NULL")) or 0
    return count


def _uuid(value: object) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))
