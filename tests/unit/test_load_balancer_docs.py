"""What docs/load-balancer.md says of limits and deadlines is what the settings say."""

import re
from pathlib import Path

import pytest

from settings.model import LoadBalancer

PAGE = (Path(__file__).parents[2] / "docs" / "load-balancer.md").read_text(encoding="utf-8")


def rows(title: str) -> dict[str, str]:
    """Key -> default, as a section's table has them."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", section, re.MULTILINE))


def default_of(key: str) -> str:
    value: object = LoadBalancer()
    for name in key.split("."):
        value = getattr(value, name)
    return ", ".join(value) if isinstance(value, list) else str(value)


@pytest.mark.parametrize("title", ["Limits", "Deadlines"])
def test_every_default_is_told_as_it_is(title: str) -> None:
    told = rows(title)
    assert told == {key: default_of(key) for key in told}


def test_no_limit_and_no_deadline_is_left_out() -> None:
    told = rows("Limits") | rows("Deadlines")
    elsewhere = {"access_log_bytes_max", "ejected_percent_max"}
    names = {name for name in LoadBalancer.model_fields if name.endswith(("_max", "_timeout_ms", "_networks"))}
    assert names - elsewhere - set(told) == set()
    assert "tls.handshake_timeout_ms" in told
