"""The table of all calls: routes, description and tests are made from it, so that none can have what another lacks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from customers.api import models
from customers.json_input import Body

PREFIX = "/api/v1"
"""Of the paths of all calls."""


@dataclass(frozen=True)
class Link:
    """What can be called next with a value of this answer (OpenAPI's ``links``)."""

    call: str
    description: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class Call:
    """One row: what is asked, what is answered, what can be refused."""

    method: str
    path: str
    name: str
    tag: str
    summary: str
    status: int
    answer: type[models.Answer] | None = None
    body: type[Body] | None = None
    errors: tuple[int, ...] = ()
    parameters: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    """Of the answer, besides those of every answer."""
    public: bool = False
    conditional: bool = False
    """Has an ETag; who names it in If-None-Match and has the newest state already gets 304 without a body."""
    description: str = ""
    links: Mapping[str, Link] = field(default_factory=dict)

    @property
    def is_safe(self) -> bool:
        return self.method == "get"


_FIRST = "$response.body#/items/0/"
_SHOW_ORDERS = Link("list_orders", "All orders of the customer, this one first.")
_SHOW_CART = Link("show_cart", "The whole cart.")
_PAGED = ("page", "per_page")

CALLS = (
    Call(
        "post", "/customers", "create_customer", "Account", "Open an account", 201, models.Account, models.NewCustomer,
        (409,), headers=("Location",), public=True,
        description="The account has no session yet: sign in with the same e-mail address and password. Passwords that are "
        "among the first to be guessed are refused, such as well-known ones, and those that repeat the e-mail address.",
        links={"SignIn": Link("create_session", "Sign in to the new account.",
                              body={"email": "$request.body#/email", "password": "$request.body#/password"})},
    ),
    Call(
        "post", "/session", "create_session", "Account", "Sign in", 200, models.Session, models.Credentials,
        (401, 429), public=True,
        description="Send the token with every other call: `Authorization: Bearer TOKEN`. It is good on every instance "
        "until it is deleted, the password changes or `expires_at`. After several wrong passwords the shop asks for "
        "patience: 429 with `Retry-After`. The answer does not tell whether there is such an account.",
    ),
    Call(
        "delete", "/session", "delete_session", "Account", "Sign out", 204,
        description="Ends this session on every instance. Other sessions of the customer go on.",
    ),
    Call(
        "get", "/me", "show_me", "Account", "Show the own account", 200, models.Me,
        description="Never kept by any cache.",
    ),
    Call(
        "patch", "/me", "change_me", "Account", "Change the own account", 200, models.Me, models.AccountChange,
        (403, 409, 429),
        description="Only what is sent changes. A new e-mail address or password needs `current_password`; a new "
        "password ends all other sessions of the customer.",
    ),
    Call(
        "delete", "/me", "delete_me", "Account", "Delete the own account", 204,
        description="Everything personal is removed at once and all sessions end. Orders stay in the shop's books, "
        "pointing at nobody.",
    ),
    Call(
        "get", "/me/export", "export_me", "Account", "Get everything that the shop knows about the own account", 200,
        models.Export,
        description="Account, card, sessions, cart, orders and finished months. No secret is in it.",
    ),
    Call(
        "put", "/me/card", "put_card", "Account", "Set the payment card", 200, models.Card, models.NewCard,
        description="Number and security code are checked in memory and forgotten; brand, last four digits and expiry "
        "are kept. This shop charges nobody: use a published test number such as 4242 4242 4242 4242. No pattern can "
        "say that the check digit (Luhn) must match and that American Express prints four digits of security code, "
        "all others three.",
    ),
    Call("delete", "/me/card", "delete_card", "Account", "Remove the payment card", 204),
    Call(
        "post", "/me/finished", "finish", "Month", "Be done for this month", 200, models.Finished,
        description="The month may end early when everybody is done. Saying so twice is saying so once.",
    ),
    Call(
        "get", "/month", "show_month", "Month", "Show the current month", 200, models.Month, public=True,
        description="Goods come once a month. While one month is closed and the next not open yet, purchases are "
        "refused with 503 and `Retry-After`.",
    ),
    Call(
        "get", "/products", "list_products", "Products", "List what is in stock", 200, models.ProductPage,
        parameters=("q", "manufacturer", "sort", *_PAGED), headers=("Link",), public=True, conditional=True,
        description="In pages, in a stable order: equals are ordered by name and `stock_id`. The header `Link` names "
        "the first, previous, next and last page. Goods that sell out leave the list, so a later page may begin a "
        "little further on.",
        links={
            "ShowProduct": Link("show_product", "One product of the list.", {"stock_id": _FIRST + "stock_id"}),
            "PutInCart": Link("put_in_cart", "Put it in the cart.", {"stock_id": _FIRST + "stock_id"}, {"quantity": 1}),
        },
    ),
    Call(
        "get", "/products/{stock_id}", "show_product", "Products", "Show one product", 200, models.ProductShown,
        errors=(404,), parameters=("stock_id",), public=True, conditional=True,
        description="Sold out or not; `others` has the same good from other makers that have some, cheapest first.",
        links={"PutInCart": Link("put_in_cart", "Put it in the cart.", {"stock_id": "$response.body#/stock_id"},
                                 {"quantity": 1})},
    ),
    Call(
        "get", "/cart", "show_cart", "Cart", "Show the cart", 200, models.Cart, conditional=True,
        description="At current prices and quantities. Unless the shop holds goods for carts (`held_until`), a cart "
        "keeps nothing from others.",
        links={"BuyCart": Link("place_order", "Buy what is in the cart.", body={})},
    ),
    Call(
        "put", "/cart/{stock_id}", "put_in_cart", "Cart", "Set how many of a product are in the cart", 200, models.Cart,
        models.NewQuantity, (404, 409), ("stock_id",),
        description="Sets the line to this quantity and accepts the present price. 409 if there is less; the cart is "
        "then as before.",
        links={
            "ShowCart": _SHOW_CART,
            "BuyCart": Link("place_order", "Buy what is in the cart.", body={}),
            "TakeOut": Link("take_out_of_cart", "Take it out again.", {"stock_id": "$request.path.stock_id"}),
        },
    ),
    Call(
        "delete", "/cart/{stock_id}", "take_out_of_cart", "Cart", "Take a product out of the cart", 200, models.Cart,
        errors=(404,), parameters=("stock_id",),
        description="A line that is not there is as good as taken out.", links={"ShowCart": _SHOW_CART},
    ),
    Call(
        "post", "/cart/{stock_id}/hold", "hold_again", "Cart", "Have a product in the cart held again", 200, models.Cart,
        errors=(404, 409), parameters=("stock_id",),
        description="Where the shop holds goods for carts, putting a product in the cart holds it for a while "
        "(`held_until`); a changed quantity does not hold it for longer. This begins the time anew, whether it has run "
        "out or not, as often as the shop allows (`can_hold_again`). 409 if the goods are gone, or with a `reason`: "
        "`extensions`, `lines` or `units` is the limit that was reached, `off` means that this shop holds nothing.",
        links={"ShowCart": _SHOW_CART},
    ),
    Call(
        "post", "/orders", "place_order", "Orders", "Buy", 201, models.Order, models.NewOrder,
        (402, 409), ("Idempotency-Key",), headers=("Location", "Idempotency-Replayed"),
        description="Buys `lines`, or the cart if there are none: all of it or nothing, charged to the account's card. "
        "Lines of the same `stock_id` count together. The same `Idempotency-Key` with the same body gets the same "
        "answer again, refusals included, with `Idempotency-Replayed: true`; with another body it is 422. When an "
        "answer was lost, or is 503 `outcome-unknown`, send the same request again. A price that changed since the "
        "line was put in the cart is not charged: 409 names it.",
        links={
            "ShowOrder": Link("show_order", "The order itself.", {"order_id": "$response.body#/id"}),
            "ListOrders": _SHOW_ORDERS,
        },
    ),
    Call(
        "get", "/orders", "list_orders", "Orders", "List the own orders", 200, models.OrderPage, parameters=_PAGED,
        headers=("Link",), conditional=True,
        description="Newest first, in pages; the header `Link` names the neighbouring ones. An order that is placed meanwhile "
        "moves others to the next page, never out: know them by their `id`.",
        links={"ShowOrder": Link("show_order", "One order of the list.", {"order_id": _FIRST + "id"})},
    ),
    Call(
        "get", "/orders/{order_id}", "show_order", "Orders", "Show one of the own orders", 200, models.Order,
        errors=(404,), parameters=("order_id",), conditional=True,
        description="Another customer's order is not found, just like one that does not exist.",
    ),
)  # fmt: skip

TAGS = {
    "Products": "What there is to buy.",
    "Cart": "What a customer means to buy.",
    "Orders": "What a customer has bought.",
    "Account": "Who a customer is: account, session, payment card.",
    "Month": "The shop sells month by month.",
}
