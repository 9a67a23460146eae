"""The months as people and programs look at them, and the one thing that they may do to one: ask to close it."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

MONTHS_SHOWN_MAX = 200  # the newest; a page of the simulation's table

_MONTHS = text(
    """
    SELECT month.number, month.state, month.reason, month.gathering_at, month.opened_at, month.closed_at, month.ends_at,
           month.close_requested,
           coalesce((
               SELECT jsonb_agg(jsonb_build_object(
                   'manufacturer', manufacturer.code, 'name', manufacturer.name,
                   'outcome', coalesce(attempt.outcome, CASE WHEN supply.id IS NOT NULL THEN 'booked' END),
                   'reason', attempt.reason, 'attempts', coalesce(attempt.attempts, 0),
                   'accepted', supply.accepted_at IS NOT NULL, 'refused', supply.refused_at IS NOT NULL,
                   'lines', coalesce(line.lines, 0), 'units', coalesce(line.units, 0),
                   'withdrawn', coalesce(line.withdrawn, 0)
               ) ORDER BY manufacturer.id)
               FROM manufacturer
               LEFT JOIN supply ON supply.manufacturer_id = manufacturer.id AND supply.month = month.number
               LEFT JOIN gather_attempt AS attempt
                 ON attempt.manufacturer_id = manufacturer.id AND attempt.month = month.number
               LEFT JOIN LATERAL (
                   SELECT count(*) AS lines, sum(quantity) AS units, sum(withdrawn) AS withdrawn
                   FROM supply_line WHERE supply_line.supply_id = supply.id
               ) AS line ON true
               WHERE supply.id IS NOT NULL OR attempt.manufacturer_id IS NOT NULL
           ), '[]'::jsonb) AS supplies
    FROM (SELECT * FROM month ORDER BY number DESC LIMIT :limit) AS month
    ORDER BY month.number
    """
)

_REQUEST_CLOSE = text("UPDATE month SET close_requested = true WHERE state IN ('gathering', 'open') RETURNING number")


def months(connection: Connection) -> list[dict[str, Any]]:
    """The newest months in order, each with what every manufacturer supplied and how the gather went."""
    times = ("gathering_at", "opened_at", "closed_at", "ends_at")
    return [
        {name: _rfc3339(value) if name in times else value for name, value in row.items()}
        for row in connection.execute(_MONTHS, {"limit": MONTHS_SHOWN_MAX}).mappings()
    ]


def request_close(connection: Connection) -> int | None:
    """Ask the leader to close the month that is open or about to open; its number, or None if there is none."""
    number: int | None = connection.scalar(_REQUEST_CLOSE)
    return number


def _rfc3339(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
