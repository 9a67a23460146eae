"""The embedded PostgreSQL (invariants G1 to G4 of supervisor/postgres.py)."""

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from supervisor import postgres
from supervisor.probes import postgres_alive
from supervisor.spawn import Account, start_child
from tests.conftest import ROOT, Server, answers, free_port, plain, wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL under another account; run as root")
PASSWORD = "a-password"


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder that an unprivileged account can be let into, as .run beside main.py usually is."""
    folder = Path(tempfile.mkdtemp(prefix="cds-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def cluster(state: Path) -> Iterator[postgres.Cluster]:
    made = postgres.locate(state, uuid.uuid4().hex)
    made.initialise(PASSWORD)
    yield made
    made.end_leftovers()


def start(cluster: postgres.Cluster, port: int) -> subprocess.Popen[bytes]:
    argv = cluster.argv(port, 20)
    process = start_child(argv, output=subprocess.DEVNULL, account=cluster.account, folder=Path("/"))
    wait_until(lambda: process.poll() is not None or answers(cluster.url(port, PASSWORD)), 20, "PostgreSQL answers")
    return process


def test_a_fresh_database_is_durable_and_listens_on_loopback_only(empty_database_url: str) -> None:
    """G2."""
    with psycopg.connect(plain(empty_database_url)) as connection:
        names = ["fsync", "synchronous_commit", "unix_socket_directories", "listen_addresses", "jit"]
        values = [connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
        assert [value[0] for value in values if value] == ["on", "on", "", "127.0.0.1", "off"]


@pytest.mark.parametrize("user", ["cds", "postgres"])
def test_nobody_comes_in_without_the_password(postgres_server: Server, user: str) -> None:
    """G2."""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://{user}:{user}@127.0.0.1:{postgres_server.port}/cds", connect_timeout=30)


def test_the_role_of_the_shop_is_no_superuser(postgres_url: str) -> None:
    with psycopg.connect(plain(postgres_url)) as connection:
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        assert row == (False,)


def test_text_has_correct_case_without_the_machines_locales(postgres_url: str) -> None:
    with psycopg.connect(plain(postgres_url)) as connection:
        assert connection.execute("SELECT upper('žluťoučký, ÄÖ')").fetchone() == ("ŽLUŤOUČKÝ, ÄÖ",)


def test_a_cluster_that_was_half_made_is_made_anew(state: Path) -> None:
    """G1."""
    made = postgres.locate(state, uuid.uuid4().hex)
    (made.data.parent / "data.new").mkdir()
    (made.data.parent / "data.new" / "PG_VERSION").touch()
    made.initialise(PASSWORD)
    assert (made.data / "postgresql.conf").exists()
    assert sorted(path.name for path in made.data.parent.iterdir()) == ["data"]


def test_the_making_of_a_cluster_ends_with_a_killed_supervisor(state: Path) -> None:
    """G1: it would write into the folder in which the next start begins anew."""
    program = (
        "import pathlib, sys, uuid; from supervisor import postgres;"
        "postgres.locate(pathlib.Path(sys.argv[1]), uuid.uuid4().hex).initialise('a-password')"
    )
    maker = subprocess.Popen([sys.executable, "-c", program, str(state)], cwd=ROOT)
    found: list[psutil.Process] = []

    def begun() -> bool:
        for one in psutil.Process(maker.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it has short-lived children of its own
                if one.name() == "initdb":
                    found.append(one)
        return bool(found)

    wait_until(begun, 20, "initdb runs")
    found[0].suspend()
    try:
        maker.kill()
        maker.wait(30)
        wait_until(lambda: not found[0].is_running(), 5, "initdb is gone")
    finally:
        if found[0].is_running():
            found[0].kill()
    made = postgres.locate(state, uuid.uuid4().hex)
    made.end_leftovers()
    made.initialise(PASSWORD)
    assert (made.data / "postgresql.conf").exists()


def test_a_server_that_a_killed_supervisor_left_is_ended_before_the_next_start(cluster: postgres.Cluster) -> None:
    """G4: nothing that was committed is lost."""
    port = free_port()
    left = start(cluster, port)
    with psycopg.connect(plain(cluster.url(port, PASSWORD)), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert cluster.end_leftovers()[0] == left.pid
    assert left.wait(30) == 0
    start(cluster, port)
    with psycopg.connect(plain(cluster.url(port, PASSWORD))) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_killed_server_starts_again_at_once(cluster: postgres.Cluster) -> None:
    """G4: its orphaned back ends are ended first, for they hold the old shared memory."""
    port = free_port()
    first = start(cluster, port)
    first.kill()
    first.wait()
    cluster.end_leftovers()
    assert cluster.workers() == []
    assert start(cluster, port).poll() is None


def test_a_pid_that_now_belongs_to_something_else_is_no_hindrance(cluster: postgres.Cluster) -> None:
    """G4: after a reboot, or in a container, another program has the number that the lock file names."""
    port = free_port()
    first = start(cluster, port)
    lock = cluster.data / "postmaster.pid"
    content = lock.read_text()
    first.send_signal(signal.SIGINT)
    first.wait()
    lock.write_text(content.replace(str(first.pid), str(os.getpid()), 1))
    assert cluster.end_leftovers() == []
    assert start(cluster, port).poll() is None


def test_only_a_server_that_stands_still_gives_no_sign_of_life(cluster: postgres.Cluster) -> None:
    """D1, D2 of liveness.py: one whose places are all taken lives; one that is stopped has a port that accepts, and does not."""
    port = free_port()
    server = start(cluster, port)
    taken = []
    try:
        with pytest.raises(psycopg.OperationalError, match="remaining connection slots"):
            while True:
                taken.append(psycopg.connect(plain(cluster.url(port, PASSWORD))))
        assert asyncio.run(postgres_alive(port, 10.0))
        server.send_signal(signal.SIGSTOP)
        assert not asyncio.run(postgres_alive(port, 0.3))
    finally:
        for connection in taken:
            connection.close()
        server.send_signal(signal.SIGQUIT)
        server.send_signal(signal.SIGCONT)
    assert server.wait(10) is not None


@as_root
def test_an_unreachable_state_folder_keeps_its_permissions_and_its_data_elsewhere(tmp_path: Path) -> None:
    """G3: pytest's folders are closed to other accounts, as /root is."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    before = [(folder, folder.stat().st_mode) for folder in (state, *state.parents)]
    identity = uuid.uuid4().hex
    made = postgres.locate(state, identity)
    try:
        assert made.data == Path(f"/var/tmp/cds-{identity}/data")
        assert [(folder, folder.stat().st_mode) for folder, _ in before] == before
        made.initialise(PASSWORD)
        assert stat.S_IMODE(made.data.stat().st_mode) == 0o700
        assert postgres.locate(state, "another-identity").data == made.data
        assert psutil.Process(start(made, free_port()).pid).username() != "root"
    finally:
        made.end_leftovers()
        shutil.rmtree(made.data.parent)


@as_root
def test_a_reachable_state_folder_opens_for_the_server_only(state: Path) -> None:
    """G3: one may pass through, nobody may read."""
    made = postgres.locate(state, uuid.uuid4().hex)
    assert made.data.is_relative_to(state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o710


@as_root
def test_unreachable_programs_are_copied_and_work(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G3: a checkout below /root."""
    reaches = postgres._reaches

    def unreachable(account: Account, path: Path) -> bool:
        return "site-packages" not in path.parts and reaches(account, path)

    monkeypatch.setattr(postgres, "_reaches", unreachable)
    made = postgres.locate(state, uuid.uuid4().hex)
    assert made.binaries.is_relative_to(state)
    made.initialise(PASSWORD)
    try:
        assert start(made, free_port()).poll() is None
        assert postgres.locate(state, uuid.uuid4().hex).binaries == made.binaries
    finally:
        made.end_leftovers()
