"""How values look on pages: numbers, money, dates. Used as template filters, in the reader's language."""

import datetime as dt

from customers.languages import formats, gettext, language


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
        return gettext("%(seconds)s s", seconds=whole)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return gettext("%(minutes)s min %(seconds)s s", minutes=minutes, seconds=f"{rest:02}")
    hours, minutes = divmod(minutes, 60)
    return gettext("%(hours)s h %(minutes)s min", hours=hours, minutes=f"{minutes:02}")
