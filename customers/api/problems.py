"""The registry of problem types: what each means, what to do then, an example. docs/problems.md and /api show it.

The errors themselves are in customers/errors.py; a test holds both together, so that no type is told undescribed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from customers.api.examples import REQUEST_ID
from customers.errors import PROBLEM_PREFIX

GBP_24 = {"amount": 2450, "currency": "GBP"}
GBP_26 = {"amount": 2600, "currency": "GBP"}


@dataclass(frozen=True)
class Kind:
    """One problem type. ``members``: those that it has besides RFC 9457's, as an example."""

    type: str
    status: int
    title: str
    meaning: str
    advice: str
    members: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return PROBLEM_PREFIX + self.type

    def example(self, path: str) -> dict[str, Any]:
        shown = {"type": self.uri, "title": self.title, "status": self.status, "detail": self.meaning}
        return shown | {"instance": path, "request_id": REQUEST_ID} | dict(self.members)


KINDS = (
    Kind("malformed-request", 400, "The request cannot be read",
         "The body is not one JSON object in UTF-8, has a key twice, or the idempotency key is missing or unusable.",
         "Mend the program; the same request will fail again."),
    Kind("not-signed-in", 401, "Sign in first",
         "There is no token, or its session has ended.",
         "Sign in with `POST /api/v1/session` and send the new token."),
    Kind("wrong-credentials", 401, "Wrong e-mail address or password",
         "This e-mail address and password do not belong together.",
         "Ask the customer again. It is not told whether there is such an account."),
    Kind("no-card", 402, "A payment card is needed",
         "The account has no card that is valid; add one and buy then.",
         "`PUT /api/v1/me/card`, then buy under a new key.", {"reason": "no_card"}),
    Kind("wrong-password", 403, "Wrong password",
         "The current password is wrong.",
         "Ask the customer again; wrong ones are counted together with those at signing in.",
         {"errors": [{"field": "current_password", "message": "is wrong"}]}),
    Kind("not-found", 404, "Not found",
         "There is nothing at this address, or it belongs to another customer.",
         "Check the path: upper and lower case and slashes matter."),
    Kind("method-not-allowed", 405, "Method not allowed",
         "This address cannot be asked in this way.",
         "The header Allow names the methods that can be used."),
    Kind("email-taken", 409, "The e-mail address is taken",
         "There is an account with this e-mail address already.",
         "Sign in, or choose another address. Addresses that differ in case only are one."),
    Kind("hold-refused", 409, "These goods cannot be held again",
         "These goods cannot be held any longer; they stay in the cart.",
         "Buy while they are there. `reason` names the limit: extensions, lines or units; off: this shop holds nothing."),
    Kind("not-enough-stock", 409, "Not enough in stock",
         "Other customers were faster: `lines` says what is left.",
         "Buy less, or the same good of another maker (`others` of `GET /api/v1/products/{stock_id}`), under a new key.",
         {"reason": "not_enough_stock", "lines": [{"stock_id": 17, "wanted": 6, "available": 2}]}),
    Kind("price-changed", 409, "A price changed",
         "`lines` names the prices that are new since the customer saw them.",
         "Show them; `PUT /api/v1/cart/{stock_id}` accepts the new price. Then buy under a new key.",
         {"reason": "price_changed", "lines": [{"stock_id": 17, "price_seen": GBP_24, "price": GBP_26}]}),
    Kind("cart-empty", 409, "The cart is empty",
         "There is nothing in the cart to buy.",
         "Perhaps it was bought already: look at `GET /api/v1/orders`.", {"reason": "cart_empty", "lines": []}),
    Kind("currencies-differ", 409, "Several currencies",
         "Goods in different currencies cannot be bought in one order.",
         "Buy them in several orders, each under a key of its own.", {"reason": "currencies_differ", "lines": []}),
    Kind("total-too-large", 409, "The total is too large",
         "Buy the goods in several orders.",
         "No order's total may need more than 63 bits of minor units.", {"reason": "total_too_large", "lines": []}),
    Kind("precondition-failed", 412, "The precondition failed",
         "If-Match asks for strong entity tags, and this API gives weak ones only.",
         "Leave If-Match out: every change names only what it changes, so that nobody else's change is undone."),
    Kind("body-too-large", 413, "The body is too large",
         "That is more than this shop takes at once.",
         "No body needs more than 512 KiB."),
    Kind("unsupported-content-type", 415, "Unsupported content type",
         "Send the body as application/json in UTF-8.",
         "Neither another charset nor a Content-Encoding is read."),
    Kind("invalid-input", 422, "Some fields are not right",
         "Some fields are not right.",
         "`errors` names every field (nested ones with dots) and says what is allowed there.",
         {"errors": [{"field": "lines.0.quantity", "message": "input should be greater than or equal to 1"}]}),
    Kind("key-reused", 422, "The idempotency key was used before",
         "The idempotency key was used before with another request.",
         "Choose a new key for every purchase that you mean."),
    Kind("too-many-attempts", 429, "Too many attempts",
         "Too many wrong passwords; try again in 12 seconds.",
         "Wait for as many seconds as Retry-After says; nobody is locked out for good."),
    Kind("fault", 500, "Something went wrong on our side",
         "The request was not understood by our own code; it is noted under the request's number.",
         "Tell the shop the request's number. A purchase may be asked again under the same key."),
    Kind("busy", 503, "Busy",
         "The goods are locked by other purchases; try again in a moment.",
         "Ask again after Retry-After seconds, a purchase under the same key. Nothing was done."),
    Kind("shop-closed", 503, "Between two months",
         "No month is open at the moment; the next one opens soon.",
         "Ask again after Retry-After seconds; `GET /api/v1/month` says more."),
    Kind("unavailable", 503, "Not available",
         "The shop cannot reach its books at the moment; nothing was done.",
         "Ask again after Retry-After seconds."),
    Kind("outcome-unknown", 503, "The outcome is not known",
         "The connection was lost while the purchase was being written down.",
         "Ask again under the same key: it tells whether the goods were bought, and never buys them twice."),
)  # fmt: skip
BY_TYPE = {kind.type: kind for kind in KINDS}

PAGES_ONLY = frozenset({"forged-form", "cart-changed"})
"""Types of errors that no call of the API can meet."""

_USUAL: dict[int, tuple[str, ...]] = {
    400: ("malformed-request",),
    401: ("not-signed-in",),
    402: ("no-card",),
    403: ("wrong-password",),
    404: ("not-found",),
    412: ("precondition-failed",),
    413: ("body-too-large",),
    415: ("unsupported-content-type",),
    422: ("invalid-input",),
    429: ("too-many-attempts",),
    503: ("busy", "unavailable"),
}
_SPECIAL: dict[tuple[str, int], tuple[str, ...]] = {
    ("create_customer", 409): ("email-taken",),
    ("create_session", 401): ("wrong-credentials",),
    ("change_me", 409): ("email-taken",),
    ("put_in_cart", 409): ("not-enough-stock",),
    ("hold_again", 409): ("hold-refused", "not-enough-stock"),
    ("finish", 503): ("shop-closed", "unavailable"),
    ("show_month", 503): ("shop-closed", "unavailable"),
    ("place_order", 409): ("not-enough-stock", "price-changed", "cart-empty", "currencies-differ", "total-too-large"),
    ("place_order", 422): ("invalid-input", "key-reused"),
    ("place_order", 503): ("busy", "shop-closed", "unavailable", "outcome-unknown"),
}


def kinds_of(call: str, status: int) -> list[Kind]:
    """What an answer of this status to this call can mean."""
    return [BY_TYPE[name] for name in _SPECIAL.get((call, status)) or _USUAL[status]]
