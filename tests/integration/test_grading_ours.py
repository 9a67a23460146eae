"""Our own strategies graded in the short form: correct ones keep every check, each control fails where it promises.

One that waits, one that sells in groups and one that repeats stand for the correct ones: the contract's cases run over all
in test_distributor_strategies.py, and all of them race in tests/races.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from distributor.strategies import CONTROLS
from grading.checks import CONTRACT, FAULTS, RACES
from grading.grader import Grader, Plan
from grading.supervision import Nursery
from grading.template import mine
from settings import Settings
from tests.conftest import Server, fresh_database

TEMPLATE = mine.__file__
"""A row lock as it stands; what students begin with must be right."""
SHORT = Plan(seed=1, quick=True, rounds=0, seconds=0)
RACED = [("races", RACES), ("instances", RACES)]
EVERYTHING = [("contract", CONTRACT), *RACED, ("faults", FAULTS)]
FOUND_FAILING = {
    "naive": {"last_unit_1", "last_unit_3", "hot_product", "opposite_baskets", "instances"},
    "process_mutex": {"instances"},
    "row_lock_unordered": set(),
}
MAY_FAIL_TOO = {"naive": {"holds", "withdrawal"}}


@pytest.fixture(scope="module")
def url(postgres_server: Server, template_database: str) -> Iterator[str]:
    """PostgreSQL looks for deadlocks ten times as often as by default, as in a grading's own database."""
    with fresh_database(postgres_server, template_database) as url:
        postgres_server.administer(f"ALTER DATABASE {url.rpartition('/')[2]} SET deadlock_timeout = '100ms'")
        yield url


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


def graded(nursery: Nursery, url: str, name: str, exercises: list[tuple[str, str]]) -> dict[str, Any]:
    return Grader(nursery, url, Settings(), SHORT, lambda _what: None).grade(name, exercises)


@pytest.mark.parametrize("name", [TEMPLATE, "group_commit", "serializable"])
def test_a_correct_strategy_keeps_every_check(nursery: Nursery, url: str, name: str) -> None:
    report = graded(nursery, url, name, EVERYTHING if name == TEMPLATE else RACED)
    assert [check for check in report["checks"] if not check["passed"]] == []
    assert report["marks"][0]["points"] == 100


@pytest.mark.parametrize("name", CONTROLS)
def test_control_what_is_wrong_on_purpose_fails_where_it_promises(nursery: Nursery, url: str, name: str) -> None:
    report = graded(nursery, url, name, RACED)
    failed = {check["name"] for check in report["checks"] if not check["passed"]}
    assert FOUND_FAILING[name] <= failed <= FOUND_FAILING[name] | MAY_FAIL_TOO.get(name, set())
    marks = {mark["name"]: mark for mark in report["marks"]}
    assert marks["correctness"]["passed"] == (name == "row_lock_unordered")
    assert marks["deadlocks"]["passed"] == (name != "row_lock_unordered")
    assert not report["passed"]
