"""What the distributor says over the broker, checked field by field before it may touch the ledger.

Anything that is wrong raises InvalidMessage, whose text names the field: such a message will never become right.
Fields that we do not know are let pass: the distributor may say more one day.
"""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Collection
from typing import Any

from broker.contract import MONTH_CLOSED, SALE_RECORDED, STOCK_DEPLETED, Message
from manufacturers.ledger import Event, MonthClosed, Sale, SaleLine, StockDepleted, Total

MONTH_MAX = 999_999  # as the API's path: six digits
UNITS_MAX = 100_000_000  # of one sale; chosen: ten times the largest capacity; sums stay far inside 64 bits
TOTAL_UNITS_MAX = 1_000_000_000_000  # what is unsold is carried over: the largest capacity for 100,000 months
PRICE_MINOR_MAX = 1_000_000_000_000
ORDER_ID_MAX = 2**63 - 1
LINES_MAX = 100_000
PARTS_MAX = 10_000  # of a month's end; chosen: 10,000 products in each are more than anybody makes
CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
REASONS = ("depleted", "finished", "time_over", "by_hand")


class InvalidMessage(Exception):
    """This message can never be applied; the text says why."""


def check(message: Message, code: str, skus: Collection[str]) -> Event:
    """The event that the message tells to the manufacturer ``code``, which makes ``skus``; raises InvalidMessage."""
    if message.recipient != code:
        msg = f"recipient: this message is for {message.recipient!r}, not for {code!r}"
        raise InvalidMessage(msg)
    reader = READERS.get(message.type)
    if reader is None:
        msg = f"type: {message.type!r} is not one of {', '.join(READERS)}"
        raise InvalidMessage(msg)
    if not isinstance(message.body, dict):
        msg = "body: must be an object"
        raise InvalidMessage(msg)
    content = reader(message.body, skus)
    try:
        body = json.dumps(message.body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        msg = f"body: is not JSON: {error}"
        raise InvalidMessage(msg) from error
    return Event(message.id, message.type, body, hashlib.sha256(body.encode()).hexdigest(), content)


def _sale(body: dict[str, Any], skus: Collection[str]) -> Sale:
    _time(body, "recorded_at")
    lines = []
    for field, row in _rows(body, "lines", skus):
        currency = row.get("currency")
        if not isinstance(currency, str) or not CURRENCY.fullmatch(currency):
            msg = f"{field}.currency: must be three capital letters"
            raise InvalidMessage(msg)
        quantity = _integer(row, "quantity", 1, UNITS_MAX, field)
        lines.append(SaleLine(row["sku"], quantity, _integer(row, "price_minor", 1, PRICE_MINOR_MAX, field)))
    if not lines:
        msg = "lines: must not be empty"
        raise InvalidMessage(msg)
    return Sale(_integer(body, "order_id", 1, ORDER_ID_MAX), _month(body), tuple(lines))


def _depleted(body: dict[str, Any], skus: Collection[str]) -> StockDepleted:
    _time(body, "at")
    return StockDepleted(_month(body), _sku(body, "", skus))


def _closed(body: dict[str, Any], skus: Collection[str]) -> MonthClosed:
    _time(body, "closed_at")
    if body.get("reason") not in REASONS:
        msg = f"reason: must be one of {', '.join(REASONS)}"
        raise InvalidMessage(msg)
    totals = [
        Total(row["sku"], *(_integer(row, name, 0, TOTAL_UNITS_MAX, field) for name in ("supplied", "sold", "unsold")))
        for field, row in _rows(body, "totals", skus)
    ]
    if not body.keys() & {"part", "parts"}:  # as it was said before there were parts
        return MonthClosed(_month(body), body["reason"], tuple(totals))
    parts = _integer(body, "parts", 1, PARTS_MAX)
    return MonthClosed(_month(body), body["reason"], tuple(totals), _integer(body, "part", 1, parts), parts)


READERS: dict[str, Callable[[dict[str, Any], Collection[str]], Sale | StockDepleted | MonthClosed]] = {
    SALE_RECORDED: _sale,
    STOCK_DEPLETED: _depleted,
    MONTH_CLOSED: _closed,
}


def _rows(body: dict[str, Any], name: str, skus: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
    """(name of the row for messages, row) of a list of objects, each with a sku of its own that we know."""
    rows = body.get(name)
    if not isinstance(rows, list) or len(rows) > LINES_MAX:
        msg = f"{name}: must be a list of at most {LINES_MAX} objects"
        raise InvalidMessage(msg)
    seen: set[str] = set()
    result = []
    for number, row in enumerate(rows):
        field = f"{name}[{number}]"
        if not isinstance(row, dict):
            msg = f"{field}: must be an object"
            raise InvalidMessage(msg)
        sku = _sku(row, field, skus)
        if sku in seen:
            msg = f"{field}.sku: {sku!r} is given twice"
            raise InvalidMessage(msg)
        seen.add(sku)
        result.append((field, row))
    return result


def _sku(row: dict[str, Any], field: str, skus: Collection[str]) -> str:
    sku = row.get("sku")
    if not isinstance(sku, str) or sku not in skus:
        shown = ascii(sku[:80]) if isinstance(sku, str) else type(sku).__name__
        msg = f"{_path(field, 'sku')}: {shown} is not one of our goods"
        raise InvalidMessage(msg)
    return sku


def _month(body: dict[str, Any]) -> int:
    return _integer(body, "month", 1, MONTH_MAX)


def _integer(row: dict[str, Any], name: str, least: int, most: int, field: str = "") -> int:
    value = row.get(name)
    if type(value) is not int or not least <= value <= most:  # bool is an int to isinstance
        msg = f"{_path(field, name)}: must be an integer from {least} to {most}"
        raise InvalidMessage(msg)
    return value


def _time(body: dict[str, Any], name: str) -> None:
    try:
        zone = dt.datetime.fromisoformat(body[name]).tzinfo
    except (KeyError, TypeError, ValueError):
        zone = None
    if zone is None:
        msg = f"{name}: must be an RFC 3339 time with its zone"
        raise InvalidMessage(msg)


def _path(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name
