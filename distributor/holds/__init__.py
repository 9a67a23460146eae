"""Timed holds: units of a cart line that are kept from other customers until a moment (``cart.hold_seconds``, 0 = off).

H1  A hold is ``held`` units of a cart line until ``held_until``. It counts while that lies after the database's clock at
    the beginning of the statement that asks (``statement_timestamp()``: after every wait for a lock, and one moment for
    all rows of a statement, which ``clock_timestamp()`` is not and ``now()``, the transaction's beginning, is neither).
    No process's own clock decides, and nothing has to run for a hold to end.
H2  The live holds of a stock row are never more than its ``available`` (supplied - withdrawn - sold).
H3  Units become held, or held for longer, only by a transaction that has written the stock row, and on the word of a
    statement begun after that write. The write is a lock, and for purchases with one snapshot (REPEATABLE READ and
    above) also a conflict, which a lock alone is not.
H4  A purchase leaves to others what they hold. It is judged after its strategy has written the rows that it took from,
    by a statement begun after that (the same words as H3), whatever the strategy does before.
H5  What a customer holds never stands in that customer's own way.
H6  What only ends a hold (its time, less of it, a purchase, leaving the cart) needs no lock on stock: it frees.
H7  Lock order: the customer's row, cart lines by (stock id, customer id), stock rows by id.
H8  With ``cart.hold_seconds`` 0 nothing here is called: not a statement and not a lock more.

What is held is not sold: months, manufacturers and ``stock.depleted`` know nothing of holds. Decision 15 says more.
"""

from distributor.holds.arithmetic import NOTHING, Standing
from distributor.holds.cutting import cut_to_fit, lock_holders
from distributor.holds.standing import standings
from distributor.holds.taking import hold_again, hold_line, lock_customer
from distributor.holds.tidying import Bought, tidy, use

__all__ = [
    "NOTHING",
    "Bought",
    "Standing",
    "cut_to_fit",
    "hold_again",
    "hold_line",
    "lock_customer",
    "lock_holders",
    "standings",
    "tidy",
    "use",
]
