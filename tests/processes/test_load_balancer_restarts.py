"""A balancer that is restarted, or killed, while clients ask on: who is refused, and who is cut off (K1, V4, C4, H1)."""

import asyncio
import contextlib
import dataclasses
import io
import json
import os
import signal
import socket
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import main
from settings import Runtime, Secrets
from settings import load as read_settings
from settings.addresses import Addresses
from supervisor import system
from supervisor.child import Child
from supervisor.handover import HeldSockets
from supervisor.life import Limits
from supervisor.restart import Policy
from supervisor.supervision import Supervisor
from tests.conftest import PATIENCE_SECONDS, wait_until
from tests.load_balancer_processes_world import Load, Servers

PORT_BASES = range(31_100, 29_100, -50)
CLIENTS = 2  # of each kind
PAUSE_SECONDS = 0.003  # after each answer: the processes that start meanwhile need the processor, too


def free_addresses() -> Addresses:
    """Of which those that are used here are free."""
    for base in PORT_BASES:
        found = Addresses(base)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in (found.shop, found.load_balancer_admin, found.web(1), found.web(2)):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return found
    raise AssertionError("no free ports")


class Supervised:
    """A balancer in front of two servers, under a supervisor whose loop runs in a thread."""

    def __init__(self, folder: Path) -> None:
        addresses = free_addresses()
        self.state = folder
        self.config = folder / "config.yml"
        self.say("retries: 2")
        runtime = Runtime(
            folder,
            read_settings(self.config, {}),
            addresses,
            "postgresql+psycopg://",
            "postgres",
            broker_is_ours=False,
            secrets=Secrets.read_or_make(folder, ["m1"]),
            config=self.config,
        )
        runtime.write()
        self.port = addresses.shop
        self.servers = Servers(folder, ports={f"web-{number}": addresses.web(number) for number in (1, 2)})
        spec = next(spec for spec in system.specs(runtime, None, None) if spec.name == system.LOAD_BALANCER)
        logs = folder / "logs"
        logs.mkdir()
        limits = Limits(ready_seconds=60.0, stop_seconds=60.0, policy=Policy(300, 300))
        self.loop = asyncio.new_event_loop()
        self.supervisor = Supervisor(
            [dataclasses.replace(spec, depends_on=())], logs, limits, environment={}, on_change=lambda _: None
        )
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        assert asyncio.run_coroutine_threadsafe(self.supervisor.start(), self.loop).result(90)

    @property
    def child(self) -> Child:
        return self.supervisor.children[system.LOAD_BALANCER]

    @property
    def pid(self) -> int:
        assert self.child.pid is not None
        return self.child.pid

    def say(self, words: str) -> None:
        """In the file of settings, of the load balancer."""
        self.config.write_text(f"customers:\n  instances: 2\nload_balancer:\n  check_timeout_ms: 30000\n  {words}\n")

    def ask(self, *words: str) -> tuple[int, str]:
        """``main.py balancer …``: its exit code, and what it wrote."""
        wrote = io.StringIO()
        with contextlib.redirect_stdout(wrote), contextlib.redirect_stderr(wrote):
            code = main.run(["balancer", *words, "--state", str(self.state)])
        return code, wrote.getvalue()

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in json.loads(self.ask("servers", "--json")[1])}

    def run_with(self, words: str) -> None:
        """Restart with other settings, as `main.py balancer restart` does."""
        self.say(words)
        runtime = Runtime.read(self.state)
        settings = runtime.settings.with_load_balancer_of(read_settings(self.config, {}))
        dataclasses.replace(runtime, settings=settings, balancer_revision=runtime.balancer_revision + 1).write()
        self.restart()

    def page(self, path: str) -> str:
        """Of the admin port."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port + 1}{path}", timeout=PATIENCE_SECONDS) as answer:
            return str(answer.read(), "utf-8")

    def events(self) -> list[dict[str, Any]]:
        """Newest first."""
        found: list[dict[str, Any]] = json.loads(self.page("/events"))
        return found

    def metric(self, name: str) -> float:
        """The sum of a family's samples, of a moment in which every worker that there is was asked and has answered in time."""
        lines: list[str] = []

        def samples(family: str) -> list[float]:
            return [float(line.split()[-1]) for line in lines if line.startswith(f"load_balancer_{family}")]

        def all_answered() -> bool:
            lines[:] = self.page("/metrics").splitlines()
            return all(samples("worker_up"))

        wait_until(all_answered, what="every worker answers in time")
        return sum(samples(name))

    def restart(self) -> None:
        asyncio.run_coroutine_threadsafe(self.supervisor.restart(system.LOAD_BALANCER), self.loop).result(90)

    def kill(self) -> int:
        """And wait for the next life, whose pid is returned."""
        before = self.pid
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: self.child.pid not in (None, before), 20, "it is started again")
        return self.pid

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.supervisor.stop(), self.loop).result(90)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self.loop.close()
        self.servers.stop()


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    running = Supervised(tmp_path_factory.mktemp("restarts"))
    yield running
    running.stop()


class Clients:
    """Some keep their connections, some make a new one for each request."""

    def __init__(self, port: int) -> None:
        self._loads = (
            Load(port, CLIENTS, pause_seconds=PAUSE_SECONDS),
            Load(port, CLIENTS, fresh=True, pause_seconds=PAUSE_SECONDS),
            Load(port, CLIENTS, "POST", pause_seconds=PAUSE_SECONDS),
        )
        self.go_on()

    def go_on(self) -> None:
        for load in self._loads:
            load.go_on(10)

    def finish(self) -> Counter[int | str]:
        return sum((load.finish() for load in self._loads), Counter[int | str]())


def test_a_restart_refuses_nobody_and_cuts_nobody_off(supervised: Supervised) -> None:
    """K1, V4, C4: kept connections too, for each ends with an answer that says so."""
    clients, first = Clients(supervised.port), supervised.pid
    for _ in range(2):
        supervised.restart()
        clients.go_on()
    assert set(clients.finish()) == {200}
    assert supervised.pid != first


def test_a_successor_that_cannot_serve_changes_nothing(supervised: Supervised, monkeypatch: pytest.MonkeyPatch) -> None:
    """C4."""
    clients, first = Clients(supervised.port), supervised.pid
    spec = dataclasses.replace(supervised.child.spec, argv=("false",))
    with monkeypatch.context() as patched:
        patched.setattr(supervised.child, "spec", spec)
        with pytest.raises(LookupError, match=r"did not come to serve .* the old one goes on"):
            supervised.restart()
    clients.go_on()
    assert set(clients.finish()) == {200}
    assert supervised.pid == first


def test_while_a_killed_balancer_is_started_again_who_comes_waits(supervised: Supervised) -> None:
    """H1: only what was connected to the killed process is lost, each connection once at most; nobody is refused."""
    clients = Clients(supervised.port)
    supervised.kill()
    clients.go_on()
    told = clients.finish()
    assert "ConnectionRefusedError" not in told
    assert told.total() - told[200] <= 3 * CLIENTS


def test_what_is_changed_while_clients_ask_drops_nobody_and_outlives_the_process(supervised: Supervised) -> None:
    """V6, S1, S2, O1: by command and by SIGHUP; kept over a kill -9."""
    clients = Clients(supervised.port)
    code, said = supervised.ask("add", "extra", f"127.0.0.1:{supervised.servers.ports['web-1']}", "weight", "3")
    assert (code, said.split()[0]) == (0, "extra")
    assert supervised.ask("weight", "web-2", "9")[0] == 0
    assert supervised.ask("state", "web-1", "maint")[0] == 0
    clients.go_on()

    supervised.say("servers: {web-2: {maxconn: many}}")
    code, said = supervised.ask("reload")
    assert code == 1
    assert f"{supervised.config}:5: load_balancer.servers.web-2.maxconn" in said
    supervised.say("servers: {web-2: {maxconn: 40}}\n  access_log: json")
    os.kill(supervised.pid, signal.SIGHUP)
    wait_until(lambda: supervised.rows()["web-2"]["maxconn"] == 40, 10, "the file was read again")
    clients.go_on()
    assert [event["after"] for event in supervised.events() if event["server"] == "configuration"] == [
        "RELOADED",
        "REFUSED",
    ]
    assert supervised.ask("remove", "extra") == (0, "extra is removed\n")
    clients.go_on()
    assert set(clients.finish()) == {200}

    supervised.kill()
    wait_until(lambda: supervised.ask("servers")[0] == 0, 10, "it answers")
    rows = supervised.rows()
    assert (rows["web-1"]["admin"], rows["web-2"]["weight"], rows["web-2"]["maxconn"]) == ("maint", 9, 40)
    assert "extra" not in rows
    assert supervised.ask("reload")[1].splitlines()[0].split()[0] == "load_balancer.access_log"
    assert supervised.ask("state", "web-1", "ready")[0] == 0


def test_two_workers_are_one_balancer_to_who_asks_and_who_looks(supervised: Supervised) -> None:
    """V7, W2, F1: another number of workers comes with a restart, under load; orders reach both; nothing is counted by half."""
    clients = Clients(supervised.port)
    supervised.run_with("workers: 2\n  check_inter_ms: 60000\n  check_downinter_ms: 60000")
    clients.go_on()
    assert set(clients.finish()) == {200}
    before = supervised.metric("server_requests_total")
    clients = Clients(supervised.port)
    assert supervised.ask("state", "web-1", "drain")[0] == 0
    drained = supervised.metric('server_requests_total{server="web-1"')
    clients.go_on()
    told = clients.finish()
    assert set(told) == {200}
    assert supervised.metric("server_requests_total") - before == told.total()
    more = supervised.metric('server_requests_total{server="web-1"') - drained
    assert more <= 3 * CLIENTS  # those that were under way
    assert supervised.metric("worker_up") == 2
    assert supervised.ask("state", "web-1", "ready")[0] == 0


def test_a_killed_worker_costs_its_own_connections_and_no_counter_goes_back(supervised: Supervised) -> None:
    """W1, F1: nobody is refused while it is started again, and the other one serves on."""
    clients = Clients(supervised.port)
    first, second = psutil.Process(supervised.pid).children()
    first.kill()
    clients.go_on()
    wait_until(lambda: supervised.metric("worker_up") == 2, 20, "both answer")
    clients.go_on()
    told = clients.finish()
    assert "ConnectionRefusedError" not in told
    assert told.total() - told[200] <= 3 * CLIENTS
    counted = supervised.metric("server_requests_total")
    second.kill()
    wait_until(lambda: not second.is_running() and supervised.metric("worker_up") == 2, 20, "both answer")
    assert supervised.metric("server_requests_total") == counted > 0


def test_what_one_worker_finds_of_a_server_all_know(supervised: Supervised) -> None:
    """W3, W4: one refused connection in all, although checks are a minute apart."""
    supervised.servers.kill("web-1")
    asked = [urllib.request.Request(f"http://127.0.0.1:{supervised.port}/{number}") for number in range(30)]
    for request in asked:
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS).close()
        if supervised.rows()["web-1"]["state"] == "DOWN":
            break
    supervised.metric("worker_up")
    for request in asked:
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS).close()
    assert supervised.metric('server_connect_errors_total{server="web-1"}') == 1
    supervised.servers.start("web-1")


def test_without_held_sockets_clients_would_be_refused(supervised: Supervised, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control of H1."""
    supervised.loop.call_soon_threadsafe(supervised.child._held.release)
    monkeypatch.setattr(HeldSockets, "hold", _close)
    clients = Clients(supervised.port)
    supervised.kill()
    clients.go_on()
    assert clients.finish()["ConnectionRefusedError"] > 0


def _close(_: HeldSockets, numbers: list[int]) -> None:
    for number in numbers:
        os.close(number)
