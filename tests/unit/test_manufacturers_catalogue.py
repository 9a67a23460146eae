"""The catalogue: a CSV that is read strictly, or goods made up from a seed (G1 to G3 of manufacturers/goods.py)."""

import re
import unicodedata
from pathlib import Path

import pytest

from manufacturers import goods
from manufacturers.catalogue import HEADER, SKU, CatalogueError, Good, read
from manufacturers.ledger import Product

CODES = ("m1", "m2", "m3")
HEAD = ",".join(HEADER) + "\n"
ROW = "HMR-1,Claw Hammer,m1,1850,GBP,5,120\n"


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "goods.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def problems(folder: Path, content: str | bytes) -> list[str]:
    with pytest.raises(CatalogueError) as caught:
        read(write(folder, content), CODES)
    return [problem.removeprefix(str(folder)) for problem in caught.value.problems]


def test_a_good_file_is_read(tmp_path: Path) -> None:
    text = HEAD + ROW + 'hmr-1,"Hammer, ""large""\u00e9",m2,1,EUR,0,0\n'
    assert read(write(tmp_path, text), CODES) == {
        "m1": [Good(Product("HMR-1", "Claw Hammer", 1850, "GBP", 5), 120)],
        "m2": [Good(Product("HMR-1", 'Hammer, "large"\u00e9', 1, "EUR", 0), 0)],
        "m3": [],
    }


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbf" + (HEAD + ROW).encode(), (HEAD + ROW).replace("\n", "\r\n").encode()]
)
def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path, content: bytes) -> None:
    assert len(read(write(tmp_path, content), CODES)["m1"]) == 1


def test_names_are_composed_and_stripped(tmp_path: Path) -> None:
    text = HEAD + ROW.replace("Claw Hammer", "  Cafe\u0301 ")
    assert read(write(tmp_path, text), CODES)["m1"][0].product.name == "Caf\u00e9"


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("sku", ""),
        ("sku", "-X"),
        ("sku", "ü1"),
        ("sku", "A" * 65),
        ("sku", "A/B"),
        ("name", ""),
        ("name", " "),
        ("name", "x" * 201),
        ("name", "a\x00b"),
        ("name", "a\u202eb"),
        ("name", "a\u200bb"),
        ("name", "a\u2028b"),
        ("manufacturer", "m4"),
        ("manufacturer", ""),
        ("manufacturer", "M1"),
        ("price_minor", "0"),
        ("price_minor", "-1"),
        ("price_minor", "1.5"),
        ("price_minor", "1e3"),
        ("price_minor", " 7"),
        ("price_minor", "007"),
        ("price_minor", "1_000"),
        ("price_minor", "٣"),
        ("price_minor", "1000000001"),
        ("price_minor", "9" * 5_000),
        ("currency", "gbp"),
        ("currency", "POUND"),
        ("currency", ""),
        ("initial_units", "-1"),
        ("initial_units", "NaN"),
        ("initial_units", "10000001"),
        ("units_per_month", ""),
        ("units_per_month", "true"),
    ],
)
def test_a_bad_field_is_named_with_its_line(tmp_path: Path, field: str, bad: str) -> None:
    values = dict(zip(HEADER, ROW.strip().split(","), strict=True)) | {field: bad}
    found = problems(tmp_path, HEAD + ROW + ",".join(values.values()) + "\n")
    assert len(found) == 1, found
    assert found[0].startswith(f"/goods.csv:3: {field}: ")
    assert len(found[0]) < 200


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, HEAD + "x,y,m9,0,GBP,5,1\n\na,b\n" + ROW + ROW)
    assert [re.sub("^/goods.csv:", "", problem)[:16] for problem in found] == [
        "2: price_minor: ",
        "2: manufacturer:",
        "4: has 2 fields,",
        "6: sku: m1 makes",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ":1: the header must be exactly"),
        (b"sku;name\n", ":1: the header must be exactly"),
        (HEAD.replace("sku,name", "name,sku").encode(), ":1: the header must be exactly"),
        (HEAD.encode("utf-16"), ":1: is not UTF-8"),
        (HEAD.encode() + b"A,\xff,m1,1,GBP,1,1\n", ":2: is not UTF-8"),
        ((HEAD + 'A,"open,m1,1,GBP,1,1\n').encode(), "is not CSV"),
    ],
)
def test_what_is_not_a_catalogue_is_refused_as_a_whole(tmp_path: Path, content: bytes, expected: str) -> None:
    assert any(expected in problem for problem in problems(tmp_path, content))


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"nowhere\.csv: cannot be read"):
        read(tmp_path / "nowhere.csv", CODES)


def test_a_thousand_mistakes_make_a_short_message(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError) as caught:
        read(write(tmp_path, HEAD + "bad\n" * 1_000), CODES)
    assert str(caught.value).endswith("… and 980 more")


def plan(count: int = 3, products: int = 12, seed: int = 1) -> goods.Plan:
    return goods.Plan(seed, tuple(f"m{number}" for number in range(1, count + 1)), products, 5, 120)


def test_the_same_seed_makes_the_same_goods_and_another_seed_others() -> None:
    """G1."""
    assert goods.goods_of(plan(), "m2") == goods.goods_of(plan(), "m2")
    assert goods.goods_of(plan(), "m2") != goods.goods_of(plan(seed=2), "m2")
    assert goods.manufacturer_names(1, CODES) == goods.manufacturer_names(1, CODES)


def test_several_manufacturers_make_the_same_good_at_prices_of_their_own() -> None:
    """G2."""
    made = {code: {good.product.sku: good.product for good in goods.goods_of(plan(), code)} for code in plan().codes}
    common = made["m1"].keys() & made["m2"].keys()
    assert common
    assert all(made["m1"][sku].name == made["m2"][sku].name for sku in common)
    assert any(made["m1"][sku].price_minor != made["m2"][sku].price_minor for sku in common)


@pytest.mark.parametrize(("count", "products"), [(1, 1), (1, 10_000), (3, 12), (500, 50)])
def test_goods_are_as_the_distributor_wants_them(count: int, products: int) -> None:
    """G3, and the limits of the feed."""
    a_plan = plan(count, products)
    made = goods.goods_of(a_plan, a_plan.codes[-1])
    assert len({good.product.sku for good in made}) == len({good.product.name for good in made}) == products
    assert sum(good.units_per_month for good in made) == pytest.approx(120)
    for good in made:
        product = good.product
        assert SKU.fullmatch(product.sku)
        assert unicodedata.is_normalized("NFC", product.name)
        assert 1 <= len(product.name) <= 200
        assert 49 <= product.price_minor <= 20_000
        assert (product.currency, product.initial_units) == ("GBP", 5)
    assert len(set(goods.manufacturer_names(1, a_plan.codes).values())) == count
