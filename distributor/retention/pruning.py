"""One batch of pruning, in the transaction of the caller."""

import datetime as dt

from sqlalchemy import Connection, text

from distributor.retention.kinds import Kind

PRUNE_LOCK = 0x4344_5304  # beside distributor.months.gate.SALES_GATE and distributor.migrate.MIGRATION_LOCK

_ALONE = text("SELECT pg_try_advisory_xact_lock(:lock)")

_SPAN = text("""
    SELECT coalesce((SELECT up_to FROM pruned WHERE kind = :kind), '-infinity'::timestamptz)::text AS up_to,
           (clock_timestamp() - make_interval(secs => :seconds)) AS before
""")

# A LIMIT makes a scan of the whole table look cheap wherever old rows seem to be many; the summary of their ages never is.
_BY_AGE = text("SET LOCAL enable_seqscan = off")

_NOTE = text("""
    INSERT INTO pruned (kind, up_to, rows) VALUES (:kind, CAST(:up_to AS timestamptz), :rows)
    ON CONFLICT (kind) DO UPDATE
    SET up_to = greatest(pruned.up_to, excluded.up_to), rows = pruned.rows + excluded.rows
""")


def prune(connection: Connection, kind: Kind, batch_rows: int) -> int | None:
    """Delete up to ``batch_rows`` rows that are old enough; how many, None if another process prunes now (R4).

    Fewer than ``batch_rows``: the kind is done for now, and ``pruned.up_to`` says so (R2).
    """
    if not connection.scalar(_ALONE, {"lock": PRUNE_LOCK}):
        return None
    up_to, before = connection.execute(_SPAN, {"kind": kind.name, "seconds": kind.hours * 3_600}).one()
    bound: dt.datetime | None = connection.scalar(kind.bound) if kind.bound is not None else None
    if bound is not None:
        before = min(before, bound)
    connection.execute(_BY_AGE)
    deleted = connection.execute(kind.delete, {"up_to": up_to, "before": before, "rows": batch_rows}).rowcount
    finished = deleted < batch_rows
    connection.execute(_NOTE, {"kind": kind.name, "up_to": before if finished else up_to, "rows": deleted})
    return deleted
