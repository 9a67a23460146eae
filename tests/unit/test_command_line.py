"""Every command with a state folder that is no good, and common options that a command does not take (P7).

Exit codes: 64 wrong usage, 70 cannot start, 1 nothing runs there; one line that names what is wrong, and never a traceback.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.commands import BENCHMARKS
from main import run
from settings import Runtime, Secrets, Settings
from settings.addresses import Addresses

ELSEWHERE = ("--set", "broker.url=postgres", "--set", "database.url=postgresql://nobody@127.0.0.1:1/none")
ASKING_THE_SUPERVISOR = [
    ["status"],
    ["status", "--json"],
    ["status", "--metrics"],
    ["fault", "kill", "web-1"],
    ["traffic", "3"],
    ["balancer", "restart"],
]
READING_THE_FOLDER = [
    ["month", "close"],
    ["reconcile"],
    ["balancer", "servers"],
    ["balancer", "state", "web-1", "drain"],
    ["balancer", "weight", "web-1", "3"],
    ["balancer", "add", "a", "127.0.0.1:9"],
    ["balancer", "remove", "a"],
    ["balancer", "reload"],
]


def stale(state: Path, change: Callable[[dict[str, Any]], object] = lambda _document: None) -> Path:
    """A folder whose system has ended; ``change``: what another version, or a damage, made of runtime.json."""
    state.mkdir()
    secrets = Secrets.read_or_make(state, ["m1"])
    addresses = Addresses(21_000)
    Runtime(state, Settings(), addresses, "postgresql+psycopg://u@127.0.0.1:1/d", "postgres", False, secrets).write()
    document = json.loads((state / "runtime.json").read_text())
    change(document)
    (state / "runtime.json").write_text(json.dumps(document))
    return state


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "older": lambda document: [document.pop(name) for name in ("config", "overrides", "balancer_revision")],
    "newer": lambda document: document.update(colour="blue"),
    "newer settings": lambda document: document["settings"]["customers"].update(wings=2),
    "port": lambda document: document.update(port_base="x"),
    "no port": lambda document: document.update(port_base=None),
    "url": lambda document: document.update(database_url=None),
    "other url": lambda document: document.update(database_url="mysql://x"),
    "broker": lambda document: document.update(broker_url=7),
}


def said(capsys: pytest.CaptureFixture[str]) -> str:
    told = capsys.readouterr()
    return told.out + told.err


@pytest.mark.parametrize("command", [*ASKING_THE_SUPERVISOR, *READING_THE_FOLDER], ids=" ".join)
def test_a_system_that_is_not_there_is_told_by_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name in ("absent", "empty", "file", "file/below"):
        assert run([*command, "--state", str(tmp_path / name)]) == (64 if command in READING_THE_FOLDER else 1), name
        assert str(tmp_path / name) in said(capsys)


@pytest.mark.parametrize("command", READING_THE_FOLDER, ids=" ".join)
def test_a_state_folder_of_another_version_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    for number, (name, change) in enumerate(CHANGES.items()):
        state = stale(tmp_path / str(number), change)
        assert run([*command, "--state", str(state)]) == 64, name
        assert f"{state / 'runtime.json'}: the file is damaged, or another version's" in said(capsys)


@pytest.mark.parametrize("command", READING_THE_FOLDER, ids=" ".join)
def test_secrets_that_cannot_be_used_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    state = stale(tmp_path / "state")
    file = state / "secrets.json"
    whole = file.read_bytes()
    for text, mode, why in (
        (b"[]", 0o600, "damaged"),
        (b"\xff\0", 0o600, "damaged"),
        (whole, 0o644, "others can read the secrets"),
    ):
        file.write_bytes(text)
        file.chmod(mode)
        assert run([*command, "--state", str(state)]) == 64
        assert why in said(capsys)
    file.unlink()
    for _ in ("absent", "a folder"):
        assert run([*command, "--state", str(state)]) == 64
        assert f"{file}: cannot be read" in said(capsys)
        file.mkdir(exist_ok=True)


@pytest.mark.parametrize("command", [["month", "close"], ["reconcile"], ["balancer", "servers"]], ids=" ".join)
def test_a_system_that_has_ended_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """Its folder is as it left it: the processes that it names do not answer."""
    assert run([*command, "--state", str(stale(tmp_path / "state"))]) in (1, 70)
    assert said(capsys).startswith("error: ")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["check", "x"], "check"),
        (["compare", "x", "y"], "compare"),
        (["bench", "startup"], "bench"),
        (["strategy", "new", "x.py"], "strategy new"),
        (["scenario", "list"], "scenario list"),
        (["balance", "--listen", "127.0.0.1:1", "--server", "a=127.0.0.1:2"], "balance"),
    ],
    ids=lambda told: told if isinstance(told, str) else "",
)
@pytest.mark.parametrize("option", [["--state", "x"], ["--port-base", "9000"], ["--set", "a.b=1"], ["--config", "x"]])
def test_a_common_option_that_would_change_nothing_is_refused(
    capsys: pytest.CaptureFixture[str], command: list[str], name: str, option: list[str]
) -> None:
    assert run([*command, *option]) == 64
    assert f"{option[0]} changes nothing of `{name}`" in said(capsys)


def test_bench_without_a_name_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench"]) == 0
    assert [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()] == list(BENCHMARKS)


@pytest.mark.parametrize("name", ["x" * 5_000, "", "-", "\udcff"])
def test_a_run_folder_that_cannot_be_is_unknown(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """As a run that could not be read: exit code 2."""
    assert run(["check", name]) == 2
    assert "cannot be read" in said(capsys)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--state", "{taken}"], "--state {taken}: needs a folder that is empty or absent"),
        (["--report", "{taken}"], "--report {taken}: needs a folder that is empty or absent"),
        (["--state", "{file}/below"], "--state '{file}/below': Not a directory"),
        (["--port-base", "0"], "--port-base"),
        (["--port-base", "9000", *ELSEWHERE], "with database.url there is none"),
        (["--state", "{absent}", *ELSEWHERE], "with database.url there is none"),
    ],
)
def test_where_a_grading_may_not_take_place_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    places = {"taken": tmp_path / "taken", "file": tmp_path / "taken" / "thesis", "absent": tmp_path / "absent"}
    places["taken"].mkdir()
    places["file"].touch()
    assert run(["grade", "row_lock", *(word.format(**places) for word in words)]) == 64
    assert why.format(**places) in said(capsys)
    assert not places["absent"].exists()
