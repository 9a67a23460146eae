"""Commits purchases: opens the transaction, repeats it after a conflict, settles what had to leave it.

A committer of batches (``group_commit``) needs only another way to collect purchases: ``commit_all`` takes any number.
"""

import logging
from collections.abc import Sequence

from sqlalchemy import Engine

from distributor.database import READ_COMMITTED, Retries, repeat, transaction
from distributor.errors import DistributorError
from distributor.sales.rules import Purchase, Refusal
from distributor.sales.selling import Outcome, TakenOut, refuse, sell
from distributor.strategies.contract import Strategy

log = logging.getLogger(__name__)


class Committer:
    """Shared by all threads of a process; keeps no state per purchase."""

    def __init__(self, engine: Engine, strategy: Strategy, retries: Retries) -> None:
        self._engine = engine
        self._strategy = strategy
        self._retries = retries

    def commit_all(self, purchases: Sequence[Purchase]) -> list[Outcome]:
        """Outcomes in order; ``purchases`` have different keys and are no more than the strategy's ``groups_max``.

        Raises Busy, DatabaseUnavailable or OutcomeUnknown for all of them.
        """
        outcomes: dict[int, Outcome] = {}
        remaining = dict(enumerate(purchases))
        while remaining:
            positions = list(remaining)
            try:
                sold = repeat(lambda: self._sell(list(remaining.values())), self._retries)
            except TakenOut as leaving:
                for place, settled in leaving.settled.items():
                    outcomes[positions[place]] = self._settle(remaining.pop(positions[place]), settled)
            else:
                outcomes.update(zip(positions, sold, strict=True))
                remaining.clear()
        return [outcomes[index] for index in range(len(purchases))]

    def _sell(self, purchases: Sequence[Purchase]) -> list[Outcome]:
        with transaction(self._engine, self._strategy.isolation) as connection:
            return sell(connection, self._strategy, purchases)

    def _settle(self, purchase: Purchase, settled: Refusal | DistributorError) -> Outcome:
        """A refusal's goods were rolled back; its answer is stored in a transaction of its own."""
        if isinstance(settled, DistributorError):
            return settled

        def store() -> Outcome:
            with transaction(self._engine, READ_COMMITTED) as connection:
                return refuse(connection, purchase, settled)

        return repeat(store, self._retries)
