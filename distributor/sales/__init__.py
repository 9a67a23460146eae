"""Sales: a purchase, from a customer's request to one committed order, charge and set of events.

Promises: P1 with every strategy but ``naive``; P2 and P3 by idempotency keys whose answers are stored, refusals included.
"""

from distributor.sales.contention import Contention
from distributor.sales.place import Asked, Sales, Unsettled
from distributor.sales.rules import Answer
from distributor.strategies.contract import Line

__all__ = ["Answer", "Asked", "Contention", "Line", "Sales", "Unsettled"]
