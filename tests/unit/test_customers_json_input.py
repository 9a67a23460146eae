"""Strict reading of JSON bodies (D2 of the bad inputs)."""

import pytest
from flask import Flask

from customers.api.models import NewOrder, NewQuantity
from customers.errors import InvalidInput, MalformedRequest, UnsupportedContentType
from customers.json_input import checked, parsed, read_body

GOOD = b'{"quantity": 3}'


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"  \n",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"NaN",
        b"{",
        b'{"quantity": 3} x',
        b'{"quantity": 3}{}',
        b"{'quantity': 3}",
        b'{"quantity": 3,}',
        b'{"quantity": 03}',
        b"\xef\xbb\xbf" + GOOD,
        '{"quantity": 3}'.encode("utf-16"),
        '{"quantity": 3}'.encode("utf-16-le"),
        '{"quantity": 3}'.encode("utf-32"),
        b'{"quantity": "\xff"}',
        b'{"quantity": "\xed\xa0\x80"}',  # a surrogate as UTF-8 bytes
        b'{"quantity": 3, "quantity": 99}',
        b'{"lines": [{"a": 1, "a": 2}]}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"quantity": ' + b"9" * 5_000 + b"}",
        b'{"quantity": "\n"}',
        b'{"quantity": "\x00"}',
    ],
)
def test_what_is_not_one_json_object_is_malformed(raw: bytes) -> None:
    """J1."""
    with pytest.raises(MalformedRequest):
        parsed(raw)


@pytest.mark.parametrize(
    "value",
    [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-0.0", b"1.0", b"true", b"false", b'"5"', b"null", b"[5]", b"{}", b"0", b"-1",
     b"1000000", b"2147483648", b"9223372036854775808", b"9" * 4_000, b'"\\ud800"', b'"\\u0000"'],
)  # fmt: skip
def test_a_wrong_quantity_names_its_field(value: bytes) -> None:
    """J2, J3."""
    with pytest.raises(InvalidInput) as caught:
        checked(NewQuantity, parsed(b'{"quantity": ' + value + b"}"))
    (error,) = caught.value.errors
    assert error.field == "quantity"
    assert len(error.message) < 200


def test_unknown_and_missing_fields_are_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        checked(NewQuantity, parsed(b'{"quantitty": 3}'))
    assert {(error.field, error.message) for error in caught.value.errors} == {
        ("quantity", "is missing"),
        ("quantitty", "is not a known field"),
    }


def test_a_key_of_half_a_character_is_an_unknown_field() -> None:
    with pytest.raises(InvalidInput):
        checked(NewQuantity, parsed(b'{"quantity": 3, "\\ud800": 1}'))


def test_a_nested_mistake_is_named_by_its_path() -> None:
    with pytest.raises(InvalidInput) as caught:
        checked(NewOrder, parsed(b'{"lines": [{"stock_id": 1, "quantity": 1}, {"stock_id": 2, "quantity": 0}]}'))
    assert [error.field for error in caught.value.errors] == ["lines.1.quantity"]


@pytest.mark.parametrize("lines", [b"[]", b"null", b"{}", b"[null]", b"[[]]", b'[{"stock_id": 1}]'])
def test_lines_must_be_lines(lines: bytes) -> None:
    with pytest.raises(InvalidInput):
        checked(NewOrder, parsed(b'{"lines": ' + lines + b"}"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-7"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {},
    ],
)
def test_only_plain_json_in_utf8_is_read(headers: dict[str, str]) -> None:
    with (
        Flask(__name__).test_request_context(method="POST", data=GOOD, headers=headers),
        pytest.raises(UnsupportedContentType),
    ):
        read_body(NewQuantity)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=UTF-8", "Application/JSON"])
def test_json_in_utf8_is_read(content_type: str) -> None:
    with Flask(__name__).test_request_context(method="POST", data=GOOD, content_type=content_type):
        assert read_body(NewQuantity).quantity == 3
