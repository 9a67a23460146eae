"""Events from the distributor: recorded and applied in the caller's transaction, each once (L5).

The effects commute: a sale may come before the offer is accepted, after the month was closed, or for a month in which
this manufacturer offered nothing (goods are carried over). So nothing here depends on what came before, except that an
event id, and a month's close, are taken once. Whether the sums agree is for the report to say, not for the inbox.
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


def _record_close(connection: sqlite3.Connection, event: Event, closed: MonthClosed) -> None:
    known = connection.execute("SELECT event_id FROM month_closed WHERE month = ?", (closed.month,)).fetchone()
    if known:
        msg = f"month {closed.month} was closed before, by event {known[0]}"
        raise EventRefused(msg)
    connection.execute(
        "INSERT INTO month_closed (month, reason, event_id) VALUES (?, ?, ?)",
        (closed.month, closed.reason, str(event.id)),
    )
    connection.executemany(
        "INSERT INTO month_total (month, sku, supplied, sold, unsold) VALUES (?, ?, ?, ?, ?)",
        [(closed.month, total.sku, total.supplied, total.sold, total.unsold) for total in closed.totals],
    )
