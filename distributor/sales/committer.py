"""Commits purchases: opens the transaction, repeats it after a conflict, settles what had to leave it.

``commit_all`` takes any number of purchases; grouping.py collects them where a strategy can sell several at once.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from sqlalchemy import Engine

from distributor.database import READ_COMMITTED, Retries, repeat, transaction
from distributor.errors import DistributorError
from distributor.sales.contention import Contention, Watch
from distributor.sales.holding import Shortage
from distributor.sales.rules import Answer, Purchase, Refusal
from distributor.sales.selling import Outcome, TakenOut, refuse, sell
from distributor.strategies.contract import Strategy


def having_met(outcome: Outcome, met: Contention) -> Outcome:
    """The same outcome, which says that."""
    if isinstance(outcome, Answer):
        return outcome.having_met(met)
    outcome.contention = met
    return outcome


class Committer:
    """Shared by all threads of a process; keeps no state per purchase."""

    def __init__(self, engine: Engine, strategy: Strategy, retries: Retries, *, carts_hold: bool = False) -> None:
        self._engine = engine
        self._strategy = strategy
        self._retries = retries
        self._carts_hold = carts_hold
        self._around: Callable[[], AbstractContextManager[None]] = getattr(strategy, "whole_transaction", nullcontext)

    def commit(self, purchase: Purchase) -> Outcome:
        """One purchase; raises Busy, DatabaseUnavailable or OutcomeUnknown."""
        (outcome,) = self.commit_all([purchase])
        return outcome

    def commit_all(self, purchases: Sequence[Purchase]) -> list[Outcome]:
        """Outcomes in order; ``purchases`` have different keys and are no more than the strategy's ``groups_max``.

        Raises Busy, DatabaseUnavailable or OutcomeUnknown for all of them. Each outcome and error says what it met.
        """
        watch = Watch()
        try:
            outcomes = self._outcomes(purchases, watch)
        except DistributorError as error:
            error.contention = watch.seen(self.strategy_name, len(purchases))
            raise
        return [
            self._telling(outcomes[index], purchase, watch, len(purchases)) for index, purchase in enumerate(purchases)
        ]

    def _telling(self, outcome: Outcome, purchase: Purchase, watch: Watch, together: int) -> Outcome:
        """A sale says already what it met, for that is stored with it."""
        if outcome.contention is not None:
            return outcome
        return having_met(outcome, watch.seen(self.strategy_name, together, purchase.earlier))

    @property
    def strategy_name(self) -> str:
        return self._strategy.name

    def _outcomes(self, purchases: Sequence[Purchase], watch: Watch) -> dict[int, Outcome]:
        """By position."""
        retries = replace(self._retries, on_retry=self._noting(watch))
        outcomes: dict[int, Outcome] = {}
        remaining = dict(enumerate(purchases))
        while remaining:
            positions = list(remaining)
            try:
                sold = repeat(lambda: self._sell(list(remaining.values()), watch), retries)
            except TakenOut as leaving:
                for place, settled in leaving.settled.items():
                    outcomes[positions[place]] = self._settle(remaining.pop(positions[place]), settled)
            else:
                outcomes.update(zip(positions, sold, strict=True))
                remaining.clear()
        return outcomes

    def _noting(self, watch: Watch) -> Callable[[str], None]:
        def note(cause: str) -> None:
            watch.repeats.append(cause)
            self._retries.on_retry(cause)

        return note

    def _sell(self, purchases: Sequence[Purchase], watch: Watch) -> list[Outcome]:
        asked_at = time.monotonic()
        with self._around():
            watch.queued_seconds += time.monotonic() - asked_at
            with transaction(self._engine, self._strategy.isolation) as connection:
                return sell(connection, self._strategy, purchases, watch, carts_hold=self._carts_hold)

    def _settle(self, purchase: Purchase, settled: Refusal | Shortage | DistributorError) -> Outcome:
        """A refusal's goods were rolled back; its answer is stored in a transaction of its own."""
        if isinstance(settled, DistributorError):
            return settled

        def store() -> Outcome:
            with transaction(self._engine, READ_COMMITTED) as connection:
                return refuse(connection, purchase, settled)

        return repeat(store, self._retries)
