"""JSON from outside, read strictly: what Python's reader lets pass silently is an error here.

Refused: UTF-16 and other encodings, a byte order mark, a key given twice, NaN and Infinity, numbers too large to be
exact, nesting that would exhaust the stack, anything but one object.
"""

import json
import math
from typing import Any

INTEGER_DIGITS_MAX = 18  # fits into the 64-bit integers of both databases
NESTING_MAX = 32  # chosen: nothing that we read nests deeper than 4


class MalformedJson(Exception):
    """The bytes are not the JSON object that was expected; the text says why."""


def read_object(raw: bytes) -> dict[str, Any]:
    """The object that ``raw`` holds; raises MalformedJson."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"the body is not UTF-8 (byte {error.start})"
        raise MalformedJson(msg) from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except (ValueError, RecursionError) as error:
        msg = "nested too deeply" if isinstance(error, RecursionError) else f"the body is not JSON: {error}"
        raise MalformedJson(msg) from error
    if type(value) is not dict:
        msg = "the body must be a JSON object"
        raise MalformedJson(msg)
    if _depth(value) > NESTING_MAX:
        msg = "nested too deeply"
        raise MalformedJson(msg)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            msg = f"the key {key[:40]!r} is given twice"
            raise MalformedJson(msg)
        result[key] = value
    return result


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not a JSON value"
    raise MalformedJson(msg)


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > INTEGER_DIGITS_MAX:
        msg = f"a number has more than {INTEGER_DIGITS_MAX} digits"
        raise MalformedJson(msg)
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        msg = "a number is too large"
        raise MalformedJson(msg)
    return value


def _depth(value: Any) -> int:
    """Levels of nesting, counted without recursion."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        inner, level = waiting.pop()
        if isinstance(inner, (dict, list)):
            deepest = max(deepest, level)
            waiting += [(child, level + 1) for child in (inner.values() if isinstance(inner, dict) else inner)]
    return deepest
