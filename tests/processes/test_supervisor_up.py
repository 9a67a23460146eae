"""`main.py up`, the whole system: what it prints, its status, its end, and what a kill -9 of main.py leaves (P5, P8)."""

import json
import os
import shutil
import signal
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from settings.addresses import Addresses
from tests.conftest import wait_until
from tests.supervisor_world import Up, main

PORT_BASE = 21_100
ANSWER_SECONDS_MAX = 10.0  # 4 are the most it may take, on a machine of one's own
CANNOT_REACH = "The shop cannot reach its books at the moment"


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="cds-test-"))
    home.chmod(0o711)
    yield home / "state"
    shutil.rmtree(home)


@pytest.fixture
def up(state: Path) -> Iterator[Up]:
    """A system; the state folder is the same for all tests of this file, so that each start after the first is a second one."""
    running = Up(state, PORT_BASE)
    try:
        yield running.until_ready()
    finally:
        running.process.terminate()
        running.process.wait(60)


def nothing_left(family: list[psutil.Process], port_base: int) -> bool:
    addresses = Addresses(port_base)
    ports = [
        addresses.shop,
        addresses.load_balancer_admin,
        addresses.postgres,
        addresses.web(1),
        addresses.distributor(1),
    ]
    return not any(process.is_running() for process in family) and all(is_free(port) for port in ports)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def test_up_names_every_process_heals_and_ends_without_a_trace(up: Up) -> None:
    """P5, P8, and the contract of `status --json`."""
    names = ["postgres", "manufacturer-1", "manufacturer-2", "distributor", "web-1", "web-2", "load_balancer"]
    lines = up.output().splitlines()
    assert lines[-1] == f"ready: http://127.0.0.1:{PORT_BASE}  (Ctrl-C stops everything)"
    assert sorted(line.split()[0] for line in lines if " ready   " in line) == sorted(names)

    status = up.status()
    assert [row["name"] for row in status["processes"] if row["name"] != "traffic"] == names
    assert all({"name", "kind", "pid", "state", "url"} <= set(row) for row in status["processes"])
    assert status["shop"] == f"http://127.0.0.1:{PORT_BASE}"
    assert status["broker"] == "postgres"
    psycopg.connect(status["database"]).close()

    before = up.process_row("web-1")["pid"]
    assert main("fault", "kill", "web-1", "--state", str(up.state)).returncode == 0
    wait_until(lambda: up.process_row("web-1")["pid"] not in (None, before), 30, "web-1 has a new process")
    wait_until(lambda: up.process_row("web-1")["state"] == "ready", 60, "web-1 is ready again")
    with urllib.request.urlopen(f"{status['shop']}/api/v1/products", timeout=30) as answer:
        assert answer.status == 200
    for row in status["processes"]:
        assert row["kind"] != "web" or told(f"{row['url']}/") == (200, "")
    while_its_database_stands_still_the_shop_answers_itself(up, status["shop"])

    family = up.family()
    stopped = main("stop", "--state", str(up.state))
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
    assert up.process.wait(60) == 0
    wait_until(lambda: nothing_left(family, PORT_BASE), what="every child is gone and every port is free")
    assert main("status", "--state", str(up.state)).returncode == 1
    assert main("stop", "--state", str(up.state)).returncode == 0


def while_its_database_stands_still_the_shop_answers_itself(up: Up, shop: str) -> None:
    """P5, and patience.T1 to T3, readiness.R1, server_set.G1 together: within seconds, through the balancer."""
    assert main("fault", "pause", "postgres", "--state", str(up.state)).returncode == 0
    try:
        began = time.monotonic()
        assert told(f"{shop}/api/v1/products") == (503, "urn:cds:problem:unavailable")
        assert time.monotonic() - began < ANSWER_SECONDS_MAX
        wait_until(lambda: told(f"{shop}/")[1] == "as it was", ANSWER_SECONDS_MAX, "the catalogue says how old it is")
        wait_until(lambda: the_status_says_why(up), what="nobody is ready, and why is said")
    finally:
        assert main("fault", "resume", "postgres", "--state", str(up.state)).returncode == 0
    wait_until(lambda: told(f"{shop}/api/v1/products")[0] == 200, ANSWER_SECONDS_MAX, "all is well again")
    wait_until(lambda: told(f"{shop}/") == (200, ""), ANSWER_SECONDS_MAX, "the catalogue is as it is")


def the_status_says_why(up: Up) -> bool:
    """On a busy machine an instance may have no time to say it."""
    rows = {row["name"]: row for row in up.status()["processes"]}
    states = {rows[name]["state"] for name in ("web-1", "web-2", "load_balancer")}
    return states == {"not ready"} and "the database has not answered for" in rows["web-1"]["unready"]


def told(url: str) -> tuple[int, str]:
    """Status; a problem's type, or ``as it was`` for a page that says that it is old."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, "as it was" if CANNOT_REACH in answer.read().decode() else ""
    except urllib.error.HTTPError as error:
        body = error.read()
        return error.code, json.loads(body)["type"] if body.startswith(b"{") else "page"


def test_a_killed_main_takes_its_children_with_it_and_loses_nothing(up: Up) -> None:
    """P8: what was committed is there after the next start."""
    with psycopg.connect(up.status()["database"], autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (v int)")
        connection.execute("INSERT INTO kept VALUES (42)")
    family = up.family()
    os.kill(up.process.pid, signal.SIGKILL)
    up.process.wait()
    wait_until(lambda: nothing_left(family, PORT_BASE), 20, "every child is gone and every port is free")
    second = Up(up.state, PORT_BASE).until_ready()
    try:
        with psycopg.connect(second.status()["database"]) as connection:
            assert connection.execute("SELECT v FROM kept").fetchone() == (42,)
        again = main("up", "--state", str(up.state), "--port-base", "21900")
        assert again.returncode == 70
        assert f"already runs with the state folder {up.state} (pid {second.process.pid})" in again.stderr
    finally:
        second.process.send_signal(signal.SIGINT)
        assert second.process.wait(60) == 0


def test_a_taken_port_stops_the_start_before_anything_is_started(state: Path) -> None:
    """Exit code 70, the cause and the fix; and no child was started for nothing."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", Addresses(PORT_BASE).web(2)))
        taken.listen()
        refused = main("up", "--state", str(state), "--port-base", str(PORT_BASE), "--set", "broker.url=postgres")
    assert refused.returncode == 70
    assert f"port {PORT_BASE + 202} (web-2) is in use by pid {os.getpid()}" in refused.stderr
    assert "--port-base" in refused.stderr
    assert "ready" not in refused.stdout


def test_wrong_settings_are_all_named_and_nothing_starts(tmp_path: Path) -> None:
    """P7: exit code 64, one line a mistake; the state folder is not even made."""
    config = tmp_path / "config.yml"
    config.write_text("customers:\n  instance: 3\nsimulation:\n  month_seconds: soon\n")
    refused = main("--config", str(config), "--state", str(tmp_path / "state"), "--set", "cart.lines_max=0")
    assert refused.returncode == 64
    assert len(refused.stderr.splitlines()) == 3
    assert f"{config}:2: customers.instance: unknown key; did you mean customers.instances?" in refused.stderr
    assert not (tmp_path / "state").exists()
