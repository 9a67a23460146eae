"""Strategies graded in the short form: ours get what they promise, and those that misbehave (tests/villains) are named.

What students begin with stands for the correct ones here: the contract's cases run over all of ours in
test_distributor_strategies.py, and all of them race in tests/races.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from grading.checks import CONTRACT, FAULTS, RACES
from grading.commands import Wish, grade
from grading.grader import EXERCISES, Grader, Plan
from grading.marks import WEIGHTS
from grading.server import NoDatabase
from grading.server import fresh_database as database_of_a_grading
from grading.supervision import Nursery
from grading.template import mine
from settings.model import Database
from tests.conftest import ROOT, Server, free_port, fresh_database
from tests.distributor_world import patient_settings

VILLAINS = Path(__file__).parents[1] / "villains"
SHORT = Plan(seed=1, quick=True, rounds=0, seconds=0)
Exercises = Sequence[tuple[str, str]]
ONLY_THE_CONTRACT: Exercises = [("contract", CONTRACT)]
ONLY_RACES: Exercises = [("races", RACES)]
RACES_AND_INSTANCES: Exercises = [("races", RACES), ("instances", RACES)]


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


def graded(nursery: Nursery, url: str, strategy: str, exercises: Exercises, plan: Plan = SHORT) -> dict[str, Any]:
    return Grader(nursery, url, patient_settings(), plan, lambda _what: None).grade(strategy, exercises)


LOADS = ("hot", "spread", "mixed")


def failed(report: dict[str, Any]) -> dict[str, Any]:
    return {check["name"]: check for check in report["checks"] if not check["passed"]}


def test_what_students_begin_with_keeps_every_check(nursery: Nursery, url: str) -> None:
    report = graded(nursery, url, mine.__file__, EXERCISES, replace(SHORT, rounds=1, seconds=0.1))
    assert failed(report) == {}
    assert {mark["name"]: mark["points"] is not None for mark in report["marks"]} == dict.fromkeys(WEIGHTS, True)
    assert report["marks"][0]["points"] == 100
    for figures in report["figures"].values():
        assert {load: found["sold"] > 0 for load, found in figures[0].items()} == dict.fromkeys(LOADS, True)
    assert report["passed"]


def test_control_naive_loses_every_race_for_the_counter(nursery: Nursery, url: str) -> None:
    report = graded(nursery, url, "naive", ONLY_RACES)
    races = {"last_unit_1", "last_unit_3", "hot_product", "opposite_baskets"}
    assert races <= failed(report).keys() <= races | {"holds", "withdrawal"}
    assert not report["passed"]


def test_control_process_mutex_is_right_alone_and_wrong_beside_another_instance(nursery: Nursery, url: str) -> None:
    report = graded(nursery, url, "process_mutex", RACES_AND_INSTANCES)
    assert failed(report).keys() == {"instances"}


def test_control_row_lock_unordered_sells_right_and_deadlocks(nursery: Nursery, url: str) -> None:
    report = graded(nursery, url, "row_lock_unordered", ONLY_RACES)
    assert failed(report) == {}
    marks = {mark["name"]: mark["passed"] for mark in report["marks"]}
    assert (marks["correctness"], marks["deadlocks"], report["passed"]) == (True, False, False)


def villain(name: str) -> str:
    return str(VILLAINS / f"{name}.py")


def line_of(name: str, code: str) -> str:
    """``file:line`` of the first line with ``code`` in it."""
    lines = (VILLAINS / f"{name}.py").read_text().splitlines()
    return f"{name}.py:{next(number for number, line in enumerate(lines, 1) if code in line)}"


class Misconduct(NamedTuple):
    """A villain, and the finding that it must lead to: its kind, code of the line to look at, part of what was seen."""

    name: str
    kind: str
    code: str
    seen: str


MISCONDUCT = [
    Misconduct("sleeps", "sleeps", "time.sleep(", "time.sleep(0.01)"),
    Misconduct("raises", "raises", "raise RuntimeError", "RuntimeError: no idea"),
    Misconduct("leaks", "connects", "engine.connect", "second connection"),
    Misconduct("leaks", "leaks", "engine.connect", "not given back"),
    Misconduct("commits", "commits", "connection.commit", "connection.commit()"),
    Misconduct("eats_memory", "memory", "EATEN.append", ""),
    Misconduct("exits", "exits", "sys.exit(", "SystemExit: 1"),
    Misconduct("exits_hard", "exits", "os._exit(", "os._exit(0)"),
    Misconduct("prints", "prints", "print(", "printed"),
    Misconduct("answers_wrongly", "answers", "def take", "bool True, neither Taken nor Short"),
]
ENDLESS = [
    Misconduct("hangs", "hangs", "Event().wait", "idle in transaction with locks on stock"),
    Misconduct("spins", "computes", "pass", "it spins"),
]


@pytest.mark.parametrize("wrong", MISCONDUCT, ids=lambda wrong: f"{wrong.name}-{wrong.kind}")
def test_misconduct_is_named_with_its_line(nursery: Nursery, url: str, wrong: Misconduct) -> None:
    report = graded(nursery, url, villain(wrong.name), ONLY_THE_CONTRACT)
    (found,) = [check for check in report["checks"] if check["name"] == wrong.kind]
    assert found["where"] == line_of(wrong.name, wrong.code)
    assert wrong.seen in found["seen"]
    assert not report["passed"]


@pytest.mark.parametrize("wrong", ENDLESS, ids=lambda wrong: wrong.name)
def test_what_never_ends_is_ended_and_told_from_what_it_does(
    nursery: Nursery, url: str, monkeypatch: pytest.MonkeyPatch, wrong: Misconduct
) -> None:
    """V1. The line may be the loop's head, which is one above."""
    monkeypatch.setattr(nursery, "step_seconds_max", 3.0)  # in which every other step ends
    report = graded(nursery, url, villain(wrong.name), ONLY_THE_CONTRACT)
    (found,) = [check for check in report["checks"] if check["group"] == "conduct"]
    line = int(line_of(wrong.name, wrong.code).partition(":")[2])
    assert found["name"] == wrong.kind, found
    assert found["where"] in {f"{wrong.name}.py:{line}", f"{wrong.name}.py:{line - 1}"}
    assert wrong.seen in found["seen"]


def test_who_swallows_a_deadlock_is_found_by_the_faults(nursery: Nursery, url: str) -> None:
    report = graded(nursery, url, villain("swallows"), [("faults", FAULTS)])
    found = failed(report)
    assert "swallowed" in found["deadlock_victim"]["seen"]
    assert found["swallows"]["where"] == line_of("swallows", "execute(WRITE")
    assert "was caught" in found["swallows"]["seen"]


def test_what_cannot_be_loaded_cannot_be_graded(nursery: Nursery, url: str) -> None:
    report = graded(nursery, url, villain("raises_at_import"), ONLY_THE_CONTRACT)
    assert not report["loaded"]
    (found,) = report["checks"]
    assert (found["name"], "line 4: KeyError" in found["seen"]) == ("loads", True)


def test_a_grading_leaves_page_and_json_and_tells_by_its_exit_code(
    postgres_server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the server of database.url, in a database of its own that is gone afterwards."""
    wish = Wish(
        villain("exits_hard"),
        ROOT / "config.yml",
        (f"database.url={postgres_server.url()}",),
        3,
        True,
        True,
        tmp_path / "r",
    )
    assert grade(wish) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "r" / "report.json").read_text())
    assert (printed["seed"], printed["passed"], printed["loaded"]) == (3, False, True)
    assert "os._exit(0)" in (tmp_path / "r" / "index.html").read_text()
    with psycopg.connect(postgres_server.superuser_conninfo("postgres")) as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'grade_%'").fetchall()
    assert left == []


def test_a_grading_keeps_to_the_folder_and_the_port_that_it_was_given(tmp_path: Path) -> None:
    """--state and --port-base; a port that somebody has is named, and what was begun is gone."""
    folder, port = tmp_path / "state", free_port()
    with database_of_a_grading(Database(), folder, port) as own:
        assert f"@127.0.0.1:{port}/" in own
        assert any(folder.iterdir())
        with (
            pytest.raises(NoDatabase, match=f"port {port} "),
            database_of_a_grading(Database(), tmp_path / "other", port),
        ):
            pytest.fail("a second server on the same port")
    assert list(tmp_path.iterdir()) == []
