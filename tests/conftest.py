"""What all tests share: a PostgreSQL of our own, fresh databases, a private RabbitMQ, waiting with a deadline."""

import asyncio
import itertools
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis
import psycopg
import pytest
from xdist.scheduler import LoadScopeScheduling

from supervisor import postgres, probes, rabbitmq
from supervisor.spawn import start_child
from tests.clean_databases import CleanDatabases

if TYPE_CHECKING:
    from sqlalchemy import Engine

HOW_TO_INSTALL = {
    "rabbitmq-server": "apt install rabbitmq-server",
    "haproxy": "apt install haproxy",
    "nginx": "apt install nginx-light",
    "chromium-headless-shell": "apt install chromium-headless-shell",  # or chromium, which costs twice as much CPU
}
ROOT = Path(__file__).resolve().parents[1]
CONNECTIONS_MAX = 200
PATIENCE_SECONDS = 60.0  # for what takes a second at most; where load was 20, a start of Python was seen to take 20
DATABASE_START_SECONDS_MAX = 60.0
BROKER_START_SECONDS_MAX = 120.0
PORTS_FIRST, PORTS_EACH, STRETCHES = 11_000, 1_000, 9  # 11,000 to 19,999; whole systems have bases from 20,000 on
INSTALLATION = "test"  # whose queues the tests use at their RabbitMQ
MANUFACTURER_CODES = ["m1", "m2", "m3"]


# A thousand connections of one test have two or three ends in this process; some machines allow it 1,024 files at first.
_SOFT, _HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
FILES_WANTED = 16_384 if _HARD == resource.RLIM_INFINITY else min(16_384, _HARD)
if _SOFT != resource.RLIM_INFINITY and _SOFT < FILES_WANTED:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_WANTED, _HARD))

# By default an example that takes more than 200 ms fails, and so does data that took long to make: a busy machine's fault.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("patient")


class OneWorkerAPackage(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist says nothing of its types
    """Side by side (`-n`): tests that start processes of one package share a stretch of ports, so they share a worker;
    all others go file by file. (The mark ``xdist_group`` of pytest-xdist 3.8 has no effect under pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        if path.parent.name in ("processes", "browser"):
            return path.stem.split("_")[1]
        return str(path)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=("builtin", "haproxy", "nginx"),
        help="only the tests that reach the shop over HTTP, all of them behind this load balancer",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "asks_the_instance(why): without a load balancer, whatever --engine says")
    config.addinivalue_line("markers", "builtin_only(why): skipped with --engine haproxy and nginx")
    if config.getoption("--engine") in ("builtin", "haproxy"):  # nginx cannot be part of a system
        os.environ["CDS_LOAD_BALANCER__ENGINE"] = config.getoption("--engine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--engine"):
        from tests.engines_world import sort_out

        sort_out(config, items, config.getoption("--engine"))


@pytest.fixture(scope="session")
def balancer_engine(request: pytest.FixtureRequest) -> str:
    """What ``--engine`` says; nothing: tests that start no system ask the web instance itself."""
    return request.config.getoption("--engine") or ""


@pytest.fixture(scope="session", autouse=True)
def _applications_behind_the_engine(balancer_engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if not balancer_engine:
        yield
        return
    from tests.engines_world import all_applications_behind

    with all_applications_behind(balancer_engine, tmp_path_factory.mktemp("engine")):
        yield


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """``-n auto``: one more than there are cores, for during a third of its time a test waits for what it started."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneWorkerAPackage:
    return OneWorkerAPackage(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Captured logs may hold the lone surrogates that a test sent in; a worker could not pass them on as UTF-8."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS, what: str = "the condition") -> None:
    """Poll until ``condition()`` is true; tests wait for facts, never for time to pass.

    At least PATIENCE_SECONDS, whatever ``seconds`` says: a shorter deadline only fails where the machine is busy.
    What took long already is asked for less often, to leave the processor to what is waited for: at most 5 % late."""
    seconds = max(seconds, PATIENCE_SECONDS)
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"after {seconds} s still not true: {what}")
        time.sleep(min(0.1, max(0.02, 0.05 * waited)))


def require(*tools: str) -> str:
    """The path of a program that the test needs, the first one found; skips where all are missing, fails if
    CDS_REQUIRE_ALL=1."""
    for tool in tools:
        path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/usr/local/sbin:/sbin")
        if path:
            return path
    reason = f"{tools[0]} is not installed; {HOW_TO_INSTALL.get(tools[0], 'install it')}"
    if os.environ.get("CDS_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(name="wait_until")
def _wait_until_fixture() -> Callable[..., None]:
    return wait_until


@pytest.fixture(name="require")
def _require_fixture() -> Callable[[str], str]:
    return require


_port_numbers = itertools.count(os.getpid())  # test runs side by side begin at different places


def free_port(*others: int, host: str = "127.0.0.1") -> int:
    """A port that nobody has, nor is given until its owner listens or comes back to it; ``others``: so far behind it, too.

    One that the system names itself (from 32,768 on) it may name to the next one who asks, too: to a client, or to another
    worker. These are below, each worker has a stretch of them, and in it each one's turn comes when all others had theirs.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = PORTS_FIRST + worker % STRETCHES * PORTS_EACH
    for _ in range(PORTS_EACH):
        port = first + next(_port_numbers) % PORTS_EACH
        if all(_is_free(host, port + offset) for offset in (0, *others)):
            return port
    raise AssertionError(f"no port is free from {first} on")


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


class Server(NamedTuple):
    """A running PostgreSQL of the tests' own."""

    cluster: postgres.Cluster
    port: int
    password: str
    process: subprocess.Popen[bytes]

    def url(self, database: str = postgres.DATABASE) -> str:
        return self.cluster.url(self.port, self.password, database)

    def superuser_conninfo(self, database: str) -> str:
        return plain(self.cluster.superuser_url(self.port, self.password)).removesuffix("postgres") + database

    def administer(self, statement: str) -> None:
        """Run one statement as superuser, outside a transaction."""
        with psycopg.connect(self.superuser_conninfo("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def drop(self, database: str) -> None:
        """With whoever is connected: the statement itself waits for five seconds only until they have gone."""
        self.administer(END_ALL.format(name=database))
        self.administer(f"DROP DATABASE {database} WITH (FORCE)")


END_ALL = "SELECT count(pg_terminate_backend(pid, 30000)) FROM pg_stat_activity WHERE datname = '{name}'"


def plain(url: str) -> str:
    """SQLAlchemy's URL as libpq understands it."""
    return url.replace("postgresql+psycopg://", "postgresql://")


def answers(url: str) -> bool:
    try:
        psycopg.connect(plain(url), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL of our own, once per session; in a short folder that an unprivileged account may reach."""
    state = Path(tempfile.mkdtemp(prefix="cds-test-"))
    password = uuid.uuid4().hex
    try:
        cluster = postgres.locate(state, uuid.uuid4().hex)
        cluster.initialise(password)
        port = free_port()
        with (state / "postgres.log").open("wb") as log:
            process = start_child(
                cluster.argv(port, CONNECTIONS_MAX), output=log, account=cluster.account, folder=state
            )
        server = Server(cluster, port, password, process)
        wait_until(
            lambda: process.poll() is not None or answers(server.url()),
            DATABASE_START_SECONDS_MAX,
            "PostgreSQL answers",
        )
        if process.poll() is not None:
            pytest.fail("PostgreSQL did not start:\n" + (state / "postgres.log").read_text())
        yield server
        cluster.end_leftovers()
        process.wait(60)
    finally:
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(postgres_server: Server) -> str:
    """URL of the role ``cds`` on the session's server. Tests that write take ``database_url`` instead."""
    return postgres_server.url()


@pytest.fixture(scope="session")
def template_database(postgres_server: Server) -> str:
    """A database with the migrated schema, made once and cloned per test."""
    from distributor.migrate import upgrade

    postgres_server.administer(f"CREATE DATABASE template_cds OWNER {postgres.ROLE}")
    upgrade(postgres_server.url("template_cds"))
    return "template_cds"


@contextmanager
def fresh_database(server: Server, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    server.administer(f"CREATE DATABASE {name} OWNER {postgres.ROLE} TEMPLATE {template}")
    yield server.url(name)
    server.drop(name)


@pytest.fixture(scope="session")
def clean_databases(postgres_server: Server, template_database: str) -> CleanDatabases:
    return CleanDatabases(postgres_server, postgres.ROLE, template_database)


@pytest.fixture
def database_url(clean_databases: CleanDatabases) -> Iterator[str]:
    """A clean database with the migrated schema."""
    with clean_databases.one() as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator["Engine"]:
    """Of that database; files that need another pool or other waits have a fixture of this name themselves."""
    from tests.distributor_world import engine_for  # only who uses it pays for the import

    engine = engine_for(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def empty_database_url(postgres_server: Server) -> Iterator[str]:
    """A fresh database without any table."""
    with fresh_database(postgres_server, "template1") as url:
        yield url


class BrokerNode(NamedTuple):
    """A running RabbitMQ of the tests' own; ``passwords``: of admin, relay and the manufacturers.

    ``folder``: everything that it writes."""

    port: int
    passwords: dict[str, str]
    folder: Path

    def url(self, user: str = "admin") -> str:
        return f"amqp://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/%2F"


@pytest.fixture(scope="session")
def rabbitmq_node() -> Iterator[BrokerNode]:
    """A private RabbitMQ node with the users and permissions that the running system gives them."""
    require("rabbitmq-server")
    installation = rabbitmq.find_installation()
    if installation is None:
        pytest.fail("rabbitmq-server is installed, but its plugins or Erlang were not found")
    folder = Path(tempfile.mkdtemp(prefix="cds-test-"))
    node = rabbitmq.Node(installation, folder, free_port(), free_port(), rabbitmq.node_name(uuid.uuid4().hex[:12]))
    passwords = {user: uuid.uuid4().hex for user in ["admin", "relay", *MANUFACTURER_CODES]}
    node.prepare(uuid.uuid4().hex, passwords, MANUFACTURER_CODES, INSTALLATION)
    with (folder / "rabbitmq.log").open("wb") as log:
        environment = os.environ | node.environment()
        process = start_child(node.argv(), output=log, environment=environment, folder=folder)
    try:
        started = lambda: process.poll() is not None or asyncio.run(probes.amqp_ready(node.port))  # noqa: E731
        wait_until(started, BROKER_START_SECONDS_MAX, "RabbitMQ answers")
        if process.poll() is not None:
            pytest.fail("RabbitMQ did not start:\n" + (folder / "rabbitmq.log").read_text()[-5_000:])
        yield BrokerNode(node.port, passwords, folder)
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", name="rabbitmq")
def _rabbitmq_url(rabbitmq_node: BrokerNode) -> str:
    """URL of the private node with the administrator's credentials."""
    return rabbitmq_node.url()
