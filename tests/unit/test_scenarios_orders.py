"""The importer on dirt made by hand: what is taken, what is left out and why, what is refused as a whole."""

import csv
import gzip
import time
from collections import Counter
from pathlib import Path

import pytest

from scenarios import orders_file, orders_import, supply
from scenarios.orders_file import OrdersFileError, Reason, parse
from scenarios.orders_import import build

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
GOOD = "536365,85123A,WHITE HEART,6,2010-12-01 08:26,2.55,17850,United Kingdom"


def text(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *rows]) + "\n"


def row(  # noqa: PLR0917 - the columns
    invoice: str = "536365",
    code: str = "85123A",
    description: str = "WHITE HEART",
    quantity: str = "6",
    at: str = "2010-12-01 08:26",
    price: str = "2.55",
    customer: str = "17850",
) -> str:
    return f'{invoice},{code},"{description}",{quantity},{at},"{price}",{customer},United Kingdom'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (row(invoice="C536379", quantity="-1"), Reason.CANCELLATION),
        (row(invoice=""), Reason.NO_INVOICE),
        (row(code="POST"), Reason.NO_GOOD),
        (row(code="D"), Reason.NO_GOOD),
        (row(code="m"), Reason.NO_GOOD),
        (row(code="BANK CHARGES"), Reason.NO_GOOD),
        (row(code="C2"), Reason.NO_GOOD),
        (row(code="TEST001"), Reason.NO_GOOD),
        (row(code=""), Reason.NO_GOOD),
        (row(code="gift_0001_40"), Reason.VOUCHER),
        (row(code="85123A/*"), Reason.BAD_CODE),
        (row(quantity="0"), Reason.QUANTITY_NOT_POSITIVE),
        (row(quantity="-4"), Reason.QUANTITY_NOT_POSITIVE),
        (row(quantity="six"), Reason.BAD_QUANTITY),
        (row(quantity="1.5"), Reason.BAD_QUANTITY),
        (row(quantity="٣"), Reason.BAD_QUANTITY),
        (row(quantity="100000"), Reason.QUANTITY_TOO_LARGE),
        (row(quantity="9" * 12), Reason.QUANTITY_TOO_LARGE),
        (row(quantity="9" * 5000), Reason.BAD_QUANTITY),
        (row(price="0"), Reason.PRICE_NOT_POSITIVE),
        (row(price="-11062.06"), Reason.PRICE_NOT_POSITIVE),
        (row(price="0.001"), Reason.PRICE_NOT_POSITIVE),
        (row(price="nan"), Reason.BAD_PRICE),
        (row(price="1e9"), Reason.BAD_PRICE),
        (row(price="100000.01"), Reason.PRICE_TOO_LARGE),
        (row(at="yesterday"), Reason.BAD_DATE),
        (row(at="2010-13-01 08:00"), Reason.BAD_DATE),
        ("536365,85123A", Reason.FIELDS),
        (row() + ",one too many", Reason.FIELDS),
    ],
)
def test_a_line_that_cannot_be_sold_is_left_out_with_its_reason_and_number(line: str, reason: Reason) -> None:
    read = parse(text(GOOD, line))
    assert [(one.number, one.reason) for one in read.left_out] == [(3, reason)]
    assert len(read.lines) == 1
    assert read.lines_read == 2


@pytest.mark.parametrize(
    ("column", "header"),
    [(name, HEADER.replace(name + ",", "").replace("," + name, "")) for name in orders_file.REQUIRED],
)
def test_a_missing_column_is_named(column: str, header: str) -> None:
    with pytest.raises(OrdersFileError, match=f"missing column {column}"):
        parse(text(header=header))


def test_the_whole_file_is_refused_with_a_sentence() -> None:
    for content, words in (
        ("", "is empty"),
        ("\n\n", "is empty"),
        (text(header=HEADER + ",Quantity"), "column Quantity stands there twice"),
        (text('536365,"' + "x" * 200_000 + '",a,1,2010-12-01,1,1,UK'), "line 2: field larger"),
    ):
        with pytest.raises(OrdersFileError, match=words):
            parse(content)
    with pytest.raises(OrdersFileError, match="no basket is left of 1 lines"):
        build(parse(text(row(code="POST"))))


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("2010-12-01 08:26", "2010-12-01T08:26:00"),
        ("2010-12-01T08:26:30Z", "2010-12-01T08:26:30"),
        ("12/1/2010 8:26", "2010-12-01T08:26:00"),
        ("1.12.2010 08:26:05", "2010-12-01T08:26:05"),
        ("2010-12-01", "2010-12-01T00:00:00"),
    ],
)
def test_dates_of_many_forms_are_read(written: str, iso: str) -> None:
    assert parse(text(row(at=written))).lines[0].at.isoformat() == iso


def test_day_and_month_are_told_apart_by_the_whole_file() -> None:
    lines = parse(text(row(at="1/2/2010 10:00"), row(at="25/2/2010 10:00"))).lines
    assert [line.at.isoformat()[:10] for line in lines] == ["2010-02-01", "2010-02-25"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_packing_and_line_ends_do_not_matter(
    tmp_path: Path, encoding: str, newline: str, *, packed: bool
) -> None:
    raw = text(row(description="CAFÉ CREAM")).replace("\n", newline).encode(encoding)
    path = tmp_path / "orders.dat"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    assert orders_file.read(path).lines[0].description == "CAFÉ CREAM"


def test_other_orders_of_columns_other_names_and_semicolons_work() -> None:
    header = "Country;Customer ID;Price;InvoiceDate;Quantity;Description;StockCode;Invoice"
    read = parse(text("UK;17850.0;2,55;2010-12-01 08:26;6;WHITE HEART;85123A;489434", header=header))
    (line,) = read.lines
    assert (line.invoice, line.sku, line.quantity, line.price_minor, line.customer) == (
        "489434",
        "85123A",
        6,
        255,
        "17850",
    )


def test_a_quoted_field_may_hold_commas_quotes_and_line_ends() -> None:
    read = parse(text('1,85123A,"HEART, ""BIG""\nRED",1,2010-12-01,2.55,7,UK', row(code="POST")))
    assert read.lines[0].description == 'HEART, "BIG"\nRED'
    assert read.left_out[0].number == 4
    assert build(read).goods[0].name == 'HEART, "BIG" RED'


def test_variants_of_a_code_are_one_good_and_repeated_lines_one_line() -> None:
    """M1."""
    result = build(parse(text(row(code="85123a", quantity="2"), row(code=" 85123A "), row(code="22423"))))
    assert [good.sku for good in result.goods] == ["22423", "85123A"]
    assert result.baskets[0].lines == (("22423", 6), ("85123A", 8))
    assert result.lines_merged == 1


def test_quantities_beyond_the_shops_bound_are_cut_off_when_merged() -> None:
    result = build(parse(text(row(quantity="99999"), row(quantity="1"))))
    assert result.baskets[0].lines == (("85123A", 99_999),)
    assert [line.reason for line in result.left_out] == [Reason.QUANTITY_TOO_LARGE]


def test_the_price_is_the_most_frequent_one_rounded_to_pence() -> None:
    """M2."""
    rows = [row(invoice=str(number), price=price) for number, price in enumerate(("2.5549", "2.555", "2.10", "2.10"))]
    assert build(parse(text(*rows))).goods[0].price_minor == 210
    assert build(parse(text(*rows[:2]))).goods[0].price_minor == 255


def test_a_name_is_found_for_goods_without_a_description() -> None:
    other_line = build(parse(text(row(description=""), row(description="WHITE HEART", price="0"))))
    assert other_line.goods[0].name == "WHITE HEART"
    assert build(parse(text(row(description="")))).goods[0].name == "85123A"
    assert build(parse(text(row(description="?"), row(description="??")))).goods[0].name == "85123A"
    hidden = build(parse(text(row(description="A\u202eB\x00 C" + "x" * 300)))).goods[0].name
    assert hidden.startswith("A B C")
    assert len(hidden) == 200


def test_a_basket_without_customer_is_a_guests_and_baskets_stand_in_the_order_of_time() -> None:
    """M3."""
    rows = [
        row(invoice="3", customer="", at="2010-12-03"),
        row(invoice="2", customer="", at="2010-12-02"),
        row(invoice="1", customer="17850.0", at="2010-12-01"),
        row(invoice="4", customer="17850", at="2010-12-04"),
    ]
    result = build(parse(text(*rows)))
    assert result.customers == ("customer 17850", "guest 2", "guest 3")
    assert [basket.invoice for basket in result.baskets] == ["1", "2", "3", "4"]
    assert [basket.customer for basket in result.baskets] == [0, 1, 2, 0]


def test_supply_is_a_share_of_demand_and_dealt_by_the_seed(tmp_path: Path) -> None:
    """U1, U2."""
    goods = build(parse(text(*(row(code=f"{10000 + number}", quantity=str(number + 1)) for number in range(20))))).goods
    dealt = supply.deal(goods, 0.8, 3, seed=4)
    assert [one.units for one in dealt[:4]] == [1, 2, 2, 3]
    assert supply.units(1, 0.1) == 1
    assert sorted(Counter(one.manufacturer for one in dealt).values()) == [6, 7, 7]
    assert dealt == supply.deal(tuple(reversed(goods)), 0.8, 3, seed=4)
    assert dealt != supply.deal(goods, 0.8, 3, seed=5)
    supply.write_catalogue(tmp_path / "catalogue.csv", dealt)
    with (tmp_path / "catalogue.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "sku": "10000",
        "name": "WHITE HEART",
        "manufacturer": dealt[0].manufacturer,
        "price_minor": "255",
        "currency": "GBP",
        "initial_units": "1",
        "units_per_month": "0",
    }


def test_left_out_lines_cannot_become_formulas_in_a_spreadsheet(tmp_path: Path) -> None:
    read = parse(text('=HYPERLINK(""x""),POST,a,1,2010-12-01,1,1,UK'))
    orders_import.write_left_out(tmp_path / "left_out.csv", read.left_out)
    assert "'=HYPERLINK" in (tmp_path / "left_out.csv").read_text()


def test_ten_times_the_lines_take_ten_times_as_long_and_no_longer() -> None:
    """Side by side, in computing time; what looks through all lines for each would take a hundred times as long."""

    def seconds(lines: int) -> float:
        content = text(
            *(row(invoice=str(n // 20), code=f"{20000 + n % 3000}", customer=str(n % 900)) for n in range(lines))
        )
        begun = time.thread_time()
        assert len(build(parse(content)).baskets) == lines
        return time.thread_time() - begun

    few = min(seconds(2_100) for _ in range(3))
    assert seconds(21_000) < 40 * few
