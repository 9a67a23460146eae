"""A whole system of stand-ins as a process: signals, lock, control socket, kill -9 (W1, W2, K1 to K3, P8)."""

import json
import os
import pty
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from settings import Runtime
from supervisor import control, lock
from supervisor.errors import StartError
from supervisor.logs import BYTES_MAX
from supervisor.ports import refuse_taken
from tests.conftest import ROOT, free_port, wait_until
from tests.supervisor_world import main


class StandInSystem:
    """The program of supervisor_stand_in_system.py, running."""

    def __init__(self, state: Path, output: int = subprocess.PIPE) -> None:
        self.state = state
        self.base = free_port(1, 2, 3, 4, 5)
        argv = [sys.executable, "-m", "tests.processes.supervisor_stand_in_system", str(state), str(self.base)]
        self.process = subprocess.Popen(argv, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, text=True)

    def until_ready(self) -> "StandInSystem":
        wait_until(lambda: self.process.poll() is not None or self.is_ready(), 20, "the system is ready")
        assert self.process.poll() is None, self.output()
        return self

    def is_ready(self) -> bool:
        try:
            return bool(control.ask(self.state, {"command": "status"})["state"] == "ready")
        except control.NotRunningError:
            return False

    def rows(self) -> dict[str, dict[str, object]]:
        return {row["name"]: row for row in control.ask(self.state, {"command": "status"})["processes"]}

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def output(self) -> str:
        return self.process.communicate(timeout=60)[0]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def until_stopped(running: StandInSystem) -> None:
    if running.process.poll() is None:
        running.process.terminate()
    running.output()


@pytest.fixture
def system(state: Path) -> Iterator[StandInSystem]:
    """A system for a test that stops or kills it."""
    running = StandInSystem(state).until_ready()
    yield running
    until_stopped(running)


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInSystem]:
    """One system for the tests that leave it as it is."""
    running = StandInSystem(tmp_path_factory.mktemp("steady") / "state").until_ready()
    yield running
    until_stopped(running)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_in_order(system: StandInSystem, sent: signal.Signals) -> None:
    """P8: no process, no port, no socket, no lock."""
    wait_until(lambda: len(system.family()) == 6, 5, "five processes, one with a child of its own")
    family = system.family()
    system.process.send_signal(sent)
    output = system.output()
    assert system.process.returncode == 0
    assert output.splitlines()[-2:] == ["stopping", "stopped"]
    wait_until(lambda: gone(family), what="no process is left")
    refuse_taken(("stand-in", "127.0.0.1", system.base + number) for number in range(1, 6))
    assert not (system.state / "control.sock").exists()
    assert not lock.is_held(system.state)


def test_the_children_go_with_a_killed_supervisor_and_the_next_start_finds_the_rest(system: StandInSystem) -> None:
    """W2: the kernel ends the children; the grandchild, which it does not know about, is ended by the next start."""
    family = system.family()
    (grandchild,) = [process for process in family if "time.sleep" in " ".join(process.cmdline())]
    system.process.kill()
    system.output()
    wait_until(lambda: gone([process for process in family if process != grandchild]), 5, "the children are gone")
    assert grandchild.is_running()
    second = StandInSystem(system.state).until_ready()
    second.process.terminate()
    assert second.output().startswith("leftovers 1\n")
    assert gone([grandchild])


def test_one_state_folder_runs_one_system(steady: StandInSystem) -> None:
    """W1."""
    with pytest.raises(StartError, match=rf"already runs with the state folder .* \(pid {steady.process.pid}\)"):
        lock.take(steady.state)


def test_two_systems_run_side_by_side(steady: StandInSystem, system: StandInSystem) -> None:
    control.ask(system.state, {"command": "stop"})
    system.output()
    assert system.process.returncode == 0
    assert {row["state"] for row in steady.rows().values()} == {"ready"}


def test_status_names_every_process(steady: StandInSystem) -> None:
    rows = steady.rows()
    assert list(rows) == ["base-1", "traffic", "middle-1", "middle-2", "top-1"]
    assert {row["state"] for row in rows.values()} == {"ready"}
    for row in rows.values():
        assert psutil.pid_exists(int(str(row["pid"])))
        assert str(row["url"]).startswith("http://127.0.0.1:")


def test_status_asks_who_was_ready_and_says_why_one_is_not(steady: StandInSystem) -> None:
    """One that was ready once, and one that does not answer at all; asked for the rows alone, nobody is asked."""
    silent, fickle = (int(str(steady.rows()[name]["pid"])) for name in ("middle-1", "middle-2"))
    expected: dict[str, tuple[str, str | None]] = dict.fromkeys(steady.rows(), ("ready", None))
    expected["middle-1"] = "not ready", "it does not answer within 1.5 s"
    expected["middle-2"] = "not ready", "it has changed its mind"

    def is_told() -> bool:
        """On a busy machine the others may take that long, too: then not yet."""
        done = main("status", "--json", "--state", str(steady.state))
        rows = json.loads(done.stdout)["processes"]
        return {row["name"]: (row["state"], row["unready"]) for row in rows} == expected

    def is_shown() -> bool:
        shown = main("status", "--state", str(steady.state)).stdout.splitlines()
        lines = {line.split()[0]: line for line in shown}
        return lines["middle-2"].endswith("not ready: it has changed its mind") and " ready " in lines["top-1"]

    os.kill(fickle, signal.SIGUSR1)
    os.kill(silent, signal.SIGSTOP)
    try:
        wait_until(is_told, what="the rows say who is not ready, and why")
        wait_until(is_shown, what="people read it")
    finally:
        os.kill(silent, signal.SIGCONT)
    assert {row["state"] for row in steady.rows().values()} == {"ready"}


def test_faults_and_stop_over_the_control_socket(system: StandInSystem) -> None:
    before = system.rows()["top-1"]["pid"]
    control.ask(system.state, {"command": "fault", "fault": "kill", "names": ["top-1"]})
    healed = lambda: system.rows()["top-1"]["state"] == "ready" and system.rows()["top-1"]["pid"] != before  # noqa: E731
    wait_until(healed, 10, "top-1 runs again")
    control.ask(system.state, {"command": "stop"})
    system.output()
    assert system.process.returncode == 0
    with pytest.raises(control.NotRunningError):
        control.ask(system.state, {"command": "status"})


@pytest.mark.parametrize(
    ("request_line", "complaint"),
    [
        (b"[]\n", "not a JSON object"),
        (b"{\n", "not JSON"),
        (b"[" * 60_000 + b"\n", "not JSON"),
        (b'{"command": "dance"}\n', "command: expected"),
        (b'{"command": "fault", "fault": "kill", "names": "top-1"}\n', "names: expected a list"),
        (b'{"command": "fault", "fault": "kill", "names": ["nobody"]}\n', "no process is called nobody"),
        (b'{"command": "fault", "fault": "tickle", "names": ["top-1"]}\n', "unknown fault tickle"),
        (b'{"command": "set", "key": "database.url", "value": "x"}\n', "only customers.simulated"),
        (b'{"command": "set", "key": "customers.simulated", "value": -1}\n', "expected an integer from 0 to 500"),
        (b'{"command": "set", "key": "customers.simulated", "value": "7"}\n', "expected an integer from 0 to 500"),
    ],
)
def test_a_bad_request_is_answered_and_changes_nothing(
    steady: StandInSystem, request_line: bytes, complaint: str
) -> None:
    """K2, P7."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(steady.state / "control.sock"))
        connection.sendall(request_line)
        answer = json.loads(connection.makefile("rb").readline())
    assert answer["ok"] is False
    assert complaint in answer["error"]
    assert steady.is_ready()


def test_set_reaches_the_file_that_every_process_reads(steady: StandInSystem) -> None:
    control.ask(steady.state, {"command": "set", "key": "customers.simulated", "value": 17})
    assert Runtime.read(steady.state).settings.customers.simulated == 17


def test_only_the_owner_may_use_the_state_folder(steady: StandInSystem) -> None:
    """K1, S2."""
    assert stat.S_IMODE(steady.state.stat().st_mode) == 0o700
    for file in ("control.sock", "secrets.json", "runtime.json", "logs/top-1.log"):
        assert stat.S_IMODE((steady.state / file).stat().st_mode) & 0o077 == 0, file


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else; run the tests as root for this one")
def test_another_account_is_not_heard(state: Path) -> None:
    """K1: even where permissions were opened by mistake, the kernel names the peer."""
    system = StandInSystem(state).until_ready()
    try:
        (state / "control.sock").chmod(0o666)
        for folder in (state, *state.parents):
            if folder.stat().st_uid == 0 and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)
        question = (
            "import os, socket, sys\nos.setuid(65_534)\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
            'try:\n    s.sendall(b\'{"command": "stop"}\\n\')\n    sys.exit(len(s.recv(9)))\n'
            "except (BrokenPipeError, ConnectionResetError):\n    sys.exit(0)\n"
        )
        asked = subprocess.run([sys.executable, "-c", question, str(state / "control.sock")], check=False)
        assert asked.returncode == 0
        assert system.is_ready()
    finally:
        system.process.terminate()
        system.output()


def test_a_long_state_path_works(tmp_path: Path) -> None:
    """K3."""
    state = tmp_path / ("long-" * 30)
    system = StandInSystem(state).until_ready()
    control.ask(state, {"command": "stop"})
    system.output()
    assert system.process.returncode == 0


def test_a_closed_output_does_not_end_the_system(state: Path) -> None:
    system = StandInSystem(state)
    assert system.process.stdout is not None
    system.process.stdout.close()
    system.until_ready()
    system.process.terminate()
    assert system.process.wait(60) == 0


@pytest.mark.parametrize("output", ["full disk", "closed terminal"])
def test_output_that_fails_keeps_nothing_from_being_started_again(state: Path, output: str) -> None:
    """P5: a terminal may close without a hangup signal (disown), the disk of a redirected output may be full."""
    if output == "full disk":
        master, slave = -1, os.open("/dev/full", os.O_WRONLY)
    else:
        master, slave = pty.openpty()
    system = StandInSystem(state, output=slave)
    os.close(slave)
    if master >= 0:
        os.read(master, 1)
        os.close(master)
    system.until_ready()
    killed = system.rows()["middle-1"]["pid"]
    control.ask(state, {"command": "fault", "fault": "kill", "names": ["middle-1"]})

    def is_back() -> bool:
        row = system.rows()["middle-1"]
        return row["state"] == "ready" and row["pid"] != killed

    wait_until(is_back, 10, "it runs again")
    system.process.terminate()
    assert system.process.wait(60) == 0


def test_a_log_that_cannot_be_cut_does_not_end_the_housekeeping(system: StandInSystem) -> None:
    """A full disk hits the copy of a log first; the config file is followed all the same."""
    logs = system.state / "logs"
    (logs / "top-1.log.1").mkdir()
    with (logs / "top-1.log").open("ab") as log:
        log.truncate(BYTES_MAX)
    wait_until(lambda: "action=keep_house failed" in (logs / "supervisor.log").read_text(), 10, "it is reported")
    (logs / "top-1.log.1").rmdir()
    (system.state / "config.yml").write_text("customers:\n  simulated: 7\n")
    wait_until(lambda: Runtime.read(system.state).settings.customers.simulated == 7, 10, "the file is followed")
    assert system.process.poll() is None
    assert {row["state"] for row in system.rows().values()} == {"ready"}


def test_a_changed_config_file_changes_the_number_of_simulated_customers(system: StandInSystem) -> None:
    """A file with a mistake is reported and changes nothing; the corrected one is followed."""
    config = system.state / "config.yml"
    config.write_text("customers:\n  simulated: nine\n")
    wait_until(lambda: "config.yml:2" in (system.state / "logs" / "supervisor.log").read_text(), 10, "it is reported")
    assert Runtime.read(system.state).settings.customers.simulated == 4
    config.write_text("customers:\n  simulated: 9\n")
    wait_until(lambda: Runtime.read(system.state).settings.customers.simulated == 9, 10, "the file is followed")


def test_another_change_of_the_config_file_keeps_what_was_set_by_hand(system: StandInSystem) -> None:
    control.ask(system.state, {"command": "set", "key": "customers.simulated", "value": 11})
    config, log = system.state / "config.yml", system.state / "logs" / "supervisor.log"
    config.write_text("customers:\n  threads: 9\n")
    wait_until(lambda: "action=config followed" in log.read_text(), 10, "the file is looked at")
    assert Runtime.read(system.state).settings.customers.simulated == 11
    config.write_text("customers:\n  simulated: 3\n")
    wait_until(lambda: Runtime.read(system.state).settings.customers.simulated == 3, 10, "the file is followed")


def test_a_folder_with_other_files_is_no_state_folder(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").touch()
    with pytest.raises(StartError, match="holds other files"):
        lock.prepare_folder(tmp_path)


def test_a_taken_port_is_named_with_its_user() -> None:
    """U2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"port {port} \(shop\) is in use by pid {os.getpid()} \(.*python"):
            refuse_taken([("shop", "127.0.0.1", port)])
