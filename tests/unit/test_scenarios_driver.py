"""The driver's parts without a system: kill schedules, run folders, what goes into run.json, expectations."""

import os
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest

from scenarios import port_stretch, run
from scenarios.experiments import EXPERIMENTS
from scenarios.experiments.kill_anything import Killer, schedule
from scenarios.port_stretch import NoPorts, PortStretch
from scenarios.run import RunFailed, prepare_folder, without_secrets
from scenarios.simulate import Options, OrdersForm, months, orders
from scenarios.system import ControlRefused
from scenarios.teller import Teller
from settings import Settings
from settings.addresses import Addresses

CONFIG = Path(__file__).resolve().parents[2] / "config.yml"


class FakeSystem:
    """What the killer sees of a system."""

    def __init__(self, states: dict[str, str]) -> None:
        self.states = states
        self.killed: list[str] = []
        self.refuse = False

    def status(self) -> dict[str, Any]:
        return {"processes": [{"name": name, "state": state} for name, state in self.states.items()]}

    def fault(self, fault: str, name: str) -> None:
        if self.refuse:
            raise ControlRefused("is not running")
        assert fault == "kill"
        self.killed.append(name)


def test_a_schedule_of_kills_comes_from_the_seed_alone() -> None:
    assert schedule(5, 20, 10) == schedule(5, 20, 10)
    assert schedule(5, 20, 10) != schedule(6, 20, 10)
    kills = schedule(5, 20, 200)
    assert [kill.second for kill in kills] == sorted(kill.second for kill in kills)
    assert all(0 <= kill.second <= 20 for kill in kills)
    assert {kill.kind for kill in kills} == {"web", "distributor", "manufacturer"}


def test_a_victim_that_cannot_be_killed_now_is_killed_later_and_kills_not_done_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("scenarios.experiments.kill_anything.time.monotonic", lambda: now)
    system: Any = FakeSystem(
        {"web-1": "starting", "distributor": "ready", "manufacturer-1": "ready", "postgres": "ready"}
    )
    killer = Killer(schedule(1, 20, 10))
    killer.tick(system)
    assert system.killed == []
    now = 110.0
    system.refuse = True
    killer.tick(system)
    assert system.killed == []
    system.refuse = False
    system.states["web-1"] = "ready"
    killer.tick(system)
    due = [kill for kill in schedule(1, 20, 10) if kill.second <= 10]
    assert len(system.killed) == len(due) > 0
    assert "postgres" not in system.killed
    report = killer.report()
    assert len(report) == 10
    assert [row["outcome"] for row in report].count("killed") == len(due)


def test_the_killer_waits_for_a_process_that_is_being_started() -> None:
    system: Any = FakeSystem({"postgres": "ready"})
    killer = Killer(schedule(1, 0.0, 3))
    killer.tick(system)
    assert system.killed == []
    assert all(row["outcome"].startswith("not done") for row in killer.report())


def test_a_run_folder_is_new_and_latest_points_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = prepare_folder(None, "x"), prepare_folder(None, "x")
    assert first != second
    assert (tmp_path / "runs" / "latest").resolve() == second


def test_a_folder_with_something_in_it_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(RunFailed, match="not an empty folder") as failed:
        prepare_folder(tmp_path, "x")
    assert failed.value.exit_code == 64


def test_addresses_lose_their_passwords_before_they_go_into_a_report() -> None:
    raw = Settings().model_dump(mode="json")
    raw["database"]["url"] = "postgresql+psycopg://user:s3cret@host:5432/name"
    raw["broker"]["url"] = "amqp://user:p@ss@host/"
    shown = str(without_secrets(Settings.model_validate(raw)))
    assert "s3cret" not in shown
    assert "p@ss" not in shown
    assert "***@host:5432/name" in shown


@pytest.mark.parametrize(
    ("options", "form", "words"),
    [
        (Options(CONFIG, 1, ("no.such=1",)), OrdersForm(Path("x"), 0.8, 3, 16), "unknown key"),
        (Options(CONFIG, -1), OrdersForm(Path("x"), 0.8, 3, 16), "--seed"),
        (Options(CONFIG, 1), OrdersForm(Path("x"), 0, 3, 16), "--supply"),
        (Options(CONFIG, 1), OrdersForm(Path("x"), float("nan"), 3, 16), "--supply"),
        (Options(CONFIG, 1), OrdersForm(Path("x"), 0.8, 0, 16), "--manufacturers"),
        (Options(CONFIG, 1), OrdersForm(Path("x"), 0.8, 3, 0), "--workers"),
        (Options(CONFIG, 1), OrdersForm(Path("no-such-file"), 0.8, 3, 1), "no-such-file: cannot be read"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_done(options: Options, form: OrdersForm, words: str) -> None:
    """P7: exit code 64 and no folder."""
    with pytest.raises(RunFailed, match=words) as failed:
        if "unknown" in words or "seed" in words:
            months(options, 1, 1)
        else:
            orders(options, form, Teller())
    assert failed.value.exit_code == 64


def test_the_users_own_settings_win_over_those_of_the_run(tmp_path: Path) -> None:
    overrides = ("customers.password_memory_kib=1024", "simulation.months_max=9")
    recipe, _ = months(Options(CONFIG, 1, overrides, out=tmp_path / "run"), 2, 5)
    assert recipe.settings.customers.password_memory_kib == 1024
    assert recipe.months == 9
    assert recipe.settings.customers.simulated == 0


def test_every_experiment_expects_something_for_every_strategy() -> None:
    for name, experiment in EXPERIMENTS.items():
        assert experiment.name == name
        assert experiment.expected("row_lock") == "valid"
    assert EXPERIMENTS["last_unit"].expected("naive") == "invalid"


@pytest.fixture
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no other run of the machine looks, nor this test for theirs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.usefixtures("own_locks")
def test_two_runs_never_choose_the_same_ports_and_leave_them_when_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """B1: with room for two runs, the third finds none until one ends; whoever listens there is B2's subject."""
    monkeypatch.setattr(port_stretch, "_is_free", lambda _port: True)
    monkeypatch.setattr(port_stretch, "BASES", range(27_000, 28_400, 700))
    first, second = PortStretch(None), PortStretch(None)
    assert {first.base, second.base} == {27_000, 27_700}
    with pytest.raises(NoPorts):
        PortStretch(None)
    first.release()
    third = PortStretch(None)
    assert third.base == first.base
    for stretch in (second, third):
        stretch.release()


@pytest.mark.usefixtures("own_locks")
def test_a_stretch_in_use_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """B2: a stretch with a port that somebody listens at; what else there is on this machine is none of the test's."""
    is_free = port_stretch._is_free
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        in_use = other.getsockname()[1]
        taken = in_use - Addresses(0).postgres
        monkeypatch.setattr(port_stretch, "_is_free", lambda port: port != in_use or is_free(port))
        monkeypatch.setattr(port_stretch, "BASES", [taken])
        with pytest.raises(NoPorts):
            PortStretch(None)
        monkeypatch.setattr(port_stretch, "BASES", [taken, taken + 700])
        stretch = PortStretch(None)
        assert stretch.base == taken + 700
        stretch.release()
    assert PortStretch(9_000).base == 9_000


def test_a_second_signal_waits_while_something_must_come_to_its_end() -> None:
    """G2."""
    with pytest.raises(KeyboardInterrupt), run.interruptible():
        with run.uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
