"""What a customer is offered for lines that others were faster with. Values in, values out.

O1  Nothing is offered that is not there: of another manufacturer's goods at most what this cart does not have of it yet.
O2  Who has as many as are wanted comes first, then who is cheapest; a shorter offer says how many it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distributor.queries import Cart, CartLine, Item

OTHERS_MAX = 3  # offers of one line; the product's own page lists everybody


@dataclass(frozen=True)
class Other:
    """The same good from somebody else: ``quantity`` units of it would take the line's place."""

    item: Item
    quantity: int

    @property
    def total_minor(self) -> int:
        return self.quantity * self.item.price_minor


@dataclass(frozen=True)
class Lost:
    """A line of which there is not enough any more, and what can be had instead."""

    line: CartLine
    others: tuple[Other, ...]

    @property
    def left(self) -> int:
        return self.line.item.available


def lost_lines(cart: Cart, others: Mapping[int, Sequence[Item]]) -> tuple[Lost, ...]:
    """``others``: by the lost line's stock id, cheapest first."""
    in_cart = {line.item.stock_id: line.quantity for line in cart.lines}
    return tuple(
        Lost(line, _offered(line, others.get(line.item.stock_id, ()), in_cart)) for line in cart.lines if line.is_short
    )


def _offered(line: CartLine, others: Sequence[Item], in_cart: Mapping[int, int]) -> tuple[Other, ...]:
    free = [(item, item.available - in_cart.get(item.stock_id, 0)) for item in others]
    offered = [Other(item, min(units, line.quantity)) for item, units in free if units > 0]
    offered.sort(key=lambda other: other.quantity < line.quantity)  # stable: cheapest first among equals (O2)
    return tuple(offered[:OTHERS_MAX])


def rest(cart: Cart) -> Cart:
    """The lines that can be bought."""
    return Cart(tuple(line for line in cart.lines if not line.is_short), cart.hold_seconds)
