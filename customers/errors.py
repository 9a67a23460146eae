"""What can go wrong in a request, and the one table that turns each error into a status and a problem type.

The table serves the API (application/problem+json, RFC 9457) and the pages alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from customers.languages import Lazy, gettext, ngettext
from customers.languages import lazy_gettext as _
from distributor import errors as distributor_errors

if TYPE_CHECKING:
    from customers.rate_limits.quota import Standing

PROBLEM_TYPE = "application/problem+json"
PROBLEM_PREFIX = "urn:cds:problem:"  # of the member "type"


@dataclass(frozen=True)
class FieldError:
    """One mistake in one field of a form or a body; nested fields are joined with dots."""

    field: str
    message: str


class CustomersError(Exception):
    """Base of all; ``says`` is what people read where the raiser has no better sentence."""

    says = _("The request was refused.")

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.says)


class MalformedRequest(CustomersError):
    says = _("The request cannot be read.")


class UnsupportedContentType(CustomersError):
    says = _("Send the body as application/json in UTF-8.")


class InvalidInput(CustomersError):
    says = _("Some fields are not right.")

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__()
        self.errors = tuple(errors)

    @classmethod
    def of(cls, field: str, message: str) -> "InvalidInput":
        return cls([FieldError(field, message)])


class WrongPassword(InvalidInput):
    says = _("The current password is wrong.")


class NotSignedIn(CustomersError):
    says = _("Sign in first.")


class WrongCredentials(CustomersError):
    says = _("This e-mail address and password do not belong together.")


class ForgedForm(CustomersError):
    says = _("This form is out of date or was not made by this shop.")


class NotFound(CustomersError):
    says = _("There is nothing at this address.")


class PreconditionFailed(CustomersError):
    says = _("If-Match asks for strong entity tags, and this API gives weak ones only.")


class EmailTaken(CustomersError):
    says = _("There is an account with this e-mail address already.")


class TooManyAttempts(CustomersError):
    """``standing``: where the sender stands with the quota that is used up, for the answer's headers."""

    says = _("That was too often in a short time.")

    def __init__(self, retry_after_seconds: int, standing: "Standing | None" = None) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds
        self.standing = standing

    def __str__(self) -> str:
        return ngettext(
            "That was too often in a short time. Wait %(num)s second, then try again.",
            "That was too often in a short time. Wait %(num)s seconds, then try again.",
            self.retry_after_seconds,
        )


class Overloaded(CustomersError):
    says = _("Too many people sign in at this moment; try again in a second.")


class TooMany(CustomersError):
    says = _("Too many people are in the shop at this moment. Nothing was done; try again in a moment.")


@dataclass(frozen=True)
class Rule:
    """How one kind of error is told: status, problem type, title, and after how many seconds to come again."""

    status: int
    type: str
    title: Lazy
    retry_after_seconds: int | None = None


RULES: dict[type[Exception], Rule] = {
    MalformedRequest: Rule(400, "malformed-request", _("The request cannot be read")),
    NotSignedIn: Rule(401, "not-signed-in", _("Sign in first")),
    WrongCredentials: Rule(401, "wrong-credentials", _("Wrong e-mail address or password")),
    ForgedForm: Rule(403, "forged-form", _("The form is out of date")),
    WrongPassword: Rule(403, "wrong-password", _("Wrong password")),
    NotFound: Rule(404, "not-found", _("Not found")),
    EmailTaken: Rule(409, "email-taken", _("The e-mail address is taken")),
    distributor_errors.NotEnoughStock: Rule(409, "not-enough-stock", _("Not enough in stock")),
    distributor_errors.HoldRefused: Rule(409, "hold-refused", _("These goods cannot be held again")),
    PreconditionFailed: Rule(412, "precondition-failed", _("The precondition failed")),
    UnsupportedContentType: Rule(415, "unsupported-content-type", _("Unsupported content type")),
    InvalidInput: Rule(422, "invalid-input", _("Some fields are not right")),
    distributor_errors.UnknownStock: Rule(404, "not-found", _("Not found")),
    distributor_errors.UnknownCustomer: Rule(401, "not-signed-in", _("Sign in first")),
    distributor_errors.InvalidBasket: Rule(422, "invalid-input", _("Some fields are not right")),
    distributor_errors.KeyReused: Rule(422, "key-reused", _("The idempotency key was used before")),
    TooManyAttempts: Rule(429, "too-many-attempts", _("Too many attempts")),
    Overloaded: Rule(503, "busy", _("Busy"), retry_after_seconds=1),
    TooMany: Rule(503, "busy", _("Busy"), retry_after_seconds=1),
    distributor_errors.Busy: Rule(503, "busy", _("Busy"), retry_after_seconds=1),
    distributor_errors.TransactionConflict: Rule(503, "busy", _("Busy"), retry_after_seconds=1),
    distributor_errors.ShopClosed: Rule(503, "shop-closed", _("Between two months"), retry_after_seconds=1),
    distributor_errors.DatabaseUnavailable: Rule(503, "unavailable", _("Not available"), retry_after_seconds=2),
    distributor_errors.StrategyFailed: Rule(503, "unavailable", _("Not available"), retry_after_seconds=2),
    distributor_errors.OutcomeUnknown: Rule(
        503, "outcome-unknown", _("The outcome is not known"), retry_after_seconds=1
    ),
}


# What people read of errors that are raised below the shop, where nobody knows the reader's language.
_DETAILS: dict[type[Exception], Lazy] = {
    distributor_errors.NotEnoughStock: _("There is not enough in stock for some lines."),
    distributor_errors.ShopClosed: _("No month is open at the moment; the next one opens soon."),
    distributor_errors.Busy: _("The goods are locked by other purchases; try again in a moment."),
    distributor_errors.NoConnectionFree: TooMany.says,
    distributor_errors.KeyReused: _("The idempotency key was used before with another request."),
    distributor_errors.HoldRefused: _("These goods cannot be held any longer; they stay in the cart."),
    distributor_errors.InvalidBasket: _("The lines of a purchase or of a cart cannot be meant like this."),
    distributor_errors.UnknownCustomer: _("There is no such account, or it was deleted."),
    distributor_errors.UnknownStock: _("There is no such product."),
    distributor_errors.DatabaseUnavailable: _("The shop cannot reach its books at the moment; nothing was done."),
    distributor_errors.TransactionConflict: _("Another purchase came in between; nothing was done, try again."),
    distributor_errors.StrategyFailed: _("The shop's way to sell failed; nothing was bought."),
    distributor_errors.OutcomeUnknown: _("The connection was lost while the purchase was being written down."),
}


def rule_of(error: Exception) -> Rule | None:
    """The rule of the error's nearest known class, or None: then it is a fault of ours."""
    for kind in type(error).__mro__:
        if kind in RULES:
            return RULES[kind]
    return None


def detail(error: Exception) -> str:
    """The sentence for people, in their language."""
    return str(next((_DETAILS[kind] for kind in type(error).__mro__ if kind in _DETAILS), error))


def retry_after_seconds(error: Exception, rule: Rule) -> int | None:
    if isinstance(error, TooManyAttempts):
        return error.retry_after_seconds
    return rule.retry_after_seconds


def details(error: Exception) -> dict[str, Any]:
    """The members that a problem of this kind carries besides type, title, status and detail."""
    if isinstance(error, InvalidInput):
        return {"errors": [{"field": one.field, "message": one.message} for one in error.errors]}
    if isinstance(error, distributor_errors.InvalidBasket):
        return {"errors": [{"field": error.field, "message": gettext(error.rule, **error.values)}]}
    if isinstance(error, distributor_errors.NotEnoughStock):
        return {"lines": [line.document() for line in error.lines]}
    if isinstance(error, distributor_errors.HoldRefused):
        return {"reason": error.reason}
    return {}


class Refusal(NamedTuple):
    """What is refused without an error of ours: how it is told, and the sentence for people."""

    rule: Rule
    detail: Lazy


class _Words(NamedTuple):
    title: Lazy
    detail: Lazy


REFUSED_PURCHASES = {
    "no_card": _Words(_("A payment card is needed"), _("The account has no card that is valid; add one and buy then.")),
    "cart_empty": _Words(_("The cart is empty"), _("There is nothing in the cart to buy.")),
    "cart_changed": _Words(
        _("The cart was changed"), _("The cart was changed meanwhile, perhaps in another window; check it again.")
    ),
    "not_enough_stock": _Words(_("Not enough in stock"), _("Other customers were faster: `lines` says what is left.")),
    "price_changed": _Words(
        _("A price changed"), _("`lines` names the prices that are new since the customer saw them.")
    ),
    "currencies_differ": _Words(
        _("Several currencies"), _("Goods in different currencies cannot be bought in one order.")
    ),
    "total_too_large": _Words(_("The total is too large"), _("Buy the goods in several orders.")),
}
"""By the distributor's reason."""

_REFUSED_OTHERWISE = _Words(_("Refused"), _("The purchase was refused."))


def refused_purchase(status: int, body: dict[str, Any]) -> Refusal:
    """How the distributor's refusal of a purchase is told."""
    reason = str(body.get("reason", ""))
    words = REFUSED_PURCHASES.get(reason, _REFUSED_OTHERWISE)
    return Refusal(Rule(status, reason.replace("_", "-") or "refused", words.title), words.detail)
