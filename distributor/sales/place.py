"""Placing an order: what the web instances call.

P3 is kept here: a purchase whose COMMIT got lost is asked again under the same key. If it had committed, its stored
answer comes back; if it had not, it is placed now. Whatever then prevents an answer leaves the outcome unknown.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Engine

from distributor.database import Retries
from distributor.errors import Busy, DatabaseUnavailable, DistributorError, InvalidBasket, OutcomeUnknown
from distributor.sales import metrics
from distributor.sales.committer import Committer
from distributor.sales.grouping import GroupCommitter
from distributor.sales.rules import Answer, Purchase
from distributor.strategies.baskets import merge
from distributor.strategies.contract import Line, Strategy
from settings import Settings

KEY = re.compile(r"[\x21-\x7e]{1,200}")  # the column's length; visible ASCII, as in a header
SHA256 = re.compile(r"[0-9a-f]{64}")
RESOLVING_ATTEMPTS_MAX = 2  # asking again after a lost COMMIT; each is bounded by the pool's and the lock's waits


class Sales:
    """One per process; may be used by all its threads."""

    def __init__(self, engine: Engine, strategy: Strategy, settings: Settings, retries: Retries | None = None) -> None:
        self._cart = settings.cart
        self._committer = _committer(
            engine,
            strategy,
            retries
            or Retries(settings.database.transaction_attempts_max, strategy.retry_on, on_retry=metrics.count_repeat),
            group_wait_seconds=settings.database.lock_timeout_ms / 1000,
            carts_hold=settings.cart.hold_seconds > 0,
        )

    def place(
        self,
        customer_id: int,
        key: str,
        lines: Sequence[Line] | None,
        request_sha256: str,
        seen_prices: Mapping[int, int] | None = None,
        *,
        expected: Sequence[Line] | None = None,
        left_out: frozenset[int] = frozenset(),
    ) -> Answer:
        """Buy ``lines``, or the cart if None; the same key and request get the same answer again, refusals included.

        ``request_sha256`` tells requests apart. ``seen_prices``: minor units by stock id, as shown to the customer.
        ``expected``: the cart as shown to the customer; if it is another by now, the purchase is refused.
        ``left_out``: stock ids whose lines stay in the cart, so ``expected`` is without them.
        Raises, with nothing stored: InvalidBasket, KeyReused, ShopClosed, UnknownCustomer, Busy, DatabaseUnavailable;
        and OutcomeUnknown, after which only the same key tells whether it happened.
        """
        purchase = self._purchase(customer_id, key, lines, request_sha256, seen_prices)
        shown = None if expected is None else tuple(sorted(expected, key=lambda line: line.stock_id))
        purchase = replace(purchase, expected=shown, left_out=left_out)
        began = time.monotonic()
        try:
            answer = self._answer(purchase)
        except DistributorError as error:
            metrics.observe_error(error, time.monotonic() - began)
            raise
        metrics.observe_answer(answer, time.monotonic() - began)
        return answer

    def _purchase(
        self,
        customer_id: int,
        key: str,
        lines: Sequence[Line] | None,
        request_sha256: str,
        seen_prices: Mapping[int, int] | None,
    ) -> Purchase:
        if not KEY.fullmatch(key):
            raise InvalidBasket("Idempotency-Key", "use 1 to 200 visible ASCII characters")
        if not SHA256.fullmatch(request_sha256):
            raise InvalidBasket("request_sha256", "use 64 hexadecimal digits")
        merged = (
            None
            if lines is None
            else merge(lines, lines_max=self._cart.lines_max, quantity_max=self._cart.quantity_max)
        )
        return Purchase(customer_id, key, request_sha256, merged, seen_prices)

    def _answer(self, purchase: Purchase) -> Answer:
        try:
            return self._ask(purchase)
        except OutcomeUnknown as unknown:
            return self._ask_again(purchase, unknown)

    def _ask(self, purchase: Purchase) -> Answer:
        outcome = self._committer.commit(purchase)
        if isinstance(outcome, DistributorError):
            raise outcome
        return outcome

    def _ask_again(self, purchase: Purchase, unknown: OutcomeUnknown) -> Answer:
        """ShopClosed and the like stay definite: they are found only after the key was claimed, so nothing had happened."""
        for _attempt in range(RESOLVING_ATTEMPTS_MAX):
            try:
                return self._ask(purchase)
            except OutcomeUnknown as still:
                unknown = still
            except (Busy, DatabaseUnavailable) as error:
                raise unknown from error
        raise unknown


def _committer(
    engine: Engine, strategy: Strategy, retries: Retries, *, group_wait_seconds: float, carts_hold: bool
) -> Committer | GroupCommitter:
    """A group is waited for like a lock, for as long."""
    committer = Committer(engine, strategy, retries, carts_hold=carts_hold)
    if strategy.groups_max == 1:
        return committer
    return GroupCommitter(committer, strategy.groups_max, group_wait_seconds)
