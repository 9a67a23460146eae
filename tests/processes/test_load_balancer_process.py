"""The balancer as a process in front of real processes that are killed, stopped and restarted under load."""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from load_balancer import commands
from settings import Runtime, Secrets, Settings
from settings.addresses import Addresses
from tests.conftest import PATIENCE_SECONDS, free_port, wait_until
from tests.load_balancer_clients_world import RawClient, tls_options
from tests.load_balancer_processes_world import STAND_IN, Load, Servers

ROOT = Path(__file__).parents[2]
BALANCE = (
    "import sys; from load_balancer.commands import balance; "
    "sys.exit(balance(sys.argv[1], sys.argv[3:], sys.argv[2] or None))"
)
SEED = int(os.environ.get("LOAD_BALANCER_SEED", "1"))


class Running:
    """A balancer process, its ports, and its servers."""

    def __init__(self, process: subprocess.Popen[str], port: int, admin: int, servers: Servers) -> None:
        self.process = process
        self.port = port
        self.admin = admin
        self.servers = servers

    def states(self) -> dict[str, str]:
        try:
            with RawClient(self.admin) as client:
                client.send(b"GET /servers HTTP/1.1\r\nHost: a\r\n\r\n")
                return {row["name"]: row["state"] for row in json.loads(client.answer().body)}
        except OSError:
            return {}

    def wait_for(self, *, up: int) -> None:
        wait_until(
            lambda: list(self.states().values()).count("UP") == up, 15.0, f"{up} servers are UP: {self.states()}"
        )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    servers = Servers(tmp_path, 3)
    port, admin = free_port(), free_port()
    addresses = [f"{name}=127.0.0.1:{number}" for name, number in servers.ports.items()]
    process = subprocess.Popen(
        [sys.executable, "-c", BALANCE, f"127.0.0.1:{port}", f"127.0.0.1:{admin}", *addresses],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        it = Running(process, port, admin, servers)
        it.wait_for(up=3)
        yield it
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
        servers.stop()


def test_killing_servers_under_load_costs_no_get_and_doubles_no_post(running: Running) -> None:
    """I12, A18: every GET is answered; every POST is booked at most once, and once if it was acknowledged."""
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    gets, posts = Load(running.port, 6, "GET"), Load(running.port, 6, "POST")
    for _ in range(5):
        posts.go_on(dice.randint(50, 300))
        victim = dice.choice(sorted(running.servers.ports))
        running.servers.kill(victim)
        posts.go_on(100)
        running.servers.start(victim)
        running.wait_for(up=3)
    told_gets, told_posts = gets.finish(), posts.finish()
    assert set(told_gets) == {200}
    assert set(told_posts) <= {200, 502, 503}
    booked = running.servers.booked()
    assert max(booked.values()) == 1
    acknowledged = {nonce for nonce, outcome in posts.told.items() if outcome == 200}
    undone = {nonce for nonce, outcome in posts.told.items() if outcome == 503}
    assert acknowledged <= set(booked)
    assert not undone & set(booked)


def test_a_stopped_server_is_ejected_though_it_accepts_connections(running: Running) -> None:
    """E10: only an answer is a sign of life. Its GETs are answered by others, and it comes back."""
    stopped = running.servers.processes["s2"]
    load = Load(running.port, 6, "GET")
    load.go_on(100)
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: running.states().get("s2") == "DOWN", 5.0, "the stopped server is DOWN")
        load.go_on(100)
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    running.wait_for(up=3)
    assert set(load.finish()) == {200}


def test_stopping_the_balancer_under_load_breaks_no_answer(running: Running) -> None:
    """V2: every request that was taken is answered; later ones find the door closed."""
    load = Load(running.port, 12, "POST")
    load.go_on(300)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE_SECONDS) == 0
    told = load.finish()
    # RemoteDisconnected and resets: the connection ended between two requests, as any kept-alive one may.
    assert set(told) <= {200, "ConnectionRefusedError", "RemoteDisconnected", "ConnectionResetError", "BrokenPipeError"}
    booked = running.servers.booked()
    assert {nonce for nonce, outcome in load.told.items() if outcome == 200} == set(booked)


def test_a_second_signal_ends_the_balancer_at_once(running: Running) -> None:
    """V3."""
    os.kill(running.servers.processes["s1"].pid, signal.SIGSTOP)
    os.kill(running.servers.processes["s2"].pid, signal.SIGSTOP)
    os.kill(running.servers.processes["s3"].pid, signal.SIGSTOP)
    with RawClient(running.port) as client:
        client.send(b"POST /p HTTP/1.1\r\nHost: shop\r\n\r\n")
        wait_until(lambda: not running.process.poll() and _in_flight(running), 5.0, "a request is under way")
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: _refuses(running.port), 5.0, "the balancer drains")
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE_SECONDS) == 0
        assert running.process.stderr is not None
        said = running.process.stderr.read()
        assert "second signal" in said
        assert "not done in time" not in said, "the request was waited for"


def _in_flight(running: Running) -> bool:
    with RawClient(running.admin) as client:
        client.send(b"GET /servers HTTP/1.1\r\nHost: a\r\n\r\n")
        return any(row["in_flight"] for row in json.loads(client.answer().body))


def _refuses(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def balance(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BALANCE, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("listen", "servers", "complaint"),
    [
        ("127.0.0.1", ["a=127.0.0.1:1"], "--listen: '127.0.0.1' is not HOST:PORT"),
        ("::1:8000", ["a=127.0.0.1:1"], "brackets"),
        ("127.0.0.1:70000", ["a=127.0.0.1:1"], "'70000' is not a port"),
        ("127.0.0.1:26090", [], "at least one server"),
        ("127.0.0.1:26090", ["127.0.0.1:1"], "NAME=HOST:PORT"),
    ],
)
def test_bad_options_are_named_and_nothing_starts(
    capsys: pytest.CaptureFixture[str], listen: str, servers: list[str], complaint: str
) -> None:
    assert commands.balance(listen, servers) == 64
    said = capsys.readouterr().err
    assert complaint in said
    assert len(said.splitlines()) == 1


def test_bad_certificates_are_named_and_nothing_starts(capsys: pytest.CaptureFixture[str]) -> None:
    good = tls_options()
    mine, key = good.certificate, good.key
    assert key is not None
    for certificates, keys, complaint in (
        ([Path("/nowhere.pem")], [], "--tls-certificate: /nowhere.pem cannot be read"),
        ([mine], [], "--tls-certificate: "),
        ([mine], [mine], "--tls-key: "),
        ([], [key], "--tls-key: needs --tls-certificate"),
        ([mine, mine], [key], "--tls-key: 1 for 2 certificates; give each its own, or none"),
        ([mine, Path("/nowhere.pem")], [key, key], "--tls-certificate: /nowhere.pem cannot be read"),
    ):
        given = commands.balance("127.0.0.1:1", ["a=127.0.0.1:1"], tls_certificate=certificates, tls_key=keys)
        assert given == 64
        assert complaint in capsys.readouterr().err
    assert commands.balance("127.0.0.1:1", ["a=127.0.0.1:1"], strict_sni=True) == 64
    assert "--strict-sni: needs --tls-certificate" in capsys.readouterr().err


def test_a_port_in_use_is_named_and_nothing_starts() -> None:
    """V1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = balance(f"127.0.0.1:{port}", "", "a=127.0.0.1:1")
    assert ended.returncode == 70
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_ipv6_on_both_sides(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "::1", "--directory", str(tmp_path)]
    (tmp_path / "page").write_text("hello")
    front = free_port()
    with (
        subprocess.Popen(command, stderr=subprocess.DEVNULL) as server,
        subprocess.Popen(
            [sys.executable, "-c", BALANCE, f"[::1]:{front}", "", f"a=[::1]:{port}"],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        ) as balancer,
    ):
        try:
            wait_until(lambda: _get_v6(front) == (200, b"hello"), 10.0, "the page comes through")
            assert balancer.poll() is None
            assert server.poll() is None
        finally:
            for process in (balancer, server):
                process.kill()


def _get_v6(port: int) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("::1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/page")
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def test_the_balancer_of_a_system_reads_its_runtime_file(tmp_path: Path) -> None:
    """``python -m load_balancer --state DIR``: servers, ports, token and checks of the system."""
    base = 26_100
    settings = Settings.model_validate({"customers": {"instances": 2}})
    addresses = Addresses(base)
    secrets = Secrets.read_or_make(tmp_path, ["m1"])
    Runtime(
        tmp_path, settings, addresses, "postgresql+psycopg://", "postgres", broker_is_ours=False, secrets=secrets
    ).write()
    record = tmp_path / "record"
    commands = [
        [sys.executable, str(STAND_IN), f"web-{number}", str(addresses.web(number)), str(record)] for number in (1, 2)
    ]
    servers = [subprocess.Popen(command) for command in commands]
    command = [sys.executable, "-m", "load_balancer", "--state", str(tmp_path), "--name", "load_balancer"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    running = Running(process, addresses.shop, addresses.load_balancer_admin, Servers(tmp_path, 0))
    try:
        running.wait_for(up=2)
        assert running.states() == {"web-1": "UP", "web-2": "UP"}
        with RawClient(running.port) as client:
            client.send(b"GET /x HTTP/1.1\r\nHost: shop\r\n\r\n")
            assert client.answer().field("X-Served-By") in ("web-1", "web-2")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
        assert " INFO load_balancer load_balancer.service: stopped" in errors
    finally:
        children: list[subprocess.Popen[Any]] = [*servers, process]
        for child in children:
            child.kill()
            child.wait()


def test_a_state_folder_without_a_system_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "load_balancer", "--state", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 64
    assert "no system was started with this state folder" in ended.stderr
