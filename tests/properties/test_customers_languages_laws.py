"""Laws of the languages' formats and choice. Numbers are those of customers/languages."""

import datetime as dt
from decimal import Decimal

from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal
from hypothesis import given
from hypothesis import strategies as st

from customers.languages import DEFAULT, LANGUAGES, formats
from customers.languages.accepted import best

codes = st.sampled_from(sorted(LANGUAGES))
amounts = st.integers(min_value=-(10**18), max_value=10**18)


@given(amounts, st.sampled_from(["GBP", "EUR", "USD", "PLN", "CHF", "CZK"]), codes)
def test_money_of_hundredths_is_as_babel_writes_it(amount: int, currency: str, code: str) -> None:
    """N1, N2."""
    wanted = format_currency(Decimal(amount).scaleb(-2), currency, locale=formats.LOCALES[code])
    assert formats.money(amount, currency, code) == wanted


@given(amounts, st.sampled_from(["JPY", "KWD", "KRW", "TND", "XYZ"]), codes)
def test_money_has_as_many_digits_as_its_minor_unit(amount: int, currency: str, code: str) -> None:
    """N1, N2."""
    assert formats.money(amount, currency, code) == formats.written_by_babel(amount, currency, code)


@given(amounts, codes)
def test_numbers_are_as_babel_writes_them(value: int, code: str) -> None:
    """N2."""
    assert formats.number(value, code) == format_decimal(value, locale=formats.LOCALES[code])


@given(
    st.integers(min_value=0, max_value=7_000_000_000),  # until the year 2191
    st.integers(min_value=-14 * 60, max_value=14 * 60),
    codes,
)
def test_moments_name_day_and_minute_in_utc(second: int, offset_minutes: int, code: str) -> None:
    """N3."""
    value = dt.datetime.fromtimestamp(second, dt.timezone(dt.timedelta(minutes=offset_minutes)))
    utc, locale = value.astimezone(dt.UTC), formats.LOCALES[code]
    day, time = format_date(utc, "long", locale=locale), format_time(utc, "short", locale=locale)
    assert formats.moment(value, code) == f"{day}, {time} UTC"


@given(
    st.text()
    | st.from_regex(r"(\*|[a-z]{2})(-[A-Z]{2})?(;q=[01]?\.?[0-9]*)?(, ?(pl|en);q=0?\.[0-9]{1,3})*", fullmatch=True)
)
def test_any_header_chooses_an_offered_language(header: str) -> None:
    """Q1."""
    assert best(header, tuple(LANGUAGES), DEFAULT) in LANGUAGES
