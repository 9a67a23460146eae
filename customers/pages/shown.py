"""How values look on pages: money, dates, card brands. Used as template filters."""

import datetime as dt
import zlib
from dataclasses import dataclass
from decimal import Decimal

# Currencies whose minor unit is not a hundredth (ISO 4217).
_EXPONENTS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "TND": 3, "JOD": 3, "OMR": 3}
_SIGNS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥"}

HUES = 12  # classes hue-0 … hue-11 of the style sheet

STATUS_STEPS = ("confirmed", "packed", "shipped", "delivered")
STATUS_WORDS = {"confirmed": "Received", "packed": "Packed", "shipped": "On its way", "delivered": "Delivered"}


def money(amount_minor: int, currency: str) -> str:
    """Minor units as people write them: 123456 GBP is £1,234.56."""
    exponent = _EXPONENTS.get(currency, 2)
    value = Decimal(amount_minor).scaleb(-exponent)
    sign = _SIGNS.get(currency)
    digits = f"{value:,.{exponent}f}"
    return f"{sign}{digits}" if sign else f"{digits} {currency}"


def moment(value: dt.datetime) -> str:
    """A time for people, in UTC, for servers do not know where the reader is."""
    utc = value.astimezone(dt.UTC)
    return f"{utc.day} {utc:%B %Y, %H:%M} UTC"


def time_left(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


@dataclass(frozen=True)
class Step:
    """One step of an order's way; ``state`` is done, now or later."""

    words: str
    state: str


def status(name: str) -> str:
    return STATUS_WORDS.get(name, name)


def steps(name: str) -> list[Step]:
    position = STATUS_STEPS.index(name) if name in STATUS_STEPS else 0
    states = ["done"] * position + ["now"] + ["later"] * (len(STATUS_STEPS) - position - 1)
    return [Step(STATUS_WORDS[step], state) for step, state in zip(STATUS_STEPS, states, strict=True)]


def monogram(name: str) -> str:
    """Up to two first letters, for the tile that stands in for a picture."""
    words = [word for word in name.split() if word[0].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or "?"


def hue(sku: str) -> int:
    """The tile's colour: one of twelve, the same for the same good everywhere."""
    return zlib.crc32(sku.encode()) % HUES
