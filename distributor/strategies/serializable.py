"""serializable: write the beginner's code, and let the database refuse whatever is not as if one after the other.

Idea        The statements of naive, under SERIALIZABLE. PostgreSQL notices that a row was changed since the snapshot,
            or that reads and writes of several transactions form a circle (SSI), and fails one of them.
SQL         BEGIN ISOLATION LEVEL SERIALIZABLE
            SELECT … FROM stock … WHERE id = ANY(:ids)                          (no lock)
            UPDATE stock SET sold = :value_read + quantity FROM unnest(:ids, :values)
Contention  SQLSTATE 40001, at the UPDATE after waiting for the first one's commit, or as late as at COMMIT: only the
            whole transaction can be repeated. Much of the work on a hot row is thrown away; some run out of attempts.
Deadlocks   Possible, since one UPDATE locks its rows in no promised order; repeated like any conflict.
Cost        Predicate locks on everything that was read, on tables' pages where a plan scans: purchases that have no
            row in common can fail each other (false positives).
Anomaly     None, by definition, as long as every transaction that matters is SERIALIZABLE. The gather is not: it only
            adds, and an UPDATE of a row that it changed since our snapshot fails as well.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from distributor.strategies.contract import (
    DEADLOCK_DETECTED,
    SERIALIZATION_FAILURE,
    IsolationLevel,
    Line,
    Short,
    Taken,
)
from distributor.strategies.naive import read_then_write


class Serializable:
    """SELECT, then UPDATE with the value that was read; PostgreSQL fails what could not have happened in turn."""

    name = "serializable"
    isolation: IsolationLevel = "SERIALIZABLE"
    retry_on = frozenset({SERIALIZATION_FAILURE, DEADLOCK_DETECTED})
    groups_max = 1

    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> list[Taken | Short]:
        return [read_then_write(connection, lines) for lines in baskets]
