"""Where a grading takes place: a PostgreSQL of its own (or the one of ``database.url``) with one fresh database."""

import contextlib
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from distributor.migrate import upgrade
from settings.addresses import HOST
from settings.model import Database
from supervisor import postgres
from supervisor.errors import StartError
from supervisor.ports import refuse_taken
from supervisor.spawn import start_child

START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 20.0
DEADLOCK_TIMEOUT = "100ms"  # PostgreSQL looks for a circle after 1 s by default; a grading provokes many


class NoDatabase(Exception):
    """There is no database to try a strategy on; the text says why, and what to do."""


@contextmanager
def fresh_database(database: Database, folder: Path | None = None, wanted: int | None = None) -> Iterator[str]:
    """The URL of a new database with the shop's tables, gone afterwards; raises NoDatabase.

    ``folder`` (absent or empty, gone afterwards) and ``wanted`` port: of a PostgreSQL of its own; None: any.
    """
    if database.url != "auto":
        with _on_server(database.url, database.url) as url:
            yield url
        return
    state = _made(folder)
    try:
        with _own_server(state, wanted) as (cluster, port, password):
            administrator = cluster.superuser_url(port, password)
            with _on_server(cluster.url(port, password), administrator) as url:
                yield url
    except StartError as error:
        raise NoDatabase(f"{error.what}; {error.fix}") from error
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _made(folder: Path | None) -> Path:
    """The folder in which a PostgreSQL of its own runs; under an account of its own if we are root."""
    try:
        if folder is None:
            state = Path(tempfile.mkdtemp(prefix="cds-grade-"))
        else:
            state = folder.absolute()
            state.mkdir(parents=True, exist_ok=True)
        state.chmod(0o711)
    except OSError as error:
        raise NoDatabase(f"the folder {folder or tempfile.gettempdir()} cannot be used: {error.strerror}") from error
    return state


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def _own_server(state: Path, wanted: int | None) -> Iterator[tuple[postgres.Cluster, int, str]]:
    password = uuid.uuid4().hex
    if wanted is not None:
        refuse_taken([("postgres", HOST, wanted)])
    cluster = postgres.locate(state, uuid.uuid4().hex)
    cluster.initialise(password)
    port = wanted or _free_port()
    with (state / "postgres.log").open("wb") as log:
        process = start_child(cluster.argv(port, 200), output=log, account=cluster.account, folder=state)
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not _answers(cluster.url(port, password)):
            if process.poll() is not None or time.monotonic() > deadline:
                last = (state / "postgres.log").read_text(errors="replace").splitlines()[-5:]
                raise NoDatabase("PostgreSQL did not start: " + " ".join(last))
            time.sleep(0.05)
        yield cluster, port, password
    finally:
        cluster.end_leftovers()
        with contextlib.suppress(Exception):
            process.wait(STOP_SECONDS_MAX)
        if not cluster.data.is_relative_to(state):
            shutil.rmtree(cluster.data.parent, ignore_errors=True)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(plain(url), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def _on_server(url: str, administrator: str) -> Iterator[str]:
    name = f"grade_{uuid.uuid4().hex[:12]}"
    owner = psycopg.conninfo.conninfo_to_dict(plain(url)).get("user")
    try:
        _administer(administrator, f'CREATE DATABASE {name} OWNER "{owner}"')
    except psycopg.Error as error:
        reason = str(error).partition("\n")[0]
        raise NoDatabase(f"no database can be made on the server of database.url: {reason}") from error
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege):  # slower only
        _administer(administrator, f"ALTER DATABASE {name} SET deadlock_timeout = '{DEADLOCK_TIMEOUT}'")
    try:
        ours = url.rpartition("/")[0] + "/" + name
        upgrade(ours)
        yield ours
    finally:
        _administer(administrator, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(url: str, statement: str) -> None:
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute(statement.encode())


def plain(url: str) -> str:
    """SQLAlchemy's URL as libpq understands it."""
    return url.replace("postgresql+psycopg://", "postgresql://")
