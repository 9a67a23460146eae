"""The sales gate: how the end of a month waits for the purchases that are under way, and no purchase slips past it.

G1  A purchase enters the gate (shared) before it reads the month's state, and leaves it with its transaction's end.
G2  The leader closes the gate (exclusive) in the very transaction that sets a month to ``closing``. So when that
    transaction has committed, every purchase of the month has committed or failed, and later ones read ``closing``.
G3  PostgreSQL queues lock requests in order: purchases that come after a waiting leader wait behind it, so that a
    busy shop cannot keep a month open. Both waits are bounded by ``lock_timeout``.

Called by sales (ENTER) and by the leader (close_gate). Both locks end with the transaction: a crash releases them.
"""

from sqlalchemy import Connection, text

SALES_GATE = 0x4344_5301  # "CDS" and a number; advisory lock ids are shared by the whole database
"""Advisory lock id of the gate."""

ENTER = "SELECT pg_advisory_xact_lock_shared(%(gate)s)", {"gate": SALES_GATE}
"""Take part in the sale until the transaction ends (G1); waits while a month is being closed."""
_CLOSE = text("SELECT pg_advisory_xact_lock(:gate)")


def close_gate(connection: Connection) -> None:
    """Wait until every purchase under way has ended, and hold new ones back until the transaction ends (G2)."""
    connection.execute(_CLOSE, {"gate": SALES_GATE})
