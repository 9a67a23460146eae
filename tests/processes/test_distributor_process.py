"""The distributor as the process that it is: signals, kill -9, a pause, two at once, a database that goes away."""

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from distributor.database import transaction
from distributor.outbox.pending import unpublished
from settings import Runtime, Secrets, Settings
from settings.addresses import Addresses
from tests.conftest import Server, wait_until
from tests.distributor_partners import FakePartners, item, never, serving
from tests.distributor_world import engine_for, rows

ROOT = Path(__file__).parents[2]
PORT_BASES = iter(range(22_000, 22_900, 7))
CODES = [f"m{number}" for number in range(1, 6)]


def free_base() -> int:
    """A port base of which the ports used here are free."""
    for base in PORT_BASES:
        with socket.socket() as one, socket.socket() as two, socket.socket() as three:
            try:
                one.bind(("127.0.0.1", base + 301))
                two.bind(("127.0.0.1", base + 501))
                three.bind(("127.0.0.1", base + 502))
            except OSError:
                continue
            return base
    raise AssertionError("no free ports")


@dataclass
class System:
    """A state folder, fake manufacturers, and the distributor processes that were started."""

    runtime: Runtime
    engine: Engine
    fakes: FakePartners
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, number: int = 1, *, ready: bool = True) -> subprocess.Popen[bytes]:
        name = "distributor" if number == 1 else f"distributor-{number}"
        with (self.runtime.state / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "distributor", "--state", str(self.runtime.state), "--name", name],
                cwd=ROOT,
                stderr=log,
            )
        self.processes.append(process)
        if ready:
            wait_until(lambda: self.ready(number) or process.poll() is not None, 20, "ready: " + self.log(name))
            assert process.poll() is None, self.log(name)
        return process

    def log(self, name: str = "distributor") -> str:
        return (self.runtime.state / f"{name}.log").read_text()

    def call(self, path: str, number: int = 1, method: str = "GET", token: str | None = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.runtime.addresses.distributor(number)}{path}", method=method
        )
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                status, body = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        return status, json.loads(body) if body.startswith((b"{", b"[")) else body.decode()

    def ready(self, number: int = 1) -> bool:
        try:
            return self.call("/readyz", number)[0] == 200
        except OSError:
            return False

    def end_after(self, months: int) -> None:
        """Whoever starts from now on begins no month after this one."""
        simulation = self.runtime.settings.simulation.model_copy(update={"months_max": months})
        settings = self.runtime.settings.model_copy(update={"simulation": simulation})
        self.runtime = replace(self.runtime, settings=settings)
        self.runtime.write()

    def close_month(self, number: int = 1) -> int:
        return self.call("/internal/months/close", number, "POST", self.runtime.secrets.control_token)[0]

    def months(self) -> list[Any]:
        return [tuple(row) for row in rows(self.engine, "SELECT number, state, reason FROM month ORDER BY number")]

    def count(self, statement: str) -> int:
        return int(rows(self.engine, statement)[0][0])


Make = Callable[..., System]


@pytest.fixture
def make_system(tmp_path: Path, database_url: str) -> Iterator[Make]:
    systems: list[System] = []

    def make(months: dict[str, Any] | None = None, **distributor: Any) -> System:
        settings = Settings.model_validate(
            {
                "simulation": {"month_seconds": 3600.0, "month_seconds_min": 0.0} | (months or {}),
                "manufacturers": {"count": len(CODES), "manufacturers_per_process": 100},
                "distributor": {"tick_ms": 50, "relay_idle_ms": 50, "offer_deadline_seconds": 30.0} | distributor,
            }
        )
        tmp_path.chmod(0o700)
        secrets = Secrets.read_or_make(tmp_path, CODES)
        runtime = Runtime(tmp_path, settings, Addresses(free_base()), database_url, "postgres", False, secrets)
        runtime.write()
        fakes = FakePartners()
        fakes.keys = secrets.manufacturer_keys
        for number, code in enumerate(CODES):
            fakes.add(code, item("BIKE", 2), item(f"CAR {number}", 3))
        systems.append(System(runtime, engine_for(database_url), fakes))
        return systems[-1]

    yield make
    for system in systems:
        for process in system.processes:
            if process.poll() is None:
                process.kill()
                process.wait(30)
        system.engine.dispose()


@pytest.fixture
def system(make_system: Make) -> Iterator[System]:
    """Months of an hour, five honest manufacturers."""
    made = make_system()
    with serving(made.fakes, made.runtime.addresses.manufacturer_process(1)):
        yield made


def open_month(system: System, number: int) -> Callable[[], bool]:
    return lambda: (number, "open", None) in system.months()


def test_a_month_from_gather_to_close_by_hand(system: System) -> None:
    process = system.start()
    wait_until(open_month(system, 1), 10, system.log())
    assert system.count("SELECT sum(supplied) FROM stock") == 25
    assert system.call("/healthz") == (200, {"alive": True})
    assert system.call("/readyz") == (200, {"ready": True, "reason": None})
    assert system.close_month() == 202
    wait_until(open_month(system, 2), 10, system.log())
    status, months = system.call("/internal/months", token=system.runtime.secrets.control_token)
    assert (status, [(month["number"], month["reason"]) for month in months]) == (200, [(1, "by_hand"), (2, None)])
    assert {supply["outcome"] for supply in months[0]["supplies"]} == {"booked"}
    wait_until(lambda: system.count("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0, 10, "relayed")
    figures = system.call("/metrics")[1]
    assert "distributor_events_published_total 5.0" in figures
    assert "distributor_outbox_pending 0" in figures
    assert 'distributor_month_steps_total{step="open"} 2.0' in figures
    process.terminate()
    assert process.wait(30) == 0
    assert system.log().rstrip().endswith("stopped")


def test_the_internal_pages_want_the_token(make_system: Make) -> None:
    system = make_system()
    system.start()
    for method, path in (("POST", "/internal/months/close"), ("GET", "/internal/months")):
        for token in (None, "", "wrong", "\u00e9"):
            status, problem = system.call(path, method=method, token=token)
            assert (status, problem["title"]) == (401, "Unauthorized"), (method, path, token)
            assert system.count("SELECT count(*) FROM month WHERE close_requested") == 0, (method, path, token)


def test_what_is_not_there_is_a_problem_and_no_trace(make_system: Make) -> None:
    system = make_system(months={"months_max": 1}, offer_deadline_seconds=2.0)
    system.start()
    assert system.call("/nothing") == (404, {"type": "about:blank", "title": "Not Found", "status": 404})
    assert system.call("/internal/months/close")[0] == 405
    wait_until(open_month(system, 1), 15, "it opens though no manufacturer answers")
    assert system.close_month() == 202
    wait_until(lambda: (1, "closed", "by_hand") in system.months(), 10, "closed")
    assert system.close_month() == 409


def test_a_port_in_use_is_said_so(system: System) -> None:
    port = system.runtime.addresses.distributor(1)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert system.start(ready=False).wait(60) == 70
    assert f"cannot listen on 127.0.0.1:{port}: " in system.log()


def test_a_state_folder_that_was_not_set_up_is_said_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "distributor", "--state", str(tmp_path / "none"), "--name", "distributor"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 64
    assert "no system was started with this state folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_newer_schema_ends_the_start(system: System) -> None:
    rows(system.engine, "UPDATE alembic_version SET version_num = '9999' RETURNING 1")
    assert system.start(ready=False).wait(60) == 70
    assert "this code knows only up to" in system.log()


def test_two_at_once_and_the_leader_is_killed(system: System) -> None:
    """The other one leads on."""
    leader = system.start(1)
    wait_until(open_month(system, 1), 10, system.log())
    system.start(2)
    leader.kill()
    leader.wait(30)
    assert system.close_month(2) == 202
    wait_until(open_month(system, 2), 10, system.log("distributor-2"))
    assert system.count("SELECT count(*) FROM supply") == 2 * len(CODES)
    wait_until(lambda: system.count("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0, 10, "relayed")


def test_a_paused_leader_is_replaced_and_harmless_when_it_wakes_up(system: System) -> None:
    leader = system.start(1)
    wait_until(open_month(system, 1), 10, system.log())
    system.start(2)
    leader.send_signal(signal.SIGSTOP)
    assert system.close_month(2) == 202
    wait_until(open_month(system, 2), 20, "the other one leads: " + system.log("distributor-2"))
    leader.send_signal(signal.SIGCONT)
    wait_until(lambda: "no longer leading" in system.log(), 10, "it noticed")
    assert system.close_month(2) == 202
    wait_until(open_month(system, 3), 10, system.log("distributor-2"))
    assert system.count("SELECT count(*) FROM supply") == 3 * len(CODES)
    told = rows(system.engine, "SELECT count(*) FROM outbox GROUP BY manufacturer, body ->> 'month'")
    assert [tuple(row) for row in told] == [(1,)] * 2 * len(CODES)


def test_a_database_that_goes_away_is_waited_for(system: System, postgres_server: Server) -> None:
    name = str(system.engine.url.database)
    process = system.start()
    wait_until(open_month(system, 1), 10, system.log())
    postgres_server.administer(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    try:
        postgres_server.administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        wait_until(lambda: system.call("/readyz")[0] == 503, 10, "not ready")
        why = "not currently accepting connections"  # said once the lost connections were replaced in vain
        wait_until(lambda: why in system.call("/readyz")[1]["reason"], 10, why)
        assert system.call("/healthz")[0] == 200
        assert system.close_month() == 503
    finally:
        postgres_server.administer(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    wait_until(system.ready, 15, "ready again")
    assert system.close_month() == 202
    wait_until(open_month(system, 2), 10, system.log())
    process.terminate()
    assert process.wait(30) == 0


def test_a_second_signal_ends_it_at_once(make_system: Make) -> None:
    system = make_system()
    for partner in system.fakes.partners.values():
        partner.fault = never
    with serving(system.fakes, system.runtime.addresses.manufacturer_process(1)):
        process = system.start()
        wait_until(lambda: system.fakes.partners["m1"].asked["offer 1"], 10, "the gather has begun")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 1)


def assert_books_agree(system: System, seed: int) -> None:
    """What came in is what was offered and accepted, each once; months without a gap; every message once in effect.

    The month in which it was stopped may be booked and not be accepted yet, all others must be.
    """
    supplies = rows(
        system.engine,
        "SELECT code, month, content_sha256, coalesce(sum(quantity), 0)::int, accepted_at IS NULL FROM supply"
        " JOIN manufacturer ON manufacturer.id = manufacturer_id LEFT JOIN supply_line ON supply_id = supply.id"
        " GROUP BY supply.id, code",
    )
    booked = {(code, month): (sha, units) for code, month, sha, units, _unsettled in supplies}
    last = max((month for _code, month, *_ in supplies), default=0)
    unsettled = {(code, month) for code, month, _sha, _units, unsettled in supplies if unsettled and month == last}
    for code, partner in system.fakes.partners.items():
        for month, content in partner.frozen.items():
            units = sum(line["quantity"] for line in json.loads(content)["items"])
            found = booked.pop((code, month), None)
            assert found in (None, (hashlib.sha256(content).hexdigest(), units)), f"seed {seed}"
            if (code, month) not in unsettled:
                assert (found is not None) == (month in partner.accepted), f"{code} {month}, seed {seed}"
    assert booked == {}, f"seed {seed}"
    assert system.count("SELECT sum(supplied) FROM stock") == system.count("SELECT sum(quantity) FROM supply_line")
    numbers = [number for number, *_ in system.months()]
    assert numbers == list(range(1, len(numbers) + 1)), f"seed {seed}"
    told = system.count("SELECT count(*) FROM month WHERE told_at IS NOT NULL")
    assert told >= system.count("SELECT count(*) FROM month WHERE state = 'closed'") - 1, f"seed {seed}"
    assert system.count("SELECT count(*) FROM outbox") == told * len(CODES), f"seed {seed}"


def test_killed_again_and_again_at_random_moments_it_loses_and_doubles_nothing(make_system: Make) -> None:
    """Ten kill -9 in the middle of gathers, transitions and the relay, while months of a second pass."""
    seed = int(os.environ.get("CDS_TEST_SEED", random.randrange(2**32)))
    chance = random.Random(seed)
    system = make_system(months={"month_seconds": 1.0}, relay_lease_seconds=1.0, gather_retry_seconds=0.3)
    with serving(system.fakes, system.runtime.addresses.manufacturer_process(1)):
        for _ in range(10):
            process = system.start(ready=False)
            running = time.monotonic() + chance.uniform(0.6, 2.0)
            wait_until(lambda moment=running: time.monotonic() > moment, 5, "the moment of the kill")  # type: ignore[misc]
            process.kill()
            process.wait(30)
        # Two more, and no further one: while months go by there need not be a moment at which nothing is under way.
        last = system.count("SELECT count(*) FROM month") + 2
        system.end_after(last)
        process = system.start()

        def drained() -> bool:
            unsettled = "SELECT count(*) FROM supply WHERE accepted_at IS NULL AND refused_at IS NULL"
            with transaction(system.engine) as connection:
                return unpublished(connection) == 0 and system.count(unsettled) == 0

        wait_until(lambda: (last, "closed", "time_over") in system.months(), 60, f"months go on, seed {seed}")
        wait_until(drained, 60, f"drained, seed {seed}")
        process.terminate()
        assert process.wait(30) == 0
    assert_books_agree(system, seed)
