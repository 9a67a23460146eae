"""Counters against the rows that they count: the report, and the repair of those that a person asks to have repaired.

Counters are written in the transaction of the rows that they count, so a difference means that somebody changed the
database by hand, restored half of it, or that a strategy lost an update (``naive`` does).

R1  What is compared is read by one statement, so in one snapshot: purchases that are under way make no difference.
R2  Rows are the truth, for each is an order or a delivery of its own. Rows are never changed, and money is never repaired:
    a charge that differs from its order is for a person to settle.
R3  A stock row is counted again under its lock before it is repaired, so that what was sold since the report counts, too.
R4  A repair that would leave less than nothing is not made (T1): more was sold than there was, and a person must decide
    who does without.
"""
