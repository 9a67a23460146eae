"""Whatever a file of orders holds, reading it ends in lines or in OrdersFileError (F1), and nothing vanishes (F2)."""

import contextlib
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios import orders_file, supply
from scenarios.orders_file import OrdersFileError, parse
from scenarios.orders_import import Import, build

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID"
ANY_TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=60)
FIELD = st.one_of(
    ANY_TEXT,
    st.sampled_from(
        ["85123A", "85123a", "22423", "POST", "C1", "1", "6", "-1", "2.55", "0", "2010-12-01", "", '"', "1e9"]
    ),
)
LINE = st.lists(FIELD, min_size=6, max_size=8).map(",".join)


@given(ANY_TEXT)
def test_any_text_is_read_or_refused(content: str) -> None:
    with contextlib.suppress(OrdersFileError):
        assert parse(content).lines_read >= 0


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x1f\x8b", b"\xff\xfe", b"\xef\xbb\xbf"]))
@settings(max_examples=200)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content: bytes, start: bytes) -> None:  # type: ignore[no-untyped-def]
    path: Path = tmp_path_factory.mktemp("orders") / "any.csv"
    path.write_bytes(start + content)
    with contextlib.suppress(OrdersFileError):
        assert orders_file.read(path).lines_read >= 0


@given(st.lists(LINE, max_size=12))
def test_below_a_good_header_every_line_is_taken_or_left_out(lines: list[str]) -> None:
    try:
        read = parse("\n".join([HEADER, *lines]))
        result = build(read)
    except OrdersFileError:
        return
    assert len(read.lines) + len(read.left_out) == read.lines_read
    everything_fits(result)


def everything_fits(result: Import) -> None:
    """What the shop and the manufacturers accept."""
    known = {good.sku for good in result.goods}
    for good in result.goods:
        assert re.fullmatch(r"[A-Z0-9][A-Z0-9 ._-]{0,63}", good.sku)
        assert 1 <= len(good.name) <= 200
        assert good.name.isprintable()
        assert good.price_minor > 0
        assert supply.units(good.demand, 0.8) >= 1
    for basket in result.baskets:
        assert basket.lines
        assert all(sku in known and 1 <= quantity <= orders_file.QUANTITY_MAX for sku, quantity in basket.lines)
        assert 0 <= basket.customer < len(result.customers)
    assert sum(good.demand for good in result.goods) == sum(q for basket in result.baskets for _, q in basket.lines)
