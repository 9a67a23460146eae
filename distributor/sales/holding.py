"""What a purchase does about holds, where carts hold goods (``cart.hold_seconds`` above 0); see distributor/holds.

B1  `compare` runs after the strategy's ``take``, in a statement of its own: the rows that were taken from are locked by
    the strategy's own UPDATE, so nobody's hold can begin between the comparison and the commit (H3, H4).
B2  What is bought uses up the buyer's own hold in the same transaction: lines of the cart go with their holds, and of
    goods bought beside the cart the hold shrinks by what was bought.
B3  A refusal says of each line what is left for this buyer, and how much of it others hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from sqlalchemy import Connection

from distributor import holds
from distributor.errors import ShortLine
from distributor.holds import arithmetic
from distributor.sales.rules import Basket, Refusal, refusal_short
from distributor.strategies.contract import Line, TakenLine

Short = tuple[ShortLine, ...]
Lines = tuple[TakenLine, ...]


@dataclass(frozen=True)
class Shortage:
    """Why a purchase leaves its transaction; what is left is read after that, when all that it took is given back.

    ``held``: the buyer's own units by stock id, while the purchase held its cart's locks.
    """

    customer_id: int
    lines: tuple[Line, ...]
    short: Short
    held: Mapping[int, int]


@dataclass(frozen=True)
class Comparison:
    """``crowded_out``: baskets, by index, that took what others hold. ``used``: what holds were for (B2)."""

    crowded_out: dict[int, Shortage]
    used: list[holds.Bought]
    before: Mapping[int, holds.Standing]
    left: Mapping[int, holds.Standing]

    def why_short(self, basket: Basket, short: Short) -> Shortage:
        """Of a basket that leaves its transaction."""
        held = {line.stock_id: self.standing(line).own(basket.customer_id) for line in basket.lines}
        return Shortage(basket.customer_id, basket.lines, short, held)

    def standing(self, line: Line) -> holds.Standing:
        return self.before.get(line.stock_id, holds.NOTHING)

    def short_here(self, basket: Basket, short: Short) -> Short:
        """Of a basket that took nothing, in a transaction that goes on with others."""
        return arithmetic.shortages(
            self.left, basket.customer_id, basket.lines, {line.stock_id: line for line in short}
        )


class NothingHeld:
    """In place of a `Comparison` where carts hold nothing: what is short is refused as the strategy says it."""

    crowded_out: Mapping[int, Shortage] = MappingProxyType({})
    used: Sequence[holds.Bought] = ()

    def why_short(self, _basket: Basket, short: Short) -> Refusal:
        return refusal_short(short)

    def short_here(self, _basket: Basket, short: Short) -> Short:
        return short


def compare(connection: Connection, baskets: Mapping[int, Basket], taken: Mapping[int, Lines]) -> Comparison:
    """Compare what was taken with what others hold (B1)."""
    stock_ids = {line.stock_id for basket in baskets.values() for line in basket.lines}
    before = holds.standings(connection, stock_ids, [basket.customer_id for basket in baskets.values()])
    judged = {index: basket for index, basket in baskets.items() if index in taken}
    verdict = arithmetic.judge(before, [(basket.customer_id, basket.lines) for basket in judged.values()])
    comparison = Comparison({}, [], before, verdict.left)
    for (index, basket), short in zip(judged.items(), verdict.short, strict=True):
        if short:
            comparison.crowded_out[index] = comparison.why_short(basket, short)
        elif not basket.from_cart:
            comparison.used.extend(
                holds.Bought(basket.customer_id, line.stock_id, line.quantity)
                for line in basket.lines
                if comparison.standing(line).own(basket.customer_id)
            )
    return comparison


def what_is_left(connection: Connection, shortage: Shortage) -> Short:
    """Every line that this buyer cannot have now (B3); those that were short remain so."""
    customer_id = shortage.customer_id
    now = holds.standings(connection, [line.stock_id for line in shortage.lines], [customer_id])
    short = arithmetic.shortages(now, customer_id, shortage.lines, {line.stock_id: line for line in shortage.short})
    return tuple(replace(line, held=shortage.held.get(line.stock_id, 0)) for line in short)
