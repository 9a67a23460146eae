"""What the distributor makes of a manufacturer's answer (F1 to F4); a table of bad ones, each with the reason shown."""

import gzip
import hashlib
import json
from typing import Any

import pytest

from distributor.gather.feed import FeedRefused, Offer, OfferItem, canonical_name, read_offer, shown

GOOD_ITEM: dict[str, Any] = {
    "sku": "BIKE-1",
    "name": "Bicycle, 28″",
    "quantity": 3,
    "price": {"amount": 12_900, "currency": "GBP"},
}
JSON = "application/json"


def feed(**changes: Any) -> dict[str, Any]:
    return {"manufacturer": {"code": "m1", "name": "Works"}, "month": 2, "items": [GOOD_ITEM], **changes}


def item(**changes: Any) -> bytes:
    """A feed of two items, of which the second is odd."""
    odd = {**GOOD_ITEM, "sku": "CAR", **changes}
    return json.dumps(feed(items=[GOOD_ITEM, odd])).encode()


def read(raw: bytes, content_type: str = JSON) -> Offer:
    return read_offer(raw, content_type, code="m1", month=2, currency="GBP")


def test_a_good_offer_is_read() -> None:
    raw = json.dumps(feed()).encode()
    offer = read(raw, "Application/JSON; charset=utf-8")
    assert offer == Offer(
        "m1", "Works", 2, (OfferItem("BIKE-1", "Bicycle, 28″", 3, 12_900, "GBP"),), hashlib.sha256(raw).hexdigest()
    )


def test_an_empty_offer_is_an_offer() -> None:
    assert read(json.dumps(feed(items=[])).encode()).items == ()


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "../../etc/passwd", "=HYPERLINK()", "名前", "a" * 200])
def test_names_that_are_only_odd_are_kept_as_they_are(name: str) -> None:
    """Pages and files escape them; refusing would punish honest manufacturers."""
    assert read(item(name=name)).items[1].name == name


NOT_AN_OFFER = [
    (b"", "empty"),
    (b"null", "answer must be an object"),
    (b"[]", "answer must be an object: a list"),
    (b'"x"', "answer must be an object"),
    (b"<html>", "not JSON"),
    (b"\xef\xbb\xbf{}", "not JSON"),
    ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    (b'{"a": "\xff"}', "not UTF-8 (byte 7)"),
    (b"{} {}", "not JSON"),
    (b"[" * 200_000, "nested too deeply"),
    (gzip.compress(b"{}"), "not UTF-8"),
    (b'{"month": 1, "month": 2}', "month stands twice"),
    (b'{"month": NaN}', "NaN is not JSON"),
    (b'{"month": -Infinity}', "-Infinity is not JSON"),
    (b'{"month": ' + b"9" * 5_000 + b"}", "an integer of 5000 digits"),
    (b'{"month": 1.' + b"9" * 5_000 + b"}", "a number of 5002 characters"),
]


@pytest.mark.parametrize(("raw", "reason"), NOT_AN_OFFER, ids=[reason for _, reason in NOT_AN_OFFER])
def test_what_is_no_offer_at_all_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(FeedRefused) as refusal:
        read(raw)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"month": 3}, "month must be 2: 3"),
        ({"month": "2"}, "month must be 2: 2"),
        ({"month": True}, "month must be 2: true"),
        ({"month": 2.0}, "month must be 2: 2.0"),
        ({"items": {}}, "items must be a list: an object"),
        ({"items": None}, "items must be a list: null"),
        ({"items": [1]}, "items[0] must be an object: 1"),
        ({"manufacturer": "m1"}, "manufacturer must be an object"),
        ({"manufacturer": {"code": "m2", "name": "Works"}}, "manufacturer.code must be m1: m2"),
        ({"manufacturer": {"code": "m1", "name": ""}}, "manufacturer.name must be a text of 1 to 120"),
        ({"manufacturer": {"code": "m1", "name": "x" * 121}}, "manufacturer.name must be a text of 1 to 120"),
        ({"manufacturer": {"code": "m1"}}, "manufacturer must have the field name"),
        ({"extra": 1}, "answer has an unknown field: extra"),
    ],
    ids=str,
)
def test_an_offer_of_something_else_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(FeedRefused) as refusal:
        read(json.dumps(feed(**changes)).encode())
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *(
            ({"quantity": bad}, "items[1].quantity must be an integer from 1 to 1000000000")
            for bad in (0, -5, 1.5, 1.0, -0.0, "7", True, None, [5], 10**9 + 1, 10**18)
        ),
        *(
            ({"price": {"amount": bad, "currency": "GBP"}}, "items[1].price.amount must be an integer from 1 to 10")
            for bad in (0, -1, 0.001, 1.999, "5", False, None, 10**12 + 1)
        ),
        ({"price": 5}, "items[1].price must be an object: 5"),
        ({"price": {"amount": 5}}, "items[1].price must have the field currency"),
        ({"price": {"amount": 5, "currency": "EUR"}}, "items[1].price.currency must be GBP: EUR"),
        ({"price": {"amount": 5, "currency": "GBP", "vat": 1}}, "items[1].price has an unknown field: vat"),
        ({"price": {"amount": [[[[]]]], "currency": "GBP"}}, "a list"),
        *(
            ({"sku": bad}, "items[1].sku must be 1 to 64 of A-Z")
            for bad in (
                "",
                "car",
                " CAR",
                "CAR ",
                "-CAR",
                "C" * 65,
                "CÄR",
                "CAR\n",
                "CAR\0",
                "../X",
                7,
                None,
                "C\u212a",
            )
        ),
        ({"sku": "BIKE-1"}, "items[1].sku is the same good as items[0]: BIKE-1"),
        *(
            ({"name": bad}, "items[1].name must be a text of 1 to 200")
            for bad in ("", "  ", "x" * 201, "x" * 1_000_000, 7, None, ["x"])
        ),
        ({"name": "evil\u202etxt"}, "items[1].name must not contain the character: U+202E"),
        ({"name": "two\r\nlines"}, "items[1].name must not contain the character: U+000D"),
        ({"name": "null\0"}, "items[1].name must not contain the character: U+0000"),
        ({"name": "half \ud800"}, "items[1].name must not contain the character: U+D800"),
        ({"name": "Cafe\u0301"}, "items[1].name must be in Unicode normal form C"),
        ({"colour": "red"}, "items[1] has an unknown field: colour"),
        ({"evil\n\x1b[2J": 1}, "items[1] has an unknown field: evil\\x0a\\x1b[2J"),
    ],
    ids=str,
)
def test_one_bad_item_refuses_the_whole_offer_and_is_named(changes: dict[str, Any], reason: str) -> None:
    """F1, F4"""
    with pytest.raises(FeedRefused) as refusal:
        read(item(**changes))
    assert reason in str(refusal.value)
    assert str(refusal.value).isascii()
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) <= 300


def test_a_number_beyond_all_bounds_is_refused() -> None:
    raw = item(quantity=12345).replace(b"12345", b"1e400")
    with pytest.raises(FeedRefused, match=r"items\[1\]\.quantity must be an integer .*: Infinity"):
        read(raw)


def test_a_missing_field_is_named() -> None:
    broken = {key: value for key, value in GOOD_ITEM.items() if key != "name"}
    with pytest.raises(FeedRefused, match=r"items\[0\] must have the field name"):
        read(json.dumps(feed(items=[broken])).encode())


def test_skus_that_differ_only_in_spaces_are_the_same_good() -> None:
    """F3"""
    raw = json.dumps(feed(items=[{**GOOD_ITEM, "sku": "RED CAR"}, {**GOOD_ITEM, "sku": "RED  CAR"}])).encode()
    with pytest.raises(FeedRefused, match=r"items\[1\]\.sku is the same good as items\[0\]"):
        read(raw)


@pytest.mark.parametrize("content_type", ["", "text/html", "application/jsonp", "application/problem+json"])
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(FeedRefused, match="content type must be application/json"):
        read(json.dumps(feed()).encode(), content_type)


@pytest.mark.parametrize(
    "twin", ["ACME works", " Acme  Works ", "\uff21cme Works", "\u0410cm\u0435 Works", "Ac\u00adme Works"]
)
def test_names_that_look_alike_have_one_canonical_form(twin: str) -> None:
    assert canonical_name(twin) == canonical_name("Acme Works")


def test_what_is_shown_is_short_and_printable() -> None:
    assert shown("a\nb") == "a\\x0ab"
    assert shown("é") == "\\xe9"
    assert len(shown("x" * 10**6)) == 60
