"""How values look on pages: numbers, money, dates. Used as template filters, in the reader's language."""

import datetime as dt

from customers.languages import formats, language
from customers.languages import lazy_gettext as _

_TIMES = {
    "hours": _("%(hours)s h %(minutes)s min"),
    "minutes": _("%(minutes)s min %(seconds)s s"),
    "seconds": _("%(seconds)s s"),
}

_SPANS = {"hours": _("%(hours)s h"), "minutes": _("%(minutes)s min")}


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


def span(seconds: int) -> str:
    """A length of time that is not counting down: whole minutes say no seconds, whole hours no minutes."""
    minutes, rest = divmod(seconds, 60)
    if rest or not minutes:
        return time_left(seconds)
    unit, count = ("minutes", minutes) if minutes < 60 or minutes % 60 else ("hours", minutes // 60)
    return str(_SPANS[unit]) % {unit: count}


def times() -> dict[str, str]:
    """The words of `time_left`, by their largest unit, for the script."""
    places = {name: f"{{{name}}}" for name in ("hours", "minutes", "seconds")}
    return {unit: str(words) % places for unit, words in _TIMES.items()}
