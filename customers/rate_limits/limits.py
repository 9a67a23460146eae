"""Which quotas there are, whom each one limits, and where it is counted. Why so: docs/decisions/0017."""

import time
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import Engine

from customers.rate_limits.addresses import subject_of_address
from customers.rate_limits.counters import Counter, DatabaseCounter, InstanceCounter
from customers.rate_limits.quota import Quota, Standing
from settings.model import RateLimits as Settings


class Whom(Enum):
    """What a quota belongs to."""

    CUSTOMER = "customer"
    ADDRESS = "address"


@dataclass(frozen=True)
class Limit:
    """One line of the table of limits."""

    quota: Quota
    whom: Whom
    counter: Counter


class RateLimits:
    """One object an instance."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        here, everywhere = InstanceCounter(time.monotonic), DatabaseCounter(engine)
        self.orders = Limit(Quota("orders", settings.customer_orders_per_minute), Whom.CUSTOMER, here)
        self.cards = Limit(Quota("card-changes", settings.customer_card_changes_per_minute), Whom.CUSTOMER, everywhere)
        self.account_changes = Limit(
            Quota("account-changes", settings.customer_account_changes_per_minute), Whom.CUSTOMER, everywhere
        )
        self.exports = Limit(Quota("exports", settings.customer_exports_per_minute), Whom.CUSTOMER, everywhere)
        self.log_ins = Limit(Quota("log-ins", settings.address_log_ins_per_minute), Whom.ADDRESS, here)
        self.sign_ups = Limit(Quota("sign-ups", settings.address_sign_ups_per_minute), Whom.ADDRESS, here)
        self.taken_sign_ups = Limit(
            Quota("taken-sign-ups", settings.address_taken_sign_ups_per_minute), Whom.ADDRESS, everywhere
        )

    def spend(self, limit: Limit, customer_id: int | None, address: str) -> Standing | None:
        """Count one request; raises TooManyAttempts. None for a guest where customers are limited: others refuse guests."""
        if limit.whom is Whom.ADDRESS:
            return limit.counter.spend(limit.quota, subject_of_address(address))
        return None if customer_id is None else limit.counter.spend(limit.quota, str(customer_id))

    def require_untaken_room(self, address: str) -> None:
        """Before a sign-up: raises TooManyAttempts when too many from this address were refused as taken.

        Counted only once it turns out to be one, so that honest sign-ups side by side do not use the quota up; as many
        too many as requests run at once may slip through."""
        limit = self.taken_sign_ups
        limit.counter.require_room(limit.quota, subject_of_address(address))

    def count_taken(self, address: str) -> None:
        """A sign-up, or a change of address, told its sender that there is an account."""
        limit = self.taken_sign_ups
        limit.counter.spend(limit.quota, subject_of_address(address))
