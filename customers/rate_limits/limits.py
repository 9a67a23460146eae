"""Which quotas there are, whom each one limits, and where it is counted. Why so: docs/decisions/0017."""

import time
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import Engine

from customers.rate_limits.addresses import subject_of_address
from customers.rate_limits.counters import Counter, DatabaseCounter, InstanceCounter
from customers.rate_limits.quota import Quota, Standing
from settings.model import RateLimits as Settings


class Limited(Enum):
    """What is limited, by the name that its quota has in answers."""

    ORDERS = "orders"
    CARD_CHANGES = "card-changes"
    ACCOUNT_CHANGES = "account-changes"
    EXPORTS = "exports"
    LOG_INS = "log-ins"
    SIGN_UPS = "sign-ups"
    TAKEN_SIGN_UPS = "taken-sign-ups"


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
        here: Counter = InstanceCounter(time.monotonic)
        everywhere: Counter = DatabaseCounter(engine)
        of_customer = {
            Limited.ORDERS: (settings.customer_orders_per_minute, here),
            Limited.CARD_CHANGES: (settings.customer_card_changes_per_minute, everywhere),
            Limited.ACCOUNT_CHANGES: (settings.customer_account_changes_per_minute, everywhere),
            Limited.EXPORTS: (settings.customer_exports_per_minute, everywhere),
        }
        of_address = {
            Limited.LOG_INS: (settings.address_log_ins_per_minute, here),
            Limited.SIGN_UPS: (settings.address_sign_ups_per_minute, here),
            Limited.TAKEN_SIGN_UPS: (settings.address_taken_sign_ups_per_minute, everywhere),
        }
        self._limits = {
            what: Limit(Quota(what.value, per_minute), whom, counter)
            for whom, table in ((Whom.CUSTOMER, of_customer), (Whom.ADDRESS, of_address))
            for what, (per_minute, counter) in table.items()
        }

    def spend(self, what: Limited, customer_id: int | None, address: str) -> Standing | None:
        """Count one request; raises TooManyAttempts. None for a guest where customers are limited: others refuse guests."""
        limit = self._limits[what]
        if limit.whom is Whom.ADDRESS:
            return limit.counter.spend(limit.quota, subject_of_address(address))
        return None if customer_id is None else limit.counter.spend(limit.quota, str(customer_id))

    def require_untaken_room(self, address: str) -> None:
        """Before a sign-up: raises TooManyAttempts when too many from this address were refused as taken.

        Counted only once it turns out to be one, so that honest sign-ups side by side do not use the quota up; as many
        too many as requests run at once may slip through."""
        limit = self._limits[Limited.TAKEN_SIGN_UPS]
        limit.counter.require_room(limit.quota, subject_of_address(address))

    def count_taken(self, address: str) -> None:
        """A sign-up, or a change of address, told its sender that there is an account."""
        limit = self._limits[Limited.TAKEN_SIGN_UPS]
        limit.counter.spend(limit.quota, subject_of_address(address))
