"""The edge to PostgreSQL keeps D1-D6 of `distributor/database.py`, on a real server with real broken connections."""

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from distributor.database import CONFLICTS, Retries, backoff_seconds, make_engine, reading, repeat, transaction
from distributor.errors import (
    Busy,
    ConnectionLost,
    DatabaseUnavailable,
    NoConnectionFree,
    OutcomeUnknown,
    TransactionConflict,
)
from settings.model import Database
from tests.conftest import PATIENCE_SECONDS
from tests.distributor_world import engine_for

QUICK = Database(
    pool_wait_ms=200, lock_timeout_ms=300, statement_timeout_ms=1_000, idle_in_transaction_timeout_ms=60_000
)

SLOW_FUNCTION = (
    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'"
)
SLOW_COMMIT = """CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON thing DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION slow()"""


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = engine_for(empty_database_url, pool_size=3)
    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE thing (id int PRIMARY KEY, value int NOT NULL DEFAULT 0)"))
        connection.execute(text("INSERT INTO thing VALUES (1, 0), (2, 0)"))
    yield engine
    engine.dispose()


@pytest.fixture
def quick(empty_database_url: str, engine: Engine) -> Iterator[Engine]:
    """Whose waits are over soon."""
    quick = make_engine(empty_database_url, QUICK, pool_size=2, application_name="test")
    yield quick
    quick.dispose()


def backend(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)


def terminate(url: str, pid: int) -> None:
    plain = url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 30000)", [pid])


def value_of(engine: Engine, identity: int) -> int:
    with transaction(engine) as connection:
        return int(connection.scalar(text("SELECT value FROM thing WHERE id = :id"), {"id": identity}) or 0)


def add(connection: Connection, identity: int, amount: int = 1) -> None:
    connection.execute(text("UPDATE thing SET value = value + :n WHERE id = :id"), {"id": identity, "n": amount})


def test_a_block_that_ends_is_committed_and_one_that_raises_is_rolled_back(engine: Engine) -> None:
    with transaction(engine) as connection:
        add(connection, 1)
    with pytest.raises(KeyError), transaction(engine) as connection:
        add(connection, 1, 10)
        raise KeyError
    assert value_of(engine, 1) == 1


def test_a_swallowed_database_error_cannot_pass_for_a_commit(engine: Engine) -> None:
    """D1: PostgreSQL would answer this COMMIT with a rollback and no error."""
    with pytest.raises(psycopg.errors.InFailedSqlTransaction), transaction(engine) as connection:
        add(connection, 1)
        with pytest.raises(IntegrityError):
            connection.execute(text("INSERT INTO thing VALUES (1, 5)"))
    assert value_of(engine, 1) == 0


def test_every_session_has_its_bounds(quick: Engine) -> None:
    """D2, and the commit that P2 rests on."""
    expected = {
        "lock_timeout": "300ms",
        "statement_timeout": "1s",
        "idle_in_transaction_session_timeout": "1min",
        "transaction_isolation": "read committed",
        "synchronous_commit": "on",
        "application_name": "test",
    }
    with transaction(quick) as connection:
        found = {name: connection.scalar(text(f"SHOW {name}")) for name in expected}
    assert found == expected


def test_isolation_is_set_for_one_transaction_only(engine: Engine) -> None:
    with transaction(engine, "SERIALIZABLE") as connection:
        assert connection.scalar(text("SHOW transaction_isolation")) == "serializable"
    with transaction(engine) as connection:
        assert connection.scalar(text("SHOW transaction_isolation")) == "read committed"


def test_a_lock_that_is_not_given_in_time_is_busy(engine: Engine, quick: Engine) -> None:
    with transaction(engine) as holder:
        add(holder, 1)
        with pytest.raises(Busy), transaction(quick) as connection:
            add(connection, 1)


def test_a_statement_that_takes_too_long_is_busy(quick: Engine) -> None:
    with pytest.raises(Busy), transaction(quick) as connection:
        connection.execute(text("SELECT pg_sleep(5)"))


def test_an_exhausted_pool_is_busy_within_the_wait(quick: Engine) -> None:
    with transaction(quick), transaction(quick):
        began = time.monotonic()
        with pytest.raises(NoConnectionFree), transaction(quick):
            pass
        assert time.monotonic() - began < 20  # SQLAlchemy's own wait is 30 s


def test_a_constraint_is_left_to_the_caller(engine: Engine) -> None:
    with pytest.raises(IntegrityError), transaction(engine) as connection:
        connection.execute(text("INSERT INTO thing VALUES (1, 5)"))


def test_nobody_listening_is_unavailable_and_definite() -> None:
    engine = make_engine("postgresql+psycopg://cds@127.0.0.1:1/cds", QUICK, pool_size=1, application_name="test")
    with pytest.raises(DatabaseUnavailable) as caught, transaction(engine):
        pass
    assert caught.value.definite


def test_a_connection_lost_before_the_commit_did_nothing(engine: Engine, empty_database_url: str) -> None:
    """D3, and the pool hands out a working connection afterwards."""
    with pytest.raises(ConnectionLost) as caught, transaction(engine) as connection:
        add(connection, 1)
        terminate(empty_database_url, backend(connection))
        add(connection, 1)
    assert caught.value.definite
    assert value_of(engine, 1) == 0


def test_a_connection_lost_during_the_commit_is_unknown(engine: Engine, empty_database_url: str) -> None:
    """D3: terminated while the commit waits in a deferred trigger, so that COMMIT has surely been sent."""
    with transaction(engine) as connection:
        connection.execute(text(SLOW_FUNCTION))
        connection.execute(text(SLOW_COMMIT))
    rivals: list[threading.Thread] = []
    with pytest.raises(OutcomeUnknown) as caught, transaction(engine) as connection:
        add(connection, 1)
        rivals.append(threading.Thread(target=terminate_in_commit, args=(empty_database_url, backend(connection))))
        rivals[0].start()
    rivals[0].join(60)
    assert not caught.value.definite


def terminate_in_commit(url: str, pid: int) -> None:
    plain = url.replace("postgresql+psycopg://", "postgresql://")
    deadline = time.monotonic() + PATIENCE_SECONDS
    with psycopg.connect(plain, autocommit=True) as other:
        while time.monotonic() < deadline:
            row = other.execute(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND query = 'COMMIT' AND wait_event = 'PgSleep'", [pid]
            ).fetchone()
            if row:
                break
        other.execute("SELECT pg_terminate_backend(%s, 30000)", [pid])


def test_an_error_that_the_server_reports_at_commit_is_definite(engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE other (id int REFERENCES thing DEFERRABLE INITIALLY DEFERRED)"))
    with pytest.raises(IntegrityError), transaction(engine) as connection:
        connection.execute(text("INSERT INTO other VALUES (99)"))


def test_connections_that_the_server_ended_are_replaced_before_use(engine: Engine, empty_database_url: str) -> None:
    """D4: without the check the next transaction on each of them would fail."""
    with transaction(engine) as first, transaction(engine) as second:
        pids = [backend(first), backend(second)]
    for pid in pids:
        terminate(empty_database_url, pid)
    with transaction(engine) as first, transaction(engine) as second:
        assert not set(pids) & {backend(first), backend(second)}


def test_a_deadlock_is_a_conflict_and_repeating_the_whole_transaction_resolves_it(engine: Engine) -> None:
    """D5: two transactions lock in opposite order; one is rolled back, repeated, and both take effect once."""
    meet = threading.Barrier(2)
    committed = threading.Event()
    causes: list[str] = []
    waits: list[float] = []

    def back_off(seconds: float) -> None:
        """Comes again when the other has committed: at once it could lock the first row before the woken one does."""
        waits.append(seconds)
        assert committed.wait(PATIENCE_SECONDS)

    def cross(order: tuple[int, int]) -> None:
        def attempt() -> None:
            with transaction(engine) as connection:
                add(connection, order[0])
                if not causes:
                    meet.wait(PATIENCE_SECONDS)
                add(connection, order[1])

        repeat(attempt, Retries(5, random=lambda: 0.5, sleep=back_off, on_retry=causes.append))
        committed.set()

    threads = [threading.Thread(target=cross, args=(order,)) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert causes == ["40P01"]
    assert waits == [backoff_seconds(1, 0.5)]
    assert (value_of(engine, 1), value_of(engine, 2)) == (2, 2)


def test_a_write_skew_reported_at_commit_is_repeated_too(engine: Engine) -> None:
    """D5: under SERIALIZABLE the conflict may show only at COMMIT."""
    attempts: list[int] = []

    def both_read_then_write() -> int:
        attempts.append(1)
        with transaction(engine, "SERIALIZABLE") as mine:
            total = mine.scalar(text("SELECT sum(value) FROM thing"))
            if len(attempts) == 1:
                with transaction(engine, "SERIALIZABLE") as other:
                    other.scalar(text("SELECT sum(value) FROM thing"))
                    add(other, 2)
            add(mine, 1)
        return int(total or 0)

    assert repeat(both_read_then_write, Retries(3, sleep=lambda _seconds: None)) == 1
    assert len(attempts) == 2
    assert "40001" in CONFLICTS


def test_a_conflict_that_never_ends_is_busy() -> None:
    def always() -> None:
        raise TransactionConflict("40001")

    with pytest.raises(Busy):
        repeat(always, Retries(3, sleep=lambda _seconds: None))


def test_an_error_does_not_repeat_the_values_that_were_sent(engine: Engine) -> None:
    """Its text reaches logs: password hashes, addresses and tokens are among the values."""
    with pytest.raises(IntegrityError) as caught, transaction(engine) as connection:
        connection.execute(text("INSERT INTO thing VALUES (1, :secret)"), {"secret": 4_711_000})
    assert "4711000" not in str(caught.value)


def test_reading_sends_neither_begin_nor_commit_and_leaves_the_connection_as_it_was(database_url: str) -> None:
    """D6: a transaction on the same connection afterwards is one again."""
    engine = make_engine(database_url, Database(), pool_size=1, application_name="reading")
    with reading(engine) as connection:
        first, second = (connection.scalar(text("SELECT now()")) for _ in range(2))
        connection.execute(text("SELECT 1")).all()
        in_transaction = "SELECT state FROM pg_stat_activity WHERE application_name = 'reading'"
        with psycopg.connect(database_url.replace("+psycopg", "")) as other:
            assert other.execute(in_transaction).fetchall() == [("idle",)]
    assert first != second, "each statement is a transaction of its own"
    with transaction(engine) as connection:
        first, second = (connection.scalar(text("SELECT now()")) for _ in range(2))
    assert first == second
    engine.dispose()


def test_errors_of_reading_mean_what_they_mean_in_a_transaction(database_url: str) -> None:
    engine = make_engine(
        database_url,
        Database(lock_timeout_ms=1, statement_timeout_ms=1_000),
        pool_size=1,
        application_name="reading",
    )
    with pytest.raises(Busy), reading(engine) as connection:
        connection.execute(text("SELECT pg_sleep(5)"))
    with pytest.raises(ConnectionLost), reading(engine) as connection:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()
