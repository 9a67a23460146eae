"""Retention: what has served its purpose leaves the database after a time, without a lock on any purchase's way.

R1  Only what nobody needs any more goes: events that the broker confirmed, answers of refused keys, notes about months
    long closed. Orders, their lines and charges stay, and so does the answer of every key that bought: as long as there
    is the order, its key can buy nothing else (T3).
R2  ``pruned.up_to`` tells for each kind what is gone: everything older. What may still be there lies after it, so a turn
    reads only what has come of age since the last one, however large the table is.
R3  An unconfirmed event stops the mark of its kind: nothing that has not reached the broker is ever behind it.
R4  One prunes at a time, in transactions of ``batch_rows`` rows at most, of which no purchase waits for a single one.
"""

from distributor.retention.kinds import Kind, kinds
from distributor.retention.pruner import Pruner
from distributor.retention.pruning import prune

__all__ = ["Kind", "Pruner", "kinds", "prune"]
