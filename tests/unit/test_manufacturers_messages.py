"""Messages of the broker and bodies of requests: what is wrong is refused with its field."""

import copy
import uuid
from typing import Any

import pytest

from broker.contract import MONTH_CLOSED, SALE_RECORDED, STOCK_DEPLETED, Message
from manufacturers.ledger import MonthClosed, Sale, SaleLine, StockDepleted, Total
from manufacturers.messages import InvalidMessage, check
from manufacturers.strict_json import MalformedJson, read_object

ID = uuid.UUID(int=7)
SKUS = frozenset({"A", "B"})
AT = "2026-01-02T03:04:05Z"
LINE = {"sku": "A", "quantity": 2, "price_minor": 5, "currency": "GBP"}
BODIES: dict[str, dict[str, Any]] = {
    SALE_RECORDED: {"order_id": 1, "month": 2, "lines": [LINE], "recorded_at": AT},
    STOCK_DEPLETED: {"month": 2, "sku": "B", "at": AT},
    MONTH_CLOSED: {
        "month": 2,
        "reason": "time_over",
        "totals": [{"sku": "A", "supplied": 9, "sold": 2, "unsold": 7}],
        "part": 2,
        "parts": 3,
        "closed_at": AT,
    },
}


def message(kind: str, body: Any, recipient: str = "m1") -> Message:
    return Message(ID, kind, recipient, body)


def test_what_years_of_full_capacity_left_unsold_is_understood() -> None:
    """Units left are carried over, month after month: their sum may be far more than one month's supply."""
    total: dict[str, Any] = {"sku": "A", "supplied": 10_000_000, "sold": 0, "unsold": 10_000_000 * 1_200}
    event = check(message(MONTH_CLOSED, BODIES[MONTH_CLOSED] | {"totals": [total]}), "m1", SKUS)
    assert event.content == MonthClosed(2, "time_over", (Total(**total),), 2, 3)


def test_good_messages_are_understood() -> None:
    contents = {kind: check(message(kind, body), "m1", SKUS).content for kind, body in BODIES.items()}
    assert contents == {
        SALE_RECORDED: Sale(1, 2, (SaleLine("A", 2, 5),)),
        STOCK_DEPLETED: StockDepleted(2, "B"),
        MONTH_CLOSED: MonthClosed(2, "time_over", (Total("A", 9, 2, 7),), 2, 3),
    }


def test_the_hash_is_of_what_is_said_not_of_the_order_in_which() -> None:
    body = BODIES[SALE_RECORDED]
    turned = dict(reversed(body.items())) | {"lines": [dict(reversed(LINE.items()))]}
    other = body | {"order_id": 2}
    first, same, different = (check(message(SALE_RECORDED, each), "m1", SKUS) for each in (body, turned, other))
    assert first.body_sha256 == same.body_sha256 != different.body_sha256


def test_a_message_may_say_more_than_we_know() -> None:
    body = BODIES[SALE_RECORDED] | {"gift": True}
    assert '"gift":true' in check(message(SALE_RECORDED, body), "m1", SKUS).body


NOT_COUNTS = [-1, 10**13, 10**30, 1.0, True, "5", None, [5], float("nan"), float("inf")]


LINE_0 = ("lines", 0)
TOTAL_0 = ("totals", 0)
BAD: list[tuple[str, tuple[Any, ...], list[Any]]] = [
    (SALE_RECORDED, (*LINE_0, "quantity"), [0, 10**9, *NOT_COUNTS]),
    (SALE_RECORDED, (*LINE_0, "price_minor"), [0, -5, 1.5, True, "5", None, 10**30]),
    (SALE_RECORDED, (*LINE_0, "currency"), ["gbp", "", None, 1, "GBPX"]),
    (SALE_RECORDED, (*LINE_0, "sku"), ["Z", "a", "", None, 1, [], "A\u0000", "\ud800"]),
    (SALE_RECORDED, ("order_id",), [0, -1, 2**63, "1", None, True]),
    (SALE_RECORDED, ("month",), [0, -1, 1_000_000, "1", None, True]),
    (SALE_RECORDED, ("lines",), [[], {}, None, "x", [1], [[]]]),
    (SALE_RECORDED, ("recorded_at",), ["", "yesterday", 5, None, "2026-01-02T03:04:05"]),
    (STOCK_DEPLETED, ("sku",), ["Z", None, {}]),
    (STOCK_DEPLETED, ("month",), [0, None, "2"]),
    (STOCK_DEPLETED, ("at",), [None, "x"]),
    (MONTH_CLOSED, ("reason",), ["bored", None, 1, []]),
    (MONTH_CLOSED, (*TOTAL_0, "unsold"), NOT_COUNTS),
    (MONTH_CLOSED, (*TOTAL_0, "sku"), ["Z", None]),
    (MONTH_CLOSED, ("totals",), [None, {}, "x"]),
    (MONTH_CLOSED, ("part",), [0, 4, None, "2", True]),
    (MONTH_CLOSED, ("parts",), [0, 10_001, None, "3"]),
]


@pytest.mark.parametrize(("kind", "path", "bad"), [(kind, path, bad) for kind, path, bads in BAD for bad in bads])
def test_a_bad_field_is_named(kind: str, path: tuple[Any, ...], bad: Any) -> None:
    body = copy.deepcopy(BODIES[kind])
    place: Any = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = bad
    with pytest.raises(InvalidMessage) as caught:
        check(message(kind, body), "m1", SKUS)
    assert str(path[-1]) in str(caught.value)
    assert len(str(caught.value)) < 300
    del place[path[-1]]
    with pytest.raises(InvalidMessage):
        check(message(kind, body), "m1", SKUS)


def test_the_same_good_twice_in_one_sale_is_ambiguous() -> None:
    with pytest.raises(InvalidMessage, match=r"lines\[1\]\.sku: 'A' is given twice"):
        check(message(SALE_RECORDED, BODIES[SALE_RECORDED] | {"lines": [LINE, LINE]}), "m1", SKUS)


def test_a_message_for_another_manufacturer_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="recipient"):
        check(message(SALE_RECORDED, BODIES[SALE_RECORDED], "m2"), "m1", SKUS)


@pytest.mark.parametrize("kind", ["", "sale", "SALE.RECORDED"])
def test_an_unknown_type_is_refused(kind: str) -> None:
    with pytest.raises(InvalidMessage, match="type"):
        check(message(kind, {}), "m1", SKUS)


@pytest.mark.parametrize("extra", [float("nan"), {1, 2}, 10**5_000], ids=["nan", "set", "huge"])
def test_what_cannot_be_written_as_json_is_refused(extra: Any) -> None:
    with pytest.raises(InvalidMessage, match="body"):
        check(message(SALE_RECORDED, BODIES[SALE_RECORDED] | {"extra": extra}), "m1", SKUS)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"{",
        b"{} {}",
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-32"),
        b'{"a":"\xff"}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":' + b"9" * 5_000 + b"}",
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b"{'a':1}",
        b'{"a":1,}',
    ],
)
def test_what_is_not_one_strict_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedJson):
        read_object(raw)


def test_strict_json_reads_what_is_right() -> None:
    assert read_object(b'{"a":[1,-2.5,"\\u00e9",null,true,{}]}') == {"a": [1, -2.5, "é", None, True, {}]}
