"""V1 to V3 of `broker.envelope`."""

import json
import uuid
from typing import Any

import pytest

from broker import SALE_RECORDED, Message, Poison, Rejected, Unroutable
from broker.envelope import BYTES_MAX, decode, encode, storable

MESSAGE = Message(uuid.UUID(int=7), SALE_RECORDED, "m1", {"order_id": 1, "text": "Größe"})


def changed(**values: Any) -> bytes:
    """The message's bytes with some keys changed; None leaves a key out."""
    envelope = json.loads(encode(MESSAGE)) | values
    return json.dumps({key: value for key, value in envelope.items() if value is not None}).encode()


def test_decoding_gives_back_what_was_encoded() -> None:
    """V1."""
    assert decode(encode(MESSAGE), "m1") == MESSAGE


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"schema": None}, "schema"),
        ({"schema": 2}, "schema"),
        ({"schema": True}, "schema"),
        ({"schema": [[[]]]}, "a list"),
        ({"id": None}, "missing: id"),
        ({"id": 7}, "id:"),
        ({"id": "{00000000-0000-0000-0000-000000000007}"}, "id:"),
        ({"id": "00000000-0000-0000-0000-00000000000\uff17"}, "id:"),
        ({"type": "sale.forgotten"}, "unknown type"),
        ({"type": ["sale.recorded"]}, "unknown type"),
        ({"recipient": "m2"}, "recipient"),
        ({"recipient": None}, "missing: recipient"),
        ({"body": []}, "body"),
        ({"body": "x" * BYTES_MAX}, "too large"),
        ({"more": 1}, "unknown key: 'more'"),
    ],
)
def test_an_envelope_that_is_wrong_is_poison_with_the_field_named(values: dict[str, Any], reason: str) -> None:
    """V2."""
    with pytest.raises(Poison, match=reason):
        decode(changed(**values), "m1")


def test_a_number_of_five_thousand_digits_is_poison() -> None:
    """V2: Python refuses to read it, with an error of its own."""
    raw = encode(MESSAGE).replace(b'"order_id":1', b'"order_id":' + b"9" * 5_000)
    with pytest.raises(Poison, match="not JSON"):
        decode(raw, "m1")


def test_what_is_quoted_is_short_and_escaped() -> None:
    """V3."""
    with pytest.raises(Poison) as caught:
        decode(changed(type="\n\u202e" + "x" * 10_000), "m1")
    assert len(str(caught.value)) < 100
    assert str(caught.value).isascii() or str(caught.value).endswith("…")
    assert "\n" not in str(caught.value)


def test_a_message_that_is_too_large_is_refused_before_it_is_sent() -> None:
    with pytest.raises(Unroutable, match="bytes"):
        encode(Message(uuid.UUID(int=7), SALE_RECORDED, "m1", {"text": "x" * BYTES_MAX}))


@pytest.mark.parametrize("body", [{"price": float("nan")}, {"price": float("inf")}, {"price": object()}])
def test_what_json_cannot_say_is_our_own_mistake(body: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        encode(Message(uuid.UUID(int=7), SALE_RECORDED, "m1", body))


def test_an_unknown_type_is_rejected_before_it_is_sent() -> None:
    with pytest.raises(Rejected, match="unknown message type"):
        encode(Message(uuid.UUID(int=7), "sale.forgotten", "m1", {}))


def test_a_reason_can_be_stored_whatever_it_holds() -> None:
    reason = storable("\ud800\0" + "x" * 10_000)
    assert reason.startswith("\\ud800\\0x")
    assert len(reason.encode()) < 2_000
