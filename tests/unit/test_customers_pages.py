"""How pages read forms and show values."""

import datetime as dt

import pytest
from flask import Flask

from customers.errors import InvalidInput
from customers.pages import filters, forms


@pytest.mark.parametrize(
    "typed",
    ["0", "-1", "-0", "1.5", "1e3", "", " 5 ", "+5", "1_000", "\uff15", "\u0663", "²", "0x10", "5\n", "5\x00", "007",
     "2147483648", "9" * 5_000, str(2**63), "1000000"],
)  # fmt: skip
def test_only_plain_whole_numbers_are_quantities(typed: str) -> None:
    with (
        Flask(__name__).test_request_context(method="POST", data={"quantity": typed}),
        pytest.raises(InvalidInput) as caught,
    ):
        forms.quantity()
    assert [error.field for error in caught.value.errors] == ["quantity"]


def test_a_quantity_given_twice_is_refused() -> None:
    with (
        Flask(__name__).test_request_context(method="POST", data="quantity=1&quantity=99",
                                             content_type="application/x-www-form-urlencoded"),
        pytest.raises(InvalidInput, match="not right"),
    ):  # fmt: skip
        forms.quantity()


@pytest.mark.parametrize(("typed", "quantity"), [("1", 1), ("42", 42), ("999999", 999_999)])
def test_plain_quantities_are_read(typed: str, quantity: int) -> None:
    with Flask(__name__).test_request_context(method="POST", data={"quantity": typed}):
        assert forms.quantity() == quantity


@pytest.mark.parametrize(
    "target",
    ["//evil", "/\\evil", "\\\\evil", "https:///evil", "http:evil", "/%09/evil", "/\t/evil", " //evil", "\x00//evil",
     "javascript:", "https://127.0.0.1@evil", "@evil", ".evil.com", "///evil.com", "/log-out", "/cart/../log-out", "/cart\n",
     "/product/1?x=//evil", "/nowhere", "", None],
)  # fmt: skip
def test_signing_in_never_leads_out_of_the_shop(target: str | None) -> None:
    assert forms.way_back(target) == "/"


@pytest.mark.parametrize("target", ["/", "/cart", "/account", "/orders", "/orders/17", "/product/4"])
def test_signing_in_leads_back(target: str) -> None:
    assert forms.way_back(target) == target


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (123_456, "GBP", "£1,234.56"),
        (5, "EUR", "€0.05"),
        (100, "JPY", "JP¥100"),
        (1_234, "KWD", "KWD1.234"),
        (10**17 + 1, "USD", "US$1,000,000,000,000,000.01"),
    ],
)
def test_money_is_exact(amount: int, currency: str, text: str) -> None:
    assert filters.money(amount, currency) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (59.9, "59 s"), (61, "1 min 01 s"), (3_600, "1 h 00 min"), (90_061, "25 h 01 min")],
)
def test_time_left_is_readable(seconds: float, text: str) -> None:
    assert filters.time_left(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45 s"), (60, "1 min"), (90, "1 min 30 s"), (7_200, "2 h"), (5_400, "90 min")]
)
def test_a_span_says_no_zeros(seconds: int, text: str) -> None:
    assert filters.span(seconds) == text


def test_moments_are_in_utc() -> None:
    moment = dt.datetime(2026, 3, 1, 1, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert filters.moment(moment) == "28 February 2026, 23:30 UTC"
