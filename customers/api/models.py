"""Every body that the API reads or writes, as pydantic models: what is checked and what is described are one thing.

Requests bound types and sizes; what a field means (an e-mail address, a card) is checked where it is used.
"""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from customers.accounts import cards, emails, names, passwords
from customers.json_input import Body
from customers.numbers import COUNT_MAX, ROW_ID_MAX
from distributor.queries.catalogue import LISTED_MAX, SEARCHED_MAX

LINES_MAX = 5_000  # the highest that cart.lines_max can be set to
NAME = "name"
"""Marks names until the description is put together: their pattern costs a tenth of a second to make."""
TEXT_MAX = 2_000  # bounds the work before the exact rule of a field is asked

Text = Annotated[str, Field(max_length=TEXT_MAX)]

# `json_schema_extra` describes what the exact rule of a field is; the rule itself gives the better message.
Email = Annotated[str, Field(max_length=TEXT_MAX, json_schema_extra={"pattern": emails.PATTERN, "maxLength": 254})]
Name = Annotated[
    str,
    Field(
        max_length=TEXT_MAX,
        json_schema_extra={"format": NAME, "minLength": 1, "maxLength": names.LENGTH_MAX},
    ),
]
Id = Annotated[int, Field(ge=1, le=ROW_ID_MAX)]
Quantity = Annotated[int, Field(ge=1, le=COUNT_MAX)]
_SECRET = {"format": "password", "writeOnly": True}
Password = Annotated[str, Field(max_length=TEXT_MAX, json_schema_extra=_SECRET)]
NewPassword = Annotated[
    str,
    Field(
        max_length=TEXT_MAX,
        json_schema_extra=_SECRET | {"minLength": passwords.LENGTH_MIN, "maxLength": passwords.BYTES_MAX},
    ),
]
CardNumber = Annotated[
    str, Field(max_length=TEXT_MAX, json_schema_extra=_SECRET | {"pattern": cards.NUMBER_PATTERN, "minLength": 12})
]
SecurityCode = Annotated[
    str, Field(max_length=TEXT_MAX, json_schema_extra=_SECRET | {"pattern": cards.SECURITY_CODE_PATTERN})
]
Expiry = Annotated[
    str, Field(max_length=TEXT_MAX, json_schema_extra={"pattern": cards.EXPIRY_PATTERN, "examples": ["07/29"]})
]


class NewCustomer(Body):
    """A new account."""

    email: Email
    password: NewPassword = Field(repr=False)
    first_name: Name
    last_name: Name


class Credentials(Body):
    """What a customer signs in with."""

    email: Text
    password: Password = Field(repr=False)


class AccountChange(Body):
    """Only what is sent changes; a new e-mail address or password needs the current password."""

    model_config = ConfigDict(
        json_schema_extra={"dependentRequired": {name: ["current_password"] for name in ("email", "password")}}
    )

    email: Email = ""
    first_name: Name = ""
    last_name: Name = ""
    password: NewPassword = Field(default="", repr=False)
    current_password: Password = Field(default="", repr=False)


class NewCard(Body):
    """The number and the security code are used for checking and then forgotten."""

    number: CardNumber = Field(repr=False)
    expiry: Expiry
    holder: Name
    security_code: SecurityCode = Field(default="", repr=False)


class NewQuantity(Body):
    """How many of a product are wanted."""

    quantity: Quantity


class OrderLineWanted(Body):
    """How many of which product."""

    stock_id: Id
    quantity: Quantity


class NewOrder(Body):
    """Lines to buy; without ``lines`` it is the cart that is bought."""

    lines: Annotated[list[OrderLineWanted], Field(min_length=1, max_length=LINES_MAX)] = Field(default=[])


class Answer(BaseModel):
    """Base of what the API writes."""


class Money(Answer):
    """An amount of money, never a fraction of a penny."""

    amount: int = Field(description="in minor units, such as pence")
    currency: str = Field(description="ISO 4217", pattern="^[A-Z]{3}$")


class Maker(Answer):
    """Who makes the goods."""

    code: str
    name: str


class Account(Answer):
    """An account as its customer sees it."""

    id: int
    email: str
    first_name: str
    last_name: str


class Card(Answer):
    """What is kept of a payment card."""

    brand: str
    last4: str = Field(description="the last four digits")
    expiry: str = Field(description="MM/YY; good until the end of that month")


class Me(Account):
    """The own account with its card."""

    card: Card | None = Field(description="null if there is none")


class Session(Answer):
    """Proof of being signed in."""

    token: str = Field(description="opaque; send it as `Authorization: Bearer TOKEN`, keep it secret")
    expires_at: dt.datetime


class Product(Answer):
    """One good of one manufacturer, at this moment."""

    stock_id: int = Field(description="what carts and orders name")
    sku: str = Field(description="the article number, the same for every maker of this good")
    name: str
    manufacturer: Maker
    price: Money
    available: int = Field(description="what this reader can buy now")
    in_other_carts: int = Field(description="units that others hold in their carts at the moment")


class ProductShown(Product):
    """One product, in stock or not."""

    others: list[Product] = Field(description="the same good from other makers that have some, cheapest first")


class ProductPage(Answer):
    """A page of the catalogue."""

    items: list[Product]
    page: int
    per_page: int
    total: int = Field(
        description=f"of the whole list; of a longer one its first {LISTED_MAX} rows are shown and counted, "
        f"of what a search finds any {SEARCHED_MAX}"
    )


class CartLine(Product):
    """A product in the cart, at its present price."""

    quantity: int
    price_seen: Money = Field(description="the price when the line was put in the cart")
    subtotal: Money
    held_until: dt.datetime | None = Field(
        description="until when others cannot buy `held` units, by the shop's clock; null if nothing is held"
    )
    held: int = Field(description="units that are held; fewer than `quantity` beyond the shop's limits")
    hold_seconds_left: float = Field(description="by the shop's clock when this was answered")
    can_hold_again: bool = Field(description="whether the shop would hold it (again) from now on")


class Cart(Answer):
    """What the customer means to buy."""

    lines: list[CartLine] = Field(description="in the order in which they were put in")
    total: Money | None = Field(description="null for an empty cart and for goods in several currencies")
    can_be_bought: bool = Field(description="there is enough of everything, at the prices that were seen")


class OrderLine(Answer):
    """A product that was bought, at the price that was paid."""

    stock_id: int
    sku: str
    name: str
    manufacturer: Maker
    quantity: int
    price: Money
    subtotal: Money


class Order(Answer):
    """A purchase."""

    id: int
    status: Literal["confirmed", "packed", "shipped", "delivered"]
    month: int = Field(description="in which it was bought")
    lines: list[OrderLine] = Field(description="by `stock_id`")
    total: Money = Field(description="what the card was charged")
    created_at: dt.datetime


class OrderPage(Answer):
    """A page of the customer's orders."""

    items: list[Order]
    page: int
    per_page: int
    total: int = Field(description="of the whole list")


class Finished(Answer):
    """The customer is done for a month."""

    month: int


class Month(Answer):
    """The newest month."""

    number: int
    state: str = Field(description="`gathering` and `open`: the shop sells; anything else: it does not")
    reason: str | None = Field(description="why it was closed")
    ends_at: dt.datetime
    now: dt.datetime = Field(description="the database's clock")


class SessionShown(Answer):
    """One of the customer's sessions, without its token."""

    created_at: dt.datetime
    last_used_at: dt.datetime
    expires_at: dt.datetime
    browser: str | None
    system: str | None
    is_this_one: bool


class AccountShown(Account):
    """The account with what is kept beside it."""

    language: str | None = Field(description="null: as the browser asks")
    role: str
    created_at: dt.datetime


class Export(Answer):
    """Everything that the shop knows about a customer."""

    made_at: dt.datetime
    account: AccountShown
    card: Card | None
    sessions: list[SessionShown]
    cart: Cart
    orders: list[Order]
    finished_months: list[int]


class Problem(Answer):
    """What went wrong (RFC 9457). Tell problems apart by `type`; `title` and `detail` follow Accept-Language."""

    type: str = Field(description="one of the registry, or `about:blank` when the load balancer answers by itself")
    title: str
    status: int
    detail: str
    instance: str | None = Field(default=None, description="the path that was asked for")
    request_id: str | None = Field(
        default=None,
        description="the number in X-Request-Id; not in answers that an idempotency key keeps, for those stay the same",
    )


class Mistake(Answer):
    """What is wrong with one field."""

    field: str = Field(description="its name; nested ones with dots, such as `lines.0.quantity`")
    message: str


class InvalidProblem(Problem):
    """A problem with fields of the request."""

    errors: list[Mistake] = Field(default=[], description="every field that is not right")


class ShortLine(Answer):
    """A line of which there is not enough."""

    stock_id: int
    wanted: int
    available: int
    in_other_carts: int | None = Field(
        default=None, description="units that others hold; absent where carts hold nothing back"
    )
    held: int | None = Field(default=None, description="units that this customer held then; absent as above")


class RepricedLine(Answer):
    """A line whose price is another one by now."""

    stock_id: int
    price_seen: Money
    price: Money


class RefusalProblem(Problem):
    """A purchase or a change of the cart that is not possible as things are now."""

    reason: str | None = Field(default=None, description="the type's last word, as the shop's books have it")
    lines: list[ShortLine | RepricedLine] = Field(
        default=[], description="every line of which there is not enough, and what is left; or every new price"
    )
