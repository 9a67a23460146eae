"""V1 and V2 of `broker.envelope` for whatever is thought up."""

import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import Message, Poison
from broker.contract import TYPES
from broker.envelope import decode, encode

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
messages = st.builds(
    Message,
    id=st.uuids(),
    type=st.sampled_from(sorted(TYPES)),
    recipient=st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=32),
    body=st.dictionaries(st.text(), json_values, max_size=5),
)


@given(messages)
def test_decoding_is_the_inverse_of_encoding(message: Message) -> None:
    """V1."""
    assert decode(encode(message), message.recipient) == message


@given(st.binary(max_size=200) | json_values.map(lambda value: repr(value).encode("utf-8", "replace")))
def test_no_bytes_do_more_than_be_refused(raw: bytes) -> None:
    """V2."""
    with pytest.raises(Poison, match=r"\w"):
        decode(raw, "m1")


@given(messages, st.data())
def test_a_damaged_message_is_refused_or_still_has_its_form(message: Message, data: st.DataObject) -> None:
    """V2: one byte changed anywhere."""
    raw = bytearray(encode(message))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = decode(bytes(raw), message.recipient)
    except Poison:
        return
    assert isinstance(read.id, uuid.UUID)
    assert read.type in TYPES
    assert read.recipient == message.recipient
