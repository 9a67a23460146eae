"""How values look on pages: numbers, money, dates, an order's steps. Used as template filters, in the reader's language."""

import datetime as dt
from dataclasses import dataclass

from customers.languages import Lazy, formats, language
from customers.languages import lazy_gettext as _

STATUS_WORDS = {
    "confirmed": _("Received"),
    "packed": _("Packed"),
    "shipped": _("On its way"),
    "delivered": _("Delivered"),
}
STATUS_STEPS = tuple(STATUS_WORDS)


_TIMES = {
    "hours": _("%(hours)s h %(minutes)s min"),
    "minutes": _("%(minutes)s min %(seconds)s s"),
    "seconds": _("%(seconds)s s"),
}


def number(value: int) -> str:
    return formats.number(value, language())


def money(amount_minor: int, currency: str) -> str:
    return formats.money(amount_minor, currency, language())


def moment(value: dt.datetime) -> str:
    """A time for people, in UTC, for servers do not know where the reader is."""
    return formats.moment(value, language())


def time_left(seconds: float) -> str:
    """The two largest units that say something; the script counts on in the same words."""
    whole = max(0, int(seconds))
    if whole < 60:
        return str(_TIMES["seconds"]) % {"seconds": whole}
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return str(_TIMES["minutes"]) % {"minutes": minutes, "seconds": f"{rest:02}"}
    hours, minutes = divmod(minutes, 60)
    return str(_TIMES["hours"]) % {"hours": hours, "minutes": f"{minutes:02}"}


def times() -> dict[str, str]:
    """The words of `time_left`, by their largest unit, for the script."""
    places = {name: f"{{{name}}}" for name in ("hours", "minutes", "seconds")}
    return {unit: str(words) % places for unit, words in _TIMES.items()}


@dataclass(frozen=True)
class Step:
    """One step of an order's way; ``state`` is done, now or later."""

    words: Lazy
    state: str


def status(name: str) -> str:
    return str(STATUS_WORDS.get(name, name))


def steps(name: str) -> list[Step]:
    position = STATUS_STEPS.index(name) if name in STATUS_STEPS else 0
    states = ["done"] * position + ["now"] + ["later"] * (len(STATUS_STEPS) - position - 1)
    return [Step(STATUS_WORDS[step], state) for step, state in zip(STATUS_STEPS, states, strict=True)]
