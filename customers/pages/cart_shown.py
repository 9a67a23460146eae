"""The cart as a page showed it, written into the form of the buy button: what is bought is what was seen.

The text is checked again by the distributor against cart and stock, so a forged one only refuses its own sender.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from customers.errors import MalformedRequest
from customers.languages import gettext as _
from customers.numbers import COUNT, ROW_ID
from distributor.queries import CartLine, Order
from distributor.sales import Line

LENGTH_MAX = 200_000  # 5,000 lines of 40 characters
_LINES = re.compile(f"{ROW_ID}:{COUNT}:{ROW_ID}")  # stock row, quantity, price in minor units
_IDS = re.compile(ROW_ID)


@dataclass(frozen=True)
class CartShown:
    """``lines`` sorted by stock id, with the ``prices`` that stood beside them; ``left_out`` stays in the cart."""

    lines: tuple[Line, ...]
    prices: Mapping[int, int]
    left_out: frozenset[int] = frozenset()

    def was_bought_as(self, order: Order) -> bool:
        """Whether this order is exactly what the page offered to buy."""
        bought = sorted((line.stock_id, line.quantity, line.price_minor) for line in order.lines)
        return bought == [(line.stock_id, line.quantity, self.prices[line.stock_id]) for line in self.lines]


def write(lines: Iterable[CartLine]) -> str:
    return ",".join(f"{line.item.stock_id}:{line.quantity}:{line.item.price_minor}" for line in lines)


def write_ids(lines: Iterable[CartLine]) -> str:
    return ",".join(str(line.item.stock_id) for line in lines)


def read(lines: str, left_out: str = "") -> CartShown:
    """Raises MalformedRequest for anything that `write` and `write_ids` do not write."""
    parts = lines.split(",")
    others = left_out.split(",") if left_out else []
    if not all(_LINES.fullmatch(part) for part in parts) or not all(_IDS.fullmatch(part) for part in others):
        raise MalformedRequest(_("The form does not say which cart it was made for; open the checkout again."))
    numbers = [[int(number) for number in part.split(":")] for part in parts]
    return CartShown(
        lines=tuple(sorted((Line(stock_id, quantity) for stock_id, quantity, _price in numbers), key=_by_stock_id)),
        prices={stock_id: price for stock_id, _quantity, price in numbers},
        left_out=frozenset(int(part) for part in others),
    )


def _by_stock_id(line: Line) -> int:
    return line.stock_id
