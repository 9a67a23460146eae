"""The cart as a page showed it, written into the form of the buy button: what is bought is what was seen.

The text is checked again by the distributor against cart and stock, so a forged one only refuses its own sender.
"""

import re
from dataclasses import dataclass

from customers.errors import MalformedRequest
from customers.languages import gettext as _
from distributor.queries import Cart
from distributor.sales import Line

LENGTH_MAX = 200_000  # 5,000 lines of 40 characters
_LINES = re.compile(r"[1-9][0-9]{0,17}:[1-9][0-9]{0,5}:[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class CartShown:
    lines: tuple[Line, ...]
    prices: dict[int, int]


def write(cart: Cart) -> str:
    return ",".join(f"{line.item.stock_id}:{line.quantity}:{line.item.price_minor}" for line in cart.lines)


def read(text: str) -> CartShown:
    """Raises MalformedRequest for anything that `write` does not write."""
    parts = text.split(",")
    if not all(_LINES.fullmatch(part) for part in parts):
        raise MalformedRequest(_("The form does not say which cart it was made for; open the cart again."))
    numbers = [[int(number) for number in part.split(":")] for part in parts]
    return CartShown(
        lines=tuple(sorted((Line(stock_id, quantity) for stock_id, quantity, _ in numbers), key=lambda x: x.stock_id)),
        prices={stock_id: price for stock_id, _, price in numbers},
    )
