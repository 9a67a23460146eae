"""Events from the distributor: recorded and applied in the caller's transaction, each once (L5).

The effects commute: the parts of a month's end come in any order, and it counts when all are there; a sale may come before
the offer is accepted, after the month was closed, or for a month in which this manufacturer offered nothing (goods are
carried over). So nothing here depends on what came before, except that an event id, and each part of a month's end, are
taken once. Whether the sums agree is for the report to say, not for the inbox.
"""

import sqlite3

from manufacturers.ledger.values import Event, EventRefused, MonthClosed, Sale


def take_in(connection: sqlite3.Connection, event: Event, at: str) -> bool:
    """Record and apply the event; False if it was known already. Raises EventRefused if it contradicts a known one."""
    known = connection.execute("SELECT type, body_sha256 FROM event WHERE event_id = ?", (str(event.id),)).fetchone()
    if known:
        if known != (event.type, event.body_sha256):
            msg = f"event {event.id} was applied before with another content"
            raise EventRefused(msg)
        return False
    if isinstance(event.content, MonthClosed) and _is_known_part(connection, event, event.content):
        return False
    connection.execute(
        "INSERT INTO event (event_id, type, month, body, body_sha256, received_at) VALUES (?, ?, ?, ?, ?, ?)",
        (str(event.id), event.type, event.content.month, event.body, event.body_sha256, at),
    )
    if isinstance(event.content, Sale):
        _record_sale(connection, event, event.content)
    elif isinstance(event.content, MonthClosed):
        _record_close(connection, event, event.content)
    return True


def _record_sale(connection: sqlite3.Connection, event: Event, sale: Sale) -> None:
    connection.executemany(
        "INSERT INTO sale_line (event_id, order_id, month, sku, quantity, price_minor) VALUES (?, ?, ?, ?, ?, ?)",
        [(str(event.id), sale.order_id, sale.month, line.sku, line.quantity, line.price_minor) for line in sale.lines],
    )


def _is_known_part(connection: sqlite3.Connection, event: Event, closed: MonthClosed) -> bool:
    """Whether the same was told by another event; raises EventRefused if something else was."""
    what = f"part {closed.part} of the end of month {closed.month}"
    known = connection.execute(
        "SELECT event_id, content_sha256 FROM month_part WHERE month = ? AND part = ?", (closed.month, closed.part)
    ).fetchone()
    if known and known[1] == event.body_sha256:
        return True
    if known:
        msg = f"{what} was told before, by event {known[0]}, with another content"
        raise EventRefused(msg)
    complete = connection.execute("SELECT event_id FROM month_closed WHERE month = ?", (closed.month,)).fetchone()
    if complete:
        msg = f"month {closed.month} was closed before, by event {complete[0]}"
        raise EventRefused(msg)
    others = connection.execute("SELECT DISTINCT reason, parts FROM month_part WHERE month = ?", (closed.month,))
    for reason, parts in others:
        if (reason, parts) != (closed.reason, closed.parts):
            msg = f"{what}: it is one of {closed.parts}, {closed.reason}, but others are of {parts}, {reason}"
            raise EventRefused(msg)
    return False


def _record_close(connection: sqlite3.Connection, event: Event, closed: MonthClosed) -> None:
    """The part's totals; with the last part to come, whichever that is, the month is closed."""
    try:
        connection.executemany(
            "INSERT INTO month_total (month, sku, supplied, sold, unsold) VALUES (?, ?, ?, ?, ?)",
            [(closed.month, total.sku, total.supplied, total.sold, total.unsold) for total in closed.totals],
        )
    except sqlite3.IntegrityError as error:
        msg = f"part {closed.part} of the end of month {closed.month} has a product that another part has, too"
        raise EventRefused(msg) from error
    connection.execute(
        "INSERT INTO month_part (month, part, parts, reason, content_sha256, event_id) VALUES (?, ?, ?, ?, ?, ?)",
        (closed.month, closed.part, closed.parts, closed.reason, event.body_sha256, str(event.id)),
    )
    connection.execute(
        "INSERT INTO month_closed (month, reason, event_id)"
        " SELECT :month, :reason, :event WHERE (SELECT count(*) FROM month_part WHERE month = :month) = :parts",
        {"month": closed.month, "reason": closed.reason, "event": str(event.id), "parts": closed.parts},
    )
