"""The style sheet: enough contrast in both schemes, nothing from elsewhere, nothing too large."""

import re
import zlib
from itertools import product

import pytest

from customers.pages import assets

CSS = (assets.FOLDER / "shop.css").read_text(encoding="utf-8")
RULES = re.sub(r"/\*.*?\*/", "", CSS, flags=re.DOTALL)
TEXT_CONTRAST_MIN = 4.5  # WCAG 2.2, 1.4.3
EDGE_CONTRAST_MIN = 3.0  # 1.4.11: what shows that something is a field or has the focus
ON_SURFACES = [*product(("ink", "faint", "green", "red", "amber", "blue"), ("paper", "sheet"))]
ON_TONES = [(tone, f"{tone}-soft") for tone in ("green", "red", "amber", "blue")]
INK_ON_TONES = [("ink", f"{tone}-soft") for tone in ("green", "red", "amber", "blue")]
ON_FULL = [("green-ink", "green"), ("sheet", "red"), ("sheet", "green"), ("sheet", "amber"), ("sheet", "blue")]
CSS_BYTES_MAX = 8_000  # compressed


def colours(scheme: str) -> dict[str, str]:
    """The variables of a scheme; what the dark one does not name is as in the light one."""
    blocks = re.findall(r":root \{(.*?)\}", RULES, re.DOTALL)
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})\b", block)) for block in blocks[:2])
    return light if scheme == "light" else light | dark


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_reckoned_as_wcag_does() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(scheme: str) -> None:
    known = colours(scheme)
    weak = {
        f"{text} on {ground}": round(contrast(known[text], known[ground]), 2)
        for text, ground in ON_SURFACES + ON_TONES + INK_ON_TONES + ON_FULL
        if contrast(known[text], known[ground]) < TEXT_CONTRAST_MIN
    }
    assert weak == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fields_and_focus_can_be_seen(scheme: str) -> None:
    known = colours(scheme)
    for edge, ground in product(("edge", "green"), ("paper", "sheet")):
        assert contrast(known[edge], known[ground]) >= EDGE_CONTRAST_MIN, (edge, ground)


def test_colours_are_named_once() -> None:
    """Outside of the variables: the payment card's own, which is dark in both schemes, and black on white for paper."""
    used = set(re.findall(r"#[0-9a-f]{3,8}\b", re.sub(r":root \{.*?\}", "", RULES, flags=re.DOTALL)))
    assert used <= {"#17604f", "#1d4561", "#fff", "#999"}


def test_all_of_it_is_in_the_folder() -> None:
    files = {path.name for path in assets.FOLDER.iterdir()}
    assert set(re.findall(r'url\("([^"]+)"\)', RULES)) <= files
    assert "@import" not in RULES
    assert "http" not in RULES


def test_it_is_small() -> None:
    assert len(zlib.compress(CSS.encode(), 9)) < CSS_BYTES_MAX


@pytest.mark.parametrize("query", ["prefers-color-scheme: dark", "prefers-reduced-motion", "forced-colors", "print"])
def test_readers_choices_are_followed(query: str) -> None:
    assert query in RULES
