"""How units become held, or held for longer: a customer's row, the cart line, the stock row, then the judgement (H3, H7).

Why not one conditional UPDATE with a subquery over the carts in its WHERE: after waiting for a row PostgreSQL evaluates
the WHERE again on the row's newest version, but the subquery still with the statement's old snapshot, in which the hold
that it waited for does not exist. tests/races/test_holds_contention.py shows the last unit held twice by it.
"""

from sqlalchemy import Connection, text

from distributor.errors import HoldRefused, NotEnoughStock, UnknownCustomer, UnknownStock
from distributor.holds.arithmetic import Grant, HeldLine, grant_again, grant_by_change, shortages
from distributor.holds.standing import standings
from distributor.strategies.contract import Line
from settings.model import Cart as Limits

# NO KEY: inserts of orders and cart lines take FOR KEY SHARE on the same row and need not wait.
_LOCK_CUSTOMER = text("SELECT FROM customer WHERE id = :customer_id AND deleted_at IS NULL FOR NO KEY UPDATE")

_LINE = text("""
    SELECT line.quantity, line.holds_begun,
           CASE WHEN line.held_until > statement_timestamp() THEN line.held ELSE 0 END AS held,
           count(other.stock_id) AS other_lines, CAST(coalesce(sum(other.held), 0) AS bigint) AS other_units
    FROM cart_line AS line
    LEFT JOIN cart_line AS other
      ON other.customer_id = line.customer_id AND other.stock_id <> line.stock_id
     AND other.held > 0 AND other.held_until > statement_timestamp()
    WHERE line.customer_id = :customer_id AND line.stock_id = :stock_id
    GROUP BY line.customer_id, line.stock_id
""")

_LOCK_LINE = text("SELECT FROM cart_line WHERE customer_id = :customer_id AND stock_id = :stock_id FOR UPDATE")

# A real write: a purchase whose snapshot is older than this commit conflicts at its own write of the row (H3).
_WRITE_STOCK = text("UPDATE stock SET holds_made = holds_made + 1 WHERE id = :stock_id")

_HOLD = text("""
    UPDATE cart_line
    SET held = :units, holds_begun = holds_begun + CAST(:begins AS integer),
        held_until = CASE WHEN :units = 0 THEN NULL
                          WHEN :begins THEN clock_timestamp() + make_interval(secs => :seconds) ELSE held_until END
    WHERE customer_id = :customer_id AND stock_id = :stock_id
""")

Identity = dict[str, int]
"""Of a cart line: customer_id and stock_id."""


def lock_customer(connection: Connection, customer_id: int) -> None:
    """One tab of a customer after the other, so that limits are exact; raises UnknownCustomer."""
    if connection.execute(_LOCK_CUSTOMER, {"customer_id": customer_id}).first() is None:
        raise UnknownCustomer


def hold_line(connection: Connection, customer_id: int, stock_id: int, limits: Limits) -> None:
    """Hold a line of this transaction as far as the limits allow (A2, A3); the caller has locked customer and line.

    Raises NotEnoughStock if the customer cannot have the whole line, held or not; then the transaction is to be given up.
    """
    identity = {"customer_id": customer_id, "stock_id": stock_id}
    line = _line(connection, identity)
    _settle(connection, identity, line, grant_by_change(line, limits), limits.hold_seconds)


def hold_again(connection: Connection, customer_id: int, stock_id: int, limits: Limits) -> None:
    """Begin the line's time anew, whether it has run out or not.

    Raises HoldRefused (a limit of the section ``cart``), NotEnoughStock or UnknownStock (not in the cart).
    """
    if not limits.hold_seconds:
        raise HoldRefused("off")
    lock_customer(connection, customer_id)
    identity = {"customer_id": customer_id, "stock_id": stock_id}
    if connection.execute(_LOCK_LINE, identity).first() is None:
        raise UnknownStock
    line = _line(connection, identity)
    _settle(connection, identity, line, grant_again(line, limits), limits.hold_seconds)


def _line(connection: Connection, identity: Identity) -> HeldLine:
    row = connection.execute(_LINE, identity).one()
    return HeldLine(row.quantity, row.held, row.holds_begun, row.other_lines, row.other_units)


def _settle(connection: Connection, identity: Identity, line: HeldLine, grant: Grant, seconds: int) -> None:
    customer_id, stock_id = identity["customer_id"], identity["stock_id"]
    if grant.begins or grant.units > line.held:
        connection.execute(_WRITE_STOCK, {"stock_id": stock_id})
    elif line.quantity <= line.held:
        return  # nothing new is held: less of a line, or the same of it
    wanted = [Line(stock_id, line.quantity)]
    short = shortages(standings(connection, [stock_id], [customer_id]), customer_id, wanted)
    if short:
        raise NotEnoughStock(short)
    connection.execute(_HOLD, {**identity, "units": grant.units, "begins": grant.begins, "seconds": seconds})
