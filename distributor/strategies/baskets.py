"""Baskets before any SQL: lines merged, sorted and within bounds (C2). Pure; nothing here knows the database."""

from collections.abc import Sequence

from distributor.errors import InvalidBasket
from distributor.strategies.contract import Line

STOCK_ID_MAX = 2**63 - 1  # PostgreSQL's bigint


def merge(lines: Sequence[Line], *, lines_max: int, quantity_max: int) -> tuple[Line, ...]:
    """One line per stock row, in the one order in which all purchases lock; raises InvalidBasket naming the field.

    Lines of the same stock row are summed first: two lines of 3 must not pass where only 5 are left or allowed.
    """
    if not lines:
        raise InvalidBasket("lines", "give at least one line")
    if len(lines) > lines_max:
        raise InvalidBasket("lines", "give at most %(maximum)s lines", maximum=lines_max)
    total: dict[int, int] = {}
    for position, line in enumerate(lines):
        _check(line, f"lines[{position}]")
        total[line.stock_id] = total.get(line.stock_id, 0) + line.quantity
        if total[line.stock_id] > quantity_max:
            raise InvalidBasket(
                f"lines[{position}].quantity", "take at most %(maximum)s units of one product", maximum=quantity_max
            )
    return tuple(Line(stock_id, total[stock_id]) for stock_id in sorted(total))


def _check(line: Line, field: str) -> None:
    if not _is_whole(line.stock_id) or not 1 <= line.stock_id <= STOCK_ID_MAX:
        raise InvalidBasket(f"{field}.stock_id", "use a whole number, 1 or more")
    if not _is_whole(line.quantity) or line.quantity < 1:
        raise InvalidBasket(f"{field}.quantity", "use a whole number, 1 or more")


def _is_whole(value: object) -> bool:
    """True is an int to Python, but nobody orders True bicycles."""
    return isinstance(value, int) and not isinstance(value, bool)
