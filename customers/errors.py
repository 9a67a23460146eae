"""What can go wrong in a request, and the one table that turns each error into a status and a problem type.

The table serves the API (application/problem+json, RFC 9457) and the pages alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distributor import errors as distributor_errors

PROBLEM_PREFIX = "urn:cds:problem:"


@dataclass(frozen=True)
class FieldError:
    """One mistake in one field of a form or a body; nested fields are joined with dots."""

    field: str
    message: str


class CustomersError(Exception):
    """Base of all; the docstring of each class is its default message."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").partition("\n")[0].strip())


class MalformedRequest(CustomersError):
    """The request cannot be read."""


class UnsupportedContentType(CustomersError):
    """Send the body as application/json in UTF-8."""


class InvalidInput(CustomersError):
    """Some fields are not right."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__()
        self.errors = tuple(errors)

    @classmethod
    def of(cls, field: str, message: str) -> "InvalidInput":
        return cls([FieldError(field, message)])


class WrongPassword(InvalidInput):
    """The current password is wrong."""


class NotSignedIn(CustomersError):
    """Sign in first."""


class WrongCredentials(CustomersError):
    """This e-mail address and password do not belong together."""


class ForgedForm(CustomersError):
    """This form is out of date or was not made by this shop."""


class NotFound(CustomersError):
    """There is nothing at this address."""


class EmailTaken(CustomersError):
    """There is an account with this e-mail address already."""


class TooManyAttempts(CustomersError):
    """Too many wrong passwords, to sign in or to change the account."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"Too many wrong passwords; try again in {retry_after_seconds} seconds.")
        self.retry_after_seconds = retry_after_seconds


class Overloaded(CustomersError):
    """Too many people sign in at this moment; try again in a second."""


@dataclass(frozen=True)
class Rule:
    """How one kind of error is told: status, problem type, title, and after how many seconds to come again."""

    status: int
    type: str
    title: str
    retry_after_seconds: int | None = None


RULES: dict[type[Exception], Rule] = {
    MalformedRequest: Rule(400, "malformed-request", "The request cannot be read"),
    NotSignedIn: Rule(401, "not-signed-in", "Sign in first"),
    WrongCredentials: Rule(401, "wrong-credentials", "Wrong e-mail address or password"),
    distributor_errors.NoCard: Rule(402, "no-card", "A payment card is needed"),
    ForgedForm: Rule(403, "forged-form", "The form is out of date"),
    WrongPassword: Rule(403, "wrong-password", "Wrong password"),
    NotFound: Rule(404, "not-found", "Not found"),
    EmailTaken: Rule(409, "email-taken", "The e-mail address is taken"),
    distributor_errors.NotEnoughStock: Rule(409, "not-enough-stock", "Not enough in stock"),
    distributor_errors.HoldRefused: Rule(409, "hold-refused", "These goods cannot be held again"),
    distributor_errors.PriceChanged: Rule(409, "price-changed", "A price changed"),
    UnsupportedContentType: Rule(415, "unsupported-content-type", "Unsupported content type"),
    InvalidInput: Rule(422, "invalid-input", "Some fields are not right"),
    distributor_errors.UnknownStock: Rule(404, "not-found", "Not found"),
    distributor_errors.UnknownCustomer: Rule(401, "not-signed-in", "Sign in first"),
    distributor_errors.InvalidBasket: Rule(422, "invalid-input", "Some fields are not right"),
    distributor_errors.KeyReused: Rule(422, "key-reused", "The idempotency key was used before"),
    TooManyAttempts: Rule(429, "too-many-attempts", "Too many attempts"),
    Overloaded: Rule(503, "busy", "Busy", retry_after_seconds=1),
    distributor_errors.Busy: Rule(503, "busy", "Busy", retry_after_seconds=1),
    distributor_errors.TransactionConflict: Rule(503, "busy", "Busy", retry_after_seconds=1),
    distributor_errors.ShopClosed: Rule(503, "shop-closed", "Between two months", retry_after_seconds=1),
    distributor_errors.DatabaseUnavailable: Rule(503, "unavailable", "Not available", retry_after_seconds=2),
    distributor_errors.OutcomeUnknown: Rule(503, "outcome-unknown", "The outcome is not known", retry_after_seconds=1),
}


def rule_of(error: Exception) -> Rule | None:
    """The rule of the error's nearest known class, or None: then it is a fault of ours."""
    for kind in type(error).__mro__:
        if kind in RULES:
            return RULES[kind]
    return None


def retry_after_seconds(error: Exception, rule: Rule) -> int | None:
    if isinstance(error, TooManyAttempts):
        return error.retry_after_seconds
    return rule.retry_after_seconds


def details(error: Exception) -> dict[str, Any]:
    """The members that a problem of this kind carries besides type, title, status and detail."""
    if isinstance(error, InvalidInput):
        return {"errors": [{"field": one.field, "message": one.message} for one in error.errors]}
    if isinstance(error, distributor_errors.InvalidBasket):
        return {"errors": [{"field": error.field, "message": error.reason}]}
    if isinstance(error, distributor_errors.NotEnoughStock):
        return {"lines": [line.document() for line in error.lines]}
    if isinstance(error, distributor_errors.HoldRefused):
        return {"reason": error.reason}
    if isinstance(error, distributor_errors.PriceChanged):
        return {"prices": [{"stock_id": line[0], "seen_minor": line[1], "now_minor": line[2]} for line in error.lines]}
    return {}


_REFUSALS: dict[str, tuple[str, str]] = {
    "no_card": ("A payment card is needed", "The account has no card that is valid; add one and buy then."),
    "cart_empty": ("The cart is empty", "There is nothing in the cart to buy."),
    "cart_changed": (
        "The cart was changed",
        "The cart was changed meanwhile, perhaps in another window; check it again.",
    ),
    "not_enough_stock": ("Not enough in stock", "Other customers were faster: `lines` says what is left."),
    "price_changed": ("A price changed", "`lines` names the prices that are new since the customer saw them."),
    "currencies_differ": ("Several currencies", "Goods in different currencies cannot be bought in one order."),
    "total_too_large": ("The total is too large", "Buy the goods in several orders."),
}


def refusal_rule(status: int, body: dict[str, Any]) -> tuple[Rule, str]:
    """How the distributor's refusal of a purchase is told: rule and detail."""
    reason = str(body.get("reason", ""))
    title, detail = _REFUSALS.get(reason, ("Refused", "The purchase was refused."))
    return Rule(status, reason.replace("_", "-") or "refused", title), detail
