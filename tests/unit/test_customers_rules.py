"""docs/shop-rules.md and docs/security.md name tests that exist."""

import re

from tests.conftest import ROOT

RULES = ROOT / "docs" / "shop-rules.md"
SECURITY = ROOT / "docs" / "security.md"


def missing(text: str) -> set[str]:
    """The tests that a text names and nobody wrote."""
    written = {
        name
        for path in (ROOT / "tests").glob("*/test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    return set(re.findall(r"`(test_\w+)`", text)) - written


def test_every_rule_of_the_shop_has_its_tests() -> None:
    text = RULES.read_text(encoding="utf-8")
    assert missing(text) == set()
    assert set(re.findall(r"^\| (C\d\d) \|", text, re.MULTILINE)) == {f"C{number}" for number in range(13, 30)}


def test_every_protection_has_its_tests() -> None:
    assert missing(SECURITY.read_text(encoding="utf-8")) == set()


def test_control_a_test_that_is_gone_is_missed() -> None:
    assert missing("| C13 | … | `test_that_was_renamed` |") == {"test_that_was_renamed"}
