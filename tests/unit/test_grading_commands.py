"""`main.py strategy new` and what `main.py grade` refuses, without a database; and what our strategies say of themselves."""

import importlib
import re
from pathlib import Path

import pytest

from distributor.strategies import NAMES, load
from grading import commands
from grading.commands import Wish

ROOT = Path(__file__).parents[2]
PARTS = ("Idea", "SQL", "Contention", "Deadlocks", "Cost", "Anomaly")
ADMITTED = {"naive": "Lost update (P4)", "process_mutex": "Lost update (P4)"}
"""By Adya's names, as Hermitage uses them; the others admit none."""


def test_a_new_strategy_is_made_once_and_can_be_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "course" / "mine.py"
    assert commands.new(path) == 0
    assert f"main.py grade {path}" in capsys.readouterr().out
    assert load(str(path)).name == "mine"
    path.write_text("# my work\n")
    assert commands.new(path) == 64
    assert path.read_text() == "# my work\n"
    assert "exists already" in capsys.readouterr().err


def test_a_new_strategy_is_a_python_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.new(tmp_path / "mine.txt") == 64
    assert "ends with .py" in capsys.readouterr().err


def wish(strategy: str, folder: Path | None = None, *overrides: str) -> Wish:
    return Wish(strategy, ROOT / "config.yml", overrides, 1, True, False, folder)


def test_what_is_not_there_cannot_be_graded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.grade(wish(str(tmp_path / "mine.py"))) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_report_overwrites_nothing_and_wrong_settings_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert commands.grade(wish("row_lock", tmp_path)) == 64
    assert "empty or absent" in capsys.readouterr().err
    assert commands.grade(wish("row_lock", None, "cart.lines=3")) == 64
    assert "cart.lines" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*NAMES, "template"])
def test_every_strategy_says_what_it_is_and_which_anomaly_it_admits(name: str) -> None:
    module = NAMES.get(name, "grading.template.mine.Mine").rpartition(".")[0]
    said = importlib.import_module(module).__doc__ or ""
    assert tuple(re.findall(rf"^({'|'.join(PARTS)})  ", said, re.MULTILINE)) == PARTS
    anomaly = said.partition("Anomaly     ")[2]
    assert anomaly.startswith(ADMITTED.get(name, "None"))
