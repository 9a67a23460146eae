"""Whatever a manufacturer answers, reading it gives an offer or FeedRefused (F2)."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from distributor.gather.feed import PRICE_MINOR_MAX, QUANTITY_MAX, FeedRefused, Offer, read_offer

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["m1", "GBP", "A", 1, 2])
)
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
texts = st.text(st.characters(exclude_categories=()), max_size=12)


def nearly(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with these fields, each of them right or anything."""
    return st.fixed_dictionaries({name: right | anything for name, right in fields.items()})


items = nearly(
    sku=st.from_regex(r"[A-Z0-9][A-Z0-9 ._-]{0,3}", fullmatch=True),
    name=texts,
    quantity=st.integers(-1, QUANTITY_MAX + 1),
    price=nearly(amount=st.integers(-1, PRICE_MINOR_MAX + 1), currency=st.sampled_from(["GBP", "EUR"])),
)
feeds = nearly(manufacturer=nearly(code=st.just("m1"), name=texts), month=st.just(1), items=st.lists(items, max_size=5))


def read(raw: bytes, content_type: str = "application/json") -> Offer | None:
    try:
        return read_offer(raw, content_type, code="m1", month=1, currency="GBP")
    except FeedRefused as refusal:
        reason = str(refusal)
    assert reason.isascii()
    assert reason.isprintable()
    return None


@given(st.binary(max_size=200), st.text(max_size=20))
@example(b"[" * 100_000, "application/json")
@example(b'{"a":' * 100_000, "application/json")
def test_any_bytes(raw: bytes, content_type: str) -> None:
    assert read(raw, content_type) is None
    assert read(raw) is None


@given(anything)
def test_any_json(value: Any) -> None:
    assert read(json.dumps(value).encode("utf-8", "surrogatepass")) is None


@given(feeds)
def test_what_is_read_keeps_every_bound(feed: dict[str, Any]) -> None:
    offer = read(json.dumps(feed).encode())
    if offer is None:
        return
    assert len({item.sku for item in offer.items}) == len(offer.items)
    for item in offer.items:
        assert 1 <= item.quantity <= QUANTITY_MAX
        assert 1 <= item.price_minor <= PRICE_MINOR_MAX
        assert item.currency == "GBP"
        assert 1 <= len(item.name.encode()) <= 800
