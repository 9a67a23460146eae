"""Whether what ``take`` returned can be used at all (C3). Pure: it knows the baskets and the results, not the database."""

from collections.abc import Sequence

from distributor.errors import ShortLine
from distributor.strategies.contract import Line, Short, Taken, TakenLine

_TAKEN_TYPES = {
    "stock_id": int,
    "quantity": int,
    "price_minor": int,
    "currency": str,
    "manufacturer": str,
    "manufacturer_name": str,
    "sku": str,
    "name": str,
    "left": int,
}


def problem_of(baskets: Sequence[Sequence[Line]], results: object) -> str | None:
    """What is wrong with the results of these baskets, as a sentence about ``take``; None if nothing is."""
    if not isinstance(results, list | tuple):
        return f"returned {_told(results)}, not a list with one Taken or Short for each basket"
    if len(results) != len(baskets):
        return f"returned {len(results)} results for {len(baskets)} baskets"
    for number, (lines, result) in enumerate(zip(baskets, results, strict=True)):
        problem = _problem_of_one(lines, result)
        if problem:
            return f"result {number} {problem}"
    return None


def _problem_of_one(lines: Sequence[Line], result: object) -> str | None:
    if isinstance(result, Short):
        return _problem_of_short(lines, result)
    if not isinstance(result, Taken):
        return f"is {_told(result)}, neither Taken nor Short"
    if not isinstance(result.lines, list | tuple) or not all(isinstance(line, TakenLine) for line in result.lines):
        return "is Taken, but its lines are no sequence of TakenLine"
    wanted = [(line.stock_id, line.quantity) for line in lines]
    if [(line.stock_id, line.quantity) for line in result.lines] != wanted:
        return f"took other lines than the basket's {wanted}, in its order (use Short when some cannot be had)"
    return next(filter(None, map(_problem_of_taken, result.lines)), None)


def _problem_of_taken(line: TakenLine) -> str | None:
    for field, kind in _TAKEN_TYPES.items():
        value = getattr(line, field)
        if not isinstance(value, kind) or isinstance(value, bool):
            return f"has {field} {_told(value)}, not {kind.__name__}, in the line of stock {line.stock_id}"
    if line.left < 0:
        return f"leaves {line.left} units of stock {line.stock_id}"
    return None


def _problem_of_short(lines: Sequence[Line], result: Short) -> str | None:
    short = result.lines
    if not isinstance(short, list | tuple) or not all(isinstance(line, ShortLine) for line in short):
        return "is Short, but its lines are no sequence of ShortLine"
    if not short:
        return "is Short, but names no line"
    wanted = {line.stock_id: line.quantity for line in lines}
    for line in short:
        if wanted.get(line.stock_id) != line.wanted:
            return f"calls short what the basket does not have: stock {line.stock_id}, {line.wanted} units"
        if not isinstance(line.available, int) or not 0 <= line.available < line.wanted:
            return (
                f"calls stock {line.stock_id} short although {line.available} of the {line.wanted} wanted are available"
            )
    return None


def _told(value: object) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r:.80}"
