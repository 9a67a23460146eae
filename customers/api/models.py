"""Every body that the API reads or writes, as pydantic models: what is checked and what is described are one thing.

Requests bound types and sizes; what a field means (an e-mail address, a card) is checked where it is used.
"""

import datetime as dt
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from customers.accounts import cards, emails, names, passwords
from customers.json_input import Body

ID_MAX = 10**18 - 1  # what the paths accept; within PostgreSQL's bigint
QUANTITY_MAX = 999_999
LINES_MAX = 5_000  # the highest that cart.lines_max can be set to
TEXT_MAX = 2_000  # bounds the work before the exact rule of a field is asked

Text = Annotated[str, Field(max_length=TEXT_MAX)]

# `json_schema_extra` describes what the exact rule of a field is; the rule itself gives the better message.
Email = Annotated[str, Field(max_length=TEXT_MAX, json_schema_extra={"pattern": emails.PATTERN, "maxLength": 254})]
Name = Annotated[
    str,
    Field(
        max_length=TEXT_MAX,
        json_schema_extra={"pattern": names.PATTERN, "minLength": 1, "maxLength": names.LENGTH_MAX},
    ),
]
Id = Annotated[int, Field(ge=1, le=ID_MAX)]
Quantity = Annotated[int, Field(ge=1, le=QUANTITY_MAX)]
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
    email: Email
    password: NewPassword = Field(repr=False)
    first_name: Name
    last_name: Name


class Credentials(Body):
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
    quantity: Quantity


class OrderLineWanted(Body):
    stock_id: Id
    quantity: Quantity


class NewOrder(Body):
    """Lines to buy; without ``lines`` it is the cart that is bought."""

    lines: Annotated[list[OrderLineWanted], Field(min_length=1, max_length=LINES_MAX)] = Field(default=[])


class Answer(BaseModel):
    """Base of what the API writes."""


class Money(Answer):
    amount: int = Field(description="in minor units, such as pence")
    currency: str = Field(description="ISO 4217", pattern="^[A-Z]{3}$")


class Maker(Answer):
    code: str
    name: str


class Account(Answer):
    id: int
    email: str
    first_name: str
    last_name: str


class Card(Answer):
    brand: str
    last4: str
    expiry: str = Field(description="MM/YY; good until the end of that month")


class Me(Account):
    card: Card | None


class Session(Answer):
    token: str
    expires_at: dt.datetime


class Product(Answer):
    stock_id: int
    sku: str
    name: str
    manufacturer: Maker
    price: Money
    available: int = Field(description="what this reader can buy now")
    in_other_carts: int = Field(description="units that others hold in their carts at the moment")


class ProductPage(Answer):
    items: list[Product]
    page: int
    per_page: int
    total: int


class CartLine(Product):
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
    lines: list[CartLine]
    total: Money | None = Field(description="null for an empty cart and for goods in several currencies")
    can_be_bought: bool = Field(description="there is enough of everything, at the prices that were seen")


class OrderLine(Answer):
    stock_id: int
    sku: str
    name: str
    manufacturer: Maker
    quantity: int
    price: Money
    subtotal: Money


class Order(Answer):
    id: int
    status: str
    month: int
    lines: list[OrderLine]
    total: Money
    created_at: dt.datetime


class OrderPage(Answer):
    items: list[Order]
    page: int
    per_page: int
    total: int


class Finished(Answer):
    month: int


class Month(Answer):
    number: int
    state: str
    reason: str | None = Field(description="why it was closed")
    ends_at: dt.datetime
    now: dt.datetime = Field(description="the database's clock")


class Problem(Answer):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


class Mistake(Answer):
    field: str
    message: str


class InvalidProblem(Problem):
    errors: list[Mistake] = Field(default=[], description="every field that is not right")


class ShortLine(Answer):
    stock_id: int
    wanted: int
    available: int
    in_other_carts: int | None = Field(
        default=None, description="units that others hold; absent where carts hold nothing back"
    )


class RepricedLine(Answer):
    stock_id: int
    price_seen: Money
    price: Money


class ConflictProblem(Problem):
    reason: str | None = None
    lines: list[ShortLine | RepricedLine] = Field(
        default=[], description="every line of which there is not enough, and what is left; or every new price"
    )
