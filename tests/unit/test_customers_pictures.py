"""Pictures of goods: deterministic, distinct, small, well-formed, and free of whatever a name says."""

import base64
import hashlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from customers.pages import assets, pictures
from customers.pages.pictures.drawings import DRAWINGS
from customers.pages.pictures.motif import MOSAIC, Motif
from customers.pages.pictures.words import TINTS

SVG = "{http://www.w3.org/2000/svg}"
ELEMENTS = {SVG + name for name in ("svg", "g", "path", "rect", "circle", "ellipse", "pattern", "style")}
BYTES_MAX = 1_500  # the largest drawing; half a KB compressed is what a picture may cost
NASTY = (
    "<script>alert(1)</script>",
    '"><image href=x>',
    "&lt;",
    "\x00\ud800",
    "url(//evil)",
    "",
    " ",
    "a" * 200,
    "½ № 漢字",
)


def painted(sku: str, name: str) -> str:
    return pictures.paint(pictures.motif_of(sku, name))


def every_motif() -> list[Motif]:
    return [Motif(kind, tint, "01ab45ef") for kind in [*DRAWINGS, MOSAIC] for tint in TINTS]


def test_every_picture_is_small_plain_svg() -> None:
    """Nothing but shapes and one style, the same in all: no script, no text, no address of anything else."""
    styles = set()
    for motif in every_motif():
        text = pictures.paint(motif)
        styles |= set(re.findall("<style>(.*?)</style>", text))
        assert text.count("style") == 2, motif
        assert len(text.encode()) <= BYTES_MAX, motif
        assert {element.tag for element in ET.fromstring(text).iter()} <= ELEMENTS, motif
        assert '"#m"' not in text, motif
        assert "href" not in text, motif
    (style,) = styles
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in assets.PICTURE_POLICY, (
        "else browsers that keep to it show the day at night"
    )


def test_each_picture_has_its_evening() -> None:
    """What is shown by night only is told so twice, for whoever does not read styles; the wall by night is a dark one."""
    for motif in every_motif():
        evening = re.findall(r'<path class="n" display="none" fill="#(\w{6})"', pictures.paint(motif))
        assert evening, motif
        assert max(int(evening[0][place : place + 2], 16) for place in (0, 2, 4)) <= 110, motif


def test_a_thousand_goods_have_a_thousand_pictures() -> None:
    """Of one name, so that only the sku tells them apart, with and without a drawing."""
    for name in ("Copper Kettle", "Something"):
        assert len({painted(f"SKU-{number}", name) for number in range(1_000)}) == 1_000


def test_goods_of_one_name_look_different() -> None:
    """Not just other bytes: no wall is behind more than a fifth of them."""
    walls = Counter(painted(f"SKU-{number}", "Copper Kettle").split('fill="')[1][:7] for number in range(1_000))
    assert len(walls) >= 8
    assert max(walls.values()) < 200


def test_another_process_paints_the_same() -> None:
    """G1: hash() of a text differs between processes, so it must not decide anything."""
    names = [("A-1", "Oak chair"), ("B 2", "Brass lamp <large>"), ("C_3", "")]
    program = f"from customers.pages.pictures import *; print([paint(motif_of(*one)) for one in {names!r}])"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert other.strip() == repr([painted(*one) for one in names])


@pytest.mark.parametrize("name", NASTY)
def test_nothing_of_a_name_gets_into_picture_or_address(name: str) -> None:
    """G2."""
    motif = pictures.motif_of("X-1", name)
    assert pictures.read_motif(str(motif)) == motif
    assert motif.kind in {*DRAWINGS, MOSAIC}
    assert motif.tint in TINTS
    ET.fromstring(pictures.paint(motif))


@pytest.mark.parametrize(
    "address",
    ["", "kettle", "kettle-copper-1234567", "kettle-copper-123456789", "kettle-copper-1234567g", "kettle-copper-1234567A",
     "kettle-copper-12345678\n", "kettle-nothing-12345678", "nothing-copper-12345678", "../x-copper-12345678",
     "kettle-copper-\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18", "a" * 5_000],
)  # fmt: skip
def test_other_addresses_are_not_read(address: str) -> None:
    assert pictures.read_motif(address) is None


@pytest.mark.parametrize(
    ("name", "kind", "tint"),
    [
        ("Copper Kettle No. 3", "kettle", "copper"),
        ("Forest Green Watering Can", "wateringcan", "green"),
        ("WHITE HANGING HEART T-LIGHT HOLDER", "candle", "white"),
        ("Oak chair, oiled", "chair", "oak"),
        ("CHOCOLATE HOT WATER BOTTLE", "hotwaterbottle", "brown"),
        ("Théière émaillée", MOSAIC, ""),
        ("Oak-Handled Splitting Axe", "axe", ""),
        ("Wall Clocks", "clock", ""),
        ("LUNCH BAG DOLLY GIRL", "bag", ""),  # what decorates a thing does not name it
        ("Red cushion cover, butterflies", "cushion", "red"),
        ("Felt farm rabbit", "rabbit", ""),  # unless there is nothing else
        ("Pink luggage tag", "tag", "pink"),
        ("WINE GLASSES", "glass", ""),
    ],
)
def test_words_say_what_it_is_and_of_what_colour(name: str, kind: str, tint: str) -> None:
    motif = pictures.motif_of("X-1", name)
    assert motif.kind == kind
    assert motif.tint == tint if tint else motif.tint != "oak"
