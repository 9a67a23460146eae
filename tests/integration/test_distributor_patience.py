"""The edge to PostgreSQL keeps T1 to T3 of `distributor/patience.py`, with a server process that really stands still."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event, text

from distributor.database import make_engine, reading, transaction, with_commit
from distributor.errors import ConnectionLost, DatabaseUnavailable, OutcomeUnknown
from distributor.patience import SILENT, Patience
from settings.model import Database
from tests.conftest import PATIENCE_SECONDS
from tests.distributor_world import engine_for

ENOUGH_SECONDS = 0.2
LONGER_SECONDS = 0.6
STANDS_STILL = threading.Event()
"""The server process of the connection that is tried."""


class PatienceWithABusyMachine(Patience):
    """Ends only while the server stands still: one that works may take longer than these tests like to wait."""

    def reason_to_give_up(self, seconds: float) -> str | None:
        return super().reason_to_give_up(seconds) if STANDS_STILL.is_set() else None


class Ear:
    """Says whether the database is silent."""

    silent = False

    def is_silent(self) -> bool:
        return self.silent


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    """With a table, and without patience."""
    engine = engine_for(empty_database_url, pool_size=2)
    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE thing (id int PRIMARY KEY)"))
    yield engine
    engine.dispose()


@pytest.fixture
def patient(empty_database_url: str, engine: Engine, ear: Ear) -> Iterator[Engine]:
    patience = PatienceWithABusyMachine(ENOUGH_SECONDS, ear.is_silent)
    patient = make_engine(empty_database_url, Database(), pool_size=1, application_name="test", patience=patience)
    yield patient
    patient.dispose()


@contextlib.contextmanager
def standing_still(backend: int) -> Iterator[None]:
    try:
        os.kill(backend, signal.SIGSTOP)
    except (PermissionError, ProcessLookupError):
        pytest.skip("the tests' PostgreSQL does not run on this machine under an account of ours")
    STANDS_STILL.set()
    try:
        yield
    finally:
        STANDS_STILL.clear()
        os.kill(backend, signal.SIGCONT)


def backend_of(engine: Engine) -> int:
    """Of the connection that the pool hands out next."""
    with reading(engine) as connection:
        return int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)


def count(engine: Engine) -> int:
    with reading(engine) as connection:
        return int(connection.scalar(text("SELECT count(*) FROM thing")) or 0)


def test_a_statement_that_is_not_answered_is_given_up_and_the_next_connection_works(patient: Engine) -> None:
    """T1, T2."""
    backend = backend_of(patient)
    began = time.monotonic()
    with standing_still(backend), pytest.raises(ConnectionLost) as caught:
        count(patient)
    assert caught.value.definite
    assert time.monotonic() - began > ENOUGH_SECONDS
    assert backend_of(patient) != backend


@pytest.mark.parametrize("together", [False, True], ids=["COMMIT alone", "COMMIT with what was left for it"])
def test_given_up_during_commit_the_outcome_is_unknown(patient: Engine, engine: Engine, together: bool) -> None:
    backend = backend_of(patient)
    with contextlib.ExitStack() as stack:
        with pytest.raises(OutcomeUnknown), transaction(patient) as connection:
            connection.execute(text("INSERT INTO thing VALUES (1)"))
            if together:
                with_commit(connection, ("INSERT INTO thing VALUES (2)", {}))
            stack.enter_context(standing_still(backend))
        assert count(engine) == 0  # as long as the server stands still
    assert count(patient) in (0, 1 + together)


def test_before_commit_it_is_definite(patient: Engine, engine: Engine) -> None:
    backend = backend_of(patient)
    with pytest.raises(ConnectionLost), transaction(patient) as connection:
        connection.execute(text("INSERT INTO thing VALUES (1)"))
        with standing_still(backend):
            connection.execute(text("INSERT INTO thing VALUES (2)"))
    assert count(engine) == 0


def test_while_the_database_is_silent_nobody_waits_and_nobody_comes(empty_database_url: str, ear: Ear) -> None:
    """T1, T3: long before the longest wait is over; and the connection is there again with the first answer."""
    patience = Patience(60.0, ear.is_silent)
    engine = make_engine(empty_database_url, Database(), pool_size=1, application_name="test", patience=patience)
    backend = backend_of(engine)
    with standing_still(backend):
        event.listen(engine, "before_cursor_execute", lambda *_: setattr(ear, "silent", True), once=True)
        with pytest.raises(ConnectionLost) as caught, reading(engine) as connection:
            connection.execute(text("SELECT 1"))
        assert SILENT in str(caught.value.__cause__)
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                backend_of(engine)
    ear.silent = False
    assert backend_of(engine) != backend
    ear.silent = True
    with pytest.raises(DatabaseUnavailable):  # a connection that is there is not handed out either
        backend_of(engine)
    ear.silent = False
    assert backend_of(engine)
    engine.dispose()


def test_without_patience_it_is_waited_on(engine: Engine) -> None:
    """The control of all above."""
    backend, counted = backend_of(engine), threading.Event()

    def ask() -> None:
        count(engine)
        counted.set()

    waiting = threading.Thread(target=ask)
    with standing_still(backend):
        waiting.start()
        assert not counted.wait(LONGER_SECONDS)
    assert counted.wait(PATIENCE_SECONDS)
    waiting.join()
