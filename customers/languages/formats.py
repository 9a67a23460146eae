"""How each language writes numbers, money and times: the formats of CLDR, taken from Babel once.

N1  Amounts are whole numbers of the minor unit from beginning to end, so that no digit is lost.
N2  The text is Babel's own, character for character, for a hundredth of its time: a page of the catalogue has dozens.
N3  Times are told in UTC and say so, for a server does not know where the reader is.
"""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import parse_pattern

from customers.languages.messages import LANGUAGES

LOCALES: dict[str, Locale] = {"en": Locale("en", "GB"), "pl": Locale("pl", "PL")}
"""A language's formats; English as it is written in Europe, day before month."""

MOMENTS_KEPT = 2_048  # a list shows twenty; kept ones cost a tenth of a microsecond
CURRENCIES_KEPT = 64
PERIOD = 101  # of our languages, none looks at more than the last two digits

# Currencies whose minor unit is not a hundredth (ISO 4217). CLDR counts the digits that are shown, not those that exist.
_EXPONENTS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "TND": 3, "JOD": 3, "OMR": 3}


@dataclass(frozen=True)
class Around:
    """What stands before and after the digits of an amount."""

    before: str
    after: str


_GROUP = {code: LOCALES[code].number_symbols["latn"]["group"] for code in LANGUAGES}
_DECIMAL = {code: LOCALES[code].number_symbols["latn"]["decimal"] for code in LANGUAGES}
_MINUS = {code: LOCALES[code].number_symbols["latn"]["minusSign"] for code in LANGUAGES}


def number(value: int, code: str) -> str:
    text = f"{abs(value):,}".replace(",", _GROUP[code])
    return text if value >= 0 else _MINUS[code] + text


def money(amount_minor: int, currency: str, code: str) -> str:
    """Minor units as people write them: 123456 GBP is £1,234.56, in Polish 1 234,56 GBP."""
    exponent = _EXPONENTS.get(currency, 2)
    around = _around(currency, code, amount_minor < 0)
    units, rest = divmod(abs(amount_minor), 10**exponent)
    digits = f"{units:,}".replace(",", _GROUP[code])
    if exponent:
        digits = f"{digits}{_DECIMAL[code]}{rest:0{exponent}}"
    return f"{around.before}{digits}{around.after}"


@lru_cache(maxsize=CURRENCIES_KEPT)
def _around(currency: str, code: str, negative: bool) -> Around:
    """By Babel's own hand: it writes a one, and the digit is cut out."""
    text = written_by_babel(-1 if negative else 1, currency, code, exponent=0)
    before, _, after = text.partition("1")
    return Around(before, after)


def written_by_babel(amount_minor: int, currency: str, code: str, exponent: int | None = None) -> str:
    """The slow way to the same text, with as many digits as the minor unit has."""
    digits = _EXPONENTS.get(currency, 2) if exponent is None else exponent
    pattern = parse_pattern(LOCALES[code].currency_formats["standard"].pattern)
    pattern.frac_prec = (digits, digits)
    value = Decimal(amount_minor).scaleb(-digits)
    return str(pattern.apply(value, LOCALES[code], currency=currency, currency_digits=False))


def moment(value: dt.datetime, code: str) -> str:
    """Day and minute (N3)."""
    return _moment(value.astimezone(dt.UTC).replace(second=0, microsecond=0), code)


@lru_cache(maxsize=MOMENTS_KEPT)
def _moment(minute: dt.datetime, code: str) -> str:
    locale = LOCALES[code]
    day = format_date(minute, "long", locale=locale)
    both = str(locale.datetime_formats["medium"])
    return f"{both.format(format_time(minute, 'short', locale=locale), day)} UTC"


def plural_category(value: int, code: str) -> str:
    """CLDR's name of the plural form, as Intl.PluralRules in the browser calls it."""
    return LOCALES[code].plural_form(value)


@lru_cache
def examples(code: str) -> dict[str, int]:
    """The plural forms of whole numbers, each with one of its numbers."""
    return {plural_category(number, code): number for number in range(PERIOD)}
