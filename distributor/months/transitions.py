"""The months in the database: what is known, and each transition as one conditional statement.

Every function works within the caller's transaction and answers whether the transition took place; False means that
the month was not in the expected state any more, so a second leader can repeat anything without harm.

    (none) -> gathering  begin        open -> closing    close
    gathering -> open    open_sale    closing -> closed  settle
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from distributor.errors import DistributorError
from distributor.months.calendar import Calendar
from distributor.months.decisions import Begin, Close, CurrentMonth, Facts, Rules, State, decide, may_close_early
from distributor.months.gate import close_gate

_TICK = text(
    """
    SELECT clock_timestamp() AS now, calendar.epoch, calendar.month_seconds,
           month.number, month.state, month.gathering_at, month.opened_at, month.ends_at, month.close_requested
    FROM calendar LEFT JOIN (SELECT * FROM month ORDER BY number DESC LIMIT 1) AS month ON true
    """
)

# Depleted: at least one supply was booked ever, and no unit is left. The row that had units a tick ago is looked at
# first, for finding another one may take a scan of all that is sold out. Finished: the sessions decide who is present.
_EARLY = text(
    """
    WITH left_over AS (
        SELECT coalesce(
            (SELECT id FROM stock WHERE id = :hint AND supplied - withdrawn - sold > 0),
            (SELECT id FROM stock WHERE supplied - withdrawn - sold > 0 LIMIT 1)
        ) AS stock_id
    )
    SELECT stock_id, stock_id IS NULL AND EXISTS (SELECT FROM supply) AS depleted,
           EXISTS (SELECT FROM customer_session WHERE expires_at > clock_timestamp())
           AND NOT EXISTS (
               SELECT FROM customer_session AS session
               WHERE expires_at > clock_timestamp() AND NOT EXISTS (
                   SELECT FROM finished_customer AS finished
                   WHERE finished.customer_id = session.customer_id AND finished.month = :month
               )
           ) AS finished
    FROM left_over
    """
)

_BEGIN = text(
    """
    INSERT INTO month (number, state, ends_at)
    SELECT :number, 'gathering', :ends_at
    WHERE (SELECT coalesce(max(number), 0) FROM month) = :number - 1
      AND NOT EXISTS (SELECT FROM month WHERE state <> 'closed')
    ON CONFLICT DO NOTHING
    """
)

_OPEN = text(
    "UPDATE month SET state = 'open', opened_at = clock_timestamp() WHERE number = :number AND state = 'gathering'"
)

_LOCK_MONTH = text("SELECT FROM month WHERE number = :number FOR NO KEY UPDATE")

_CLOSE = text(
    "UPDATE month SET state = 'closing', reason = :reason, closing_at = clock_timestamp()"
    " WHERE number = :number AND state = 'open'"
)

_SETTLE = text(
    """
    UPDATE month SET state = 'closed', closed_at = clock_timestamp() WHERE number = :number AND state = 'closing'
    RETURNING closed_at
    """
)


def prepare(connection: Connection, codes: Sequence[str], length: timedelta) -> None:
    """Make the manufacturers known, and the calendar one of months of this length."""
    connection.execute(
        text(
            "INSERT INTO manufacturer (code, name) SELECT code, code FROM unnest(CAST(:codes AS text[])) AS code"
            " WHERE NOT EXISTS (SELECT FROM manufacturer AS known WHERE known.code = code.code)"
            " ON CONFLICT (code) DO NOTHING"
        ),
        {"codes": list(codes)},
    )
    connection.execute(
        text(
            "INSERT INTO calendar (id, epoch, month_seconds) VALUES (1, clock_timestamp(), :seconds)"
            " ON CONFLICT (id) DO NOTHING"
        ),
        {"seconds": length.total_seconds()},
    )
    facts = look(connection)
    if facts.calendar.length != length:
        _change_length(connection, facts, length)


def _change_length(connection: Connection, facts: Facts, length: timedelta) -> None:
    """config.yml says another month length than at the last start: no month is skipped or repeated by that."""
    try:
        calendar = facts.calendar.with_length(length, facts.now)
    except OverflowError as error:
        message = f"simulation.month_seconds: with {length} a month, month 1 would lie before the year 1; choose less"
        raise DistributorError(message) from error
    _store(connection, calendar)
    if facts.month is not None:
        connection.execute(
            text("UPDATE month SET ends_at = :ends_at WHERE number = :number AND state IN ('gathering', 'open')"),
            {"number": facts.month.number, "ends_at": calendar.end(facts.month.number)},
        )


def look(connection: Connection) -> Facts:
    """What one tick needs to know; ``depleted`` and ``finished`` are not looked up (see ``look_closely``)."""
    row = connection.execute(_TICK).one()
    month = None
    if row.number is not None:
        month = CurrentMonth(
            row.number, State(row.state), row.gathering_at, row.opened_at, row.ends_at, row.close_requested
        )
    calendar = Calendar(row.epoch, timedelta(seconds=row.month_seconds))
    return Facts(row.now, calendar, month, depleted=False, finished=False, left_over=None)


def look_closely(connection: Connection, rules: Rules, hint: int | None) -> Facts:
    """``look``, and whether the month is sold out or everybody is done, if the month is old enough for that."""
    facts = look(connection)
    if facts.month is None or not may_close_early(facts.month, facts.now, rules):
        return facts
    row = connection.execute(_EARLY, {"hint": hint, "month": facts.month.number}).one()
    return Facts(
        facts.now, facts.calendar, facts.month, depleted=row.depleted, finished=row.finished, left_over=row.stock_id
    )


def begin(connection: Connection, step: Begin) -> bool:
    return _changed(connection, _BEGIN, number=step.number, ends_at=step.ends_at)


def open_sale(connection: Connection, number: int) -> bool:
    return _changed(connection, _OPEN, number=number)


def close(connection: Connection, number: int, rules: Rules) -> Close | None:
    """Stop the sale for good, if there is still a reason to: decided anew behind the gate, where nobody buys or books.

    A gather may have brought new goods since the tick. Bookings hold the month's row, purchases the gate.
    """
    close_gate(connection)
    connection.execute(_LOCK_MONTH, {"number": number})
    step = decide(look_closely(connection, rules, None), rules, gathered=True)
    if not isinstance(step, Close) or step.number != number:
        return None
    return step if _changed(connection, _CLOSE, number=number, reason=step.reason.value) else None


def settle(connection: Connection, number: int) -> bool:
    """End the month and, after an early end, jump the calendar. What it came to is told beside the next one (totals.py)."""
    closed_at: datetime | None = connection.execute(_SETTLE, {"number": number}).scalar()
    if closed_at is None:
        return False
    _store(connection, look(connection).calendar.jump_after(number, closed_at))
    return True


def _store(connection: Connection, calendar: Calendar) -> None:
    connection.execute(
        text("UPDATE calendar SET epoch = :epoch, month_seconds = :seconds"),
        {"epoch": calendar.epoch, "seconds": calendar.length.total_seconds()},
    )


def _changed(connection: Connection, statement: Any, **values: Any) -> bool:
    return bool(connection.execute(statement, values).rowcount)
