"""Placing an order: what the web instances call.

P3 is kept here: a purchase whose COMMIT got lost is asked again under the same key. If it had committed, its stored
answer comes back; if it had not, it is placed now. Whatever then prevents an answer leaves the outcome unknown.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from distributor.database import Retries
from distributor.errors import Busy, DatabaseUnavailable, DistributorError, InvalidBasket, OutcomeUnknown
from distributor.sales import metrics
from distributor.sales.committer import Committer
from distributor.sales.contention import NOTHING_EARLIER, Earlier
from distributor.sales.grouping import GROUP_FAILED, GroupCommitter, having_waited, outcomes_of
from distributor.sales.rules import Answer, Purchase
from distributor.sales.selling import Outcome
from distributor.strategies.baskets import merge
from distributor.strategies.contract import Line, Strategy
from settings import Settings

KEY = re.compile(r"[\x21-\x7e]{1,200}")  # the column's length; visible ASCII, as in a header
SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT_LOST = "unknown"  # why a purchase was asked again: see Contention
RESOLVING_ATTEMPTS_MAX = 2  # asking again after a lost COMMIT; each is bounded by the pool's and the lock's waits


@dataclass(frozen=True)
class Asked:
    """One purchase of a group; see `Sales.place`."""

    customer_id: int
    key: str
    lines: Sequence[Line] | None
    request_sha256: str
    since: float
    """When it came, by time.monotonic()."""


@dataclass(frozen=True)
class Unsettled:
    """Its group failed: it is to be placed by itself. ``unknown``: whether it was sold with its group is not known.

    ``since``: when it came, by time.monotonic().
    """

    since: float
    unknown: OutcomeUnknown | None = None


class Sales:
    """One per process; may be used by all its threads."""

    def __init__(self, engine: Engine, strategy: Strategy, settings: Settings, retries: Retries | None = None) -> None:
        self._cart = settings.cart
        retries = retries or Retries(
            settings.database.transaction_attempts_max, strategy.retry_on, on_retry=metrics.count_repeat
        )
        self._single = Committer(engine, strategy, retries, carts_hold=settings.cart.hold_seconds > 0)
        self._wait_seconds = settings.database.lock_timeout_ms / 1000  # a group is waited for like a lock, for as long
        self.groups_max = strategy.groups_max
        self._groups = GroupCommitter(self._single, strategy.groups_max, self._wait_seconds)

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
        unsettled: Unsettled | None = None,
    ) -> Answer:
        """Buy ``lines``, or the cart if None; the same key and request get the same answer again, refusals included.

        ``request_sha256`` tells requests apart. ``seen_prices``: minor units by stock id, as shown to the customer.
        ``expected``: the cart as shown to the customer; if it is another by now, the purchase is refused.
        ``left_out``: stock ids whose lines stay in the cart, so ``expected`` is without them.
        ``unsettled``: what `place_group` said of it before.
        Raises, with nothing stored: InvalidBasket, KeyReused, ShopClosed, UnknownCustomer, Busy, DatabaseUnavailable;
        and OutcomeUnknown, after which only the same key tells whether it happened.
        """
        purchase = self._purchase(customer_id, key, lines, request_sha256, seen_prices)
        shown = None if expected is None else tuple(sorted(expected, key=lambda line: line.stock_id))
        purchase = replace(purchase, expected=shown, left_out=left_out)
        began = time.monotonic()
        try:
            answer = self._answer(purchase, unsettled)
        except DistributorError as error:
            metrics.observe_error(error, time.monotonic() - began)
            raise
        metrics.observe_answer(answer, time.monotonic() - began)
        return answer

    def place_group(self, asked: Sequence[Asked]) -> list[Answer | DistributorError | Unsettled]:
        """Place purchases that came at the same time in one transaction: different customers, at most ``groups_max``.

        Of each its answer, or its error; one that spoils the group leaves the others Unsettled, not wrong.
        """
        outcomes: list[Answer | DistributorError | Unsettled | None] = [None] * len(asked)
        purchases: dict[int, Purchase] = {}
        now = time.monotonic()
        for place, one in enumerate(asked):
            if now - one.since > self._wait_seconds:
                outcomes[place] = having_waited(Busy(), self._single.strategy_name, now - one.since)
                continue
            try:
                purchases[place] = self._purchase(
                    one.customer_id, one.key, one.lines, one.request_sha256, earlier=Earlier(now - one.since)
                )
            except InvalidBasket as error:
                outcomes[place] = error
        settled = self._settled(list(purchases.values()))
        for place, outcome in zip(purchases, settled, strict=True):
            outcomes[place] = _told(outcome, asked[place].since)
        for one, told in zip(asked, outcomes, strict=True):
            _observe(told, time.monotonic() - one.since)
        return [Unsettled(one.since) if told is None else told for one, told in zip(asked, outcomes, strict=True)]

    def _settled(self, purchases: Sequence[Purchase]) -> Sequence[Outcome | Exception | None]:
        if not purchases:
            return []
        return outcomes_of(self._single, purchases) if self.groups_max == 1 else self._groups.commit_group(purchases)

    def _purchase(
        self,
        customer_id: int,
        key: str,
        lines: Sequence[Line] | None,
        request_sha256: str,
        seen_prices: Mapping[int, int] | None = None,
        *,
        earlier: Earlier = NOTHING_EARLIER,
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
        return Purchase(customer_id, key, request_sha256, merged, seen_prices, earlier=earlier)

    def _answer(self, purchase: Purchase, unsettled: Unsettled | None) -> Answer:
        began = time.monotonic() if unsettled is None else unsettled.since
        try:
            if unsettled and unsettled.unknown:
                raise unsettled.unknown
            if unsettled:
                return self._ask(_again(purchase, GROUP_FAILED, began), self._single)
            return self._ask(purchase, self._single if self.groups_max == 1 else self._groups)
        except OutcomeUnknown as unknown:
            return self._ask_again(_again(purchase, COMMIT_LOST, began), unknown)

    def _ask(self, purchase: Purchase, committer: Committer | GroupCommitter) -> Answer:
        outcome = committer.commit(purchase)
        if isinstance(outcome, DistributorError):
            raise outcome
        return outcome

    def _ask_again(self, purchase: Purchase, unknown: OutcomeUnknown) -> Answer:
        """ShopClosed and the like stay definite: they are found only after the key was claimed, so nothing had happened."""
        for _attempt in range(RESOLVING_ATTEMPTS_MAX):
            try:
                return self._ask(purchase, self._single)
            except OutcomeUnknown as still:
                unknown = still
            except (Busy, DatabaseUnavailable) as error:
                raise unknown from error
        raise unknown


def _again(purchase: Purchase, cause: str, since: float) -> Purchase:
    """The same, when it is not the first attempt: all before it took since then and came to nothing."""
    return replace(purchase, earlier=Earlier(time.monotonic() - since, (cause,)))


def _told(outcome: Outcome | Exception | None, since: float) -> Answer | DistributorError | Unsettled:
    """What is not ours to tell, a mistake in the program, is raised again where the purchase is placed by itself."""
    if isinstance(outcome, OutcomeUnknown):
        return Unsettled(since, outcome)
    if isinstance(outcome, (Answer, DistributorError)):
        return outcome
    return Unsettled(since)


def _observe(told: Answer | DistributorError | Unsettled | None, seconds: float) -> None:
    if isinstance(told, Answer):
        metrics.observe_answer(told, seconds)
    elif isinstance(told, DistributorError):
        metrics.observe_error(told, seconds)
