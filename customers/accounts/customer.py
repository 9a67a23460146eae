"""The person behind a request, as Flask-Login wants it."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class Customer:
    """A signed-in customer: the account, the card's receipt data, and the session by which it was recognised."""

    id: int
    email: str
    first_name: str
    last_name: str
    card_brand: str | None
    card_last4: str | None
    card_expiry: str | None
    token_sha256: str
    language: str | None = None
    """What the customer chose to read the shop in, on every device; None: what each browser says."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        return str(self.id)

    def has_usable_card(self, today: dt.date) -> bool:
        return self.card_expiry is not None and self.card_expiry >= f"{today.year:04}-{today.month:02}"


@dataclass(frozen=True)
class Guest:
    """Somebody who has not signed in."""

    is_authenticated = False
    is_active = False
    is_anonymous = True

    def get_id(self) -> None:
        return None
