"""The arithmetic of holds: values in, decisions out. No SQL and no clock in here.

    available to me = supplied - withdrawn - sold - what others hold

A1  What somebody holds is never subtracted from what they can have themselves (H5).
A2  A line is held whole, or as far as the limits of a customer allow; the rest of it is in the cart unheld.
A3  The time of a hold begins when the line is put in and when the customer asks for it again, never by a changed
    quantity; at most 1 + ``hold_extensions_max`` times for a line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distributor.errors import HoldRefused, ShortLine
from distributor.strategies.contract import Line
from settings.model import Cart as Limits


@dataclass(frozen=True)
class Standing:
    """One stock row at a moment. ``held``: live units by customer id; None is everybody who was not asked about."""

    available: int
    held: Mapping[int | None, int]

    def others(self, customer_id: int | None) -> int:
        """Units that this customer cannot have because others hold them; at most what is there."""
        units = sum(units for holder, units in self.held.items() if holder is None or holder != customer_id)
        return max(0, min(units, self.available))

    def left_for(self, customer_id: int | None) -> int:
        return max(0, self.available - self.others(customer_id))

    def own(self, customer_id: int) -> int:
        return self.held.get(customer_id, 0)


NOTHING = Standing(0, {})
"""A stock row that does not exist."""


@dataclass(frozen=True)
class Judgement:
    """``short``: of each basket, the lines that it must give back; ``left``: the stock rows when those are given back."""

    short: tuple[tuple[ShortLine, ...], ...]
    left: Mapping[int, Standing]


def judge(after: Mapping[int, Standing], baskets: Sequence[tuple[int, Sequence[Line]]]) -> Judgement:
    """Whether the baskets (customer id and lines, in order of taking) leave to others what they hold.

    ``after``: the stock rows when all have been taken. A basket is judged by what those before it that may go left it.
    """
    left = dict(after)
    for _customer, lines in baskets:
        for line in lines:
            left[line.stock_id] = Standing(left[line.stock_id].available + line.quantity, left[line.stock_id].held)
    found = []
    for customer_id, lines in baskets:
        short = shortages(left, customer_id, lines)
        found.append(short)
        if not short:
            left.update({line.stock_id: _bought(left[line.stock_id], customer_id, line.quantity) for line in lines})
    return Judgement(tuple(found), left)


def _bought(standing: Standing, customer_id: int, quantity: int) -> Standing:
    """Buying uses up one's own hold first."""
    own = max(0, standing.own(customer_id) - quantity)
    return Standing(standing.available - quantity, {**standing.held, customer_id: own})


def shortages(
    standings: Mapping[int, Standing],
    customer_id: int,
    lines: Sequence[Line],
    known: Mapping[int, ShortLine] | None = None,
) -> tuple[ShortLine, ...]:
    """Every line that this customer cannot have now; a ``known`` one stays short, whatever was freed since."""
    found = []
    for line in lines:
        standing = standings.get(line.stock_id, NOTHING)
        left = standing.left_for(customer_id)
        if known and line.stock_id in known:
            left = min(left, line.quantity - 1)
        if line.quantity > left:
            found.append(
                ShortLine(line.stock_id, line.quantity, left, standing.others(customer_id), standing.own(customer_id))
            )
    return tuple(found)


@dataclass(frozen=True)
class HeldLine:
    """A cart line as it stands, and what its customer holds elsewhere. ``held``: live units, 0 when the time is over."""

    quantity: int
    held: int
    holds_begun: int
    other_lines: int
    other_units: int


@dataclass(frozen=True)
class Grant:
    """What is to be held of a line; ``begins``: from now on for a whole ``hold_seconds``."""

    units: int
    begins: bool


def grant_by_change(line: HeldLine, limits: Limits) -> Grant:
    """What a line that was put in or changed may hold: no more time than before, except the first (A3)."""
    units = min(line.quantity, _room(line, limits))
    if line.held:
        return Grant(max(units, min(line.held, line.quantity)), begins=False)
    return Grant(units, begins=True) if line.holds_begun == 0 and units else Grant(0, begins=False)


def grant_again(line: HeldLine, limits: Limits) -> Grant:
    """What "hold again" comes to; raises HoldRefused naming the limit."""
    if not may_begin(line.holds_begun, limits):
        raise HoldRefused("extensions")
    room = _room(line, limits)
    if not room:
        raise HoldRefused("lines" if line.other_lines >= limits.hold_lines_max else "units")
    return Grant(min(line.quantity, room), begins=True)


def may_begin(holds_begun: int, limits: Limits) -> bool:
    """Whether the time of a hold may begin (again) that had begun so often (A3)."""
    return limits.hold_seconds > 0 and holds_begun <= limits.hold_extensions_max


def _room(line: HeldLine, limits: Limits) -> int:
    """Units that the customer may hold of this line beside all others (A2)."""
    if line.other_lines >= limits.hold_lines_max:
        return 0
    return max(0, limits.hold_units_max - line.other_units)
