"""The one edge to PostgreSQL: connections, the only commit, and what the database's errors mean.

D1  ``transaction()`` is the only place that commits. It commits all or nothing, and never a transaction in which the
    caller swallowed a database error (PostgreSQL answers such a COMMIT with a silent rollback).
D2  Every wait is bounded: for a pooled connection, for connecting, for a lock, for a statement, for an idle client; with
    `patience`, which web instances have, also for a server that stands still.
D3  An error before COMMIT is definite: nothing happened. A connection lost during COMMIT is OutcomeUnknown.
D4  A pooled connection whose server is gone is not handed out: an idle connection that has something to read was
    ended by the server (or got a notice, which is harmless to treat alike), so it is replaced without a round trip.
D5  A repeated transaction is repeated whole, its COMMIT included, on a connection newly taken from the pool.
D6  ``reading()`` is for statements that change nothing: each is a transaction of its own, so that neither BEGIN nor COMMIT
    is sent. They were two of three round trips, and with them two thirds of the time, of every page.
D7  Statements of one ``trip()`` travel together, BEGIN with the first of a transaction; those left for ``with_commit()``
    travel with COMMIT. PostgreSQL runs them one after the other, each with its own snapshot, and none after one that
    failed: a COMMIT behind a failed statement commits nothing.

Called by sales, queries, months, gather and outbox. Sources: SQLSTATEs from PostgreSQL's appendix A.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from distributor import patience as patiently
from distributor.errors import (
    Busy,
    ConnectionLost,
    DatabaseUnavailable,
    DistributorError,
    NoConnectionFree,
    OutcomeUnknown,
    TransactionConflict,
)
from distributor.patience import Patience
from settings import Runtime
from settings.model import Database

READ_COMMITTED = "READ COMMITTED"

CONNECT_TIMEOUT_SECONDS = 2  # the smallest that libpq keeps; all servers are near
KEEPALIVE_IDLE_SECONDS = 5  # with interval and count: a silent partition is noticed after 5 + 3 * 2 s; chosen
KEEPALIVE_INTERVAL_SECONDS = 2
KEEPALIVE_COUNT = 3
TCP_USER_TIMEOUT_MS = 10_000  # how long sent bytes may stay unacknowledged; the kernel acknowledges for a paused server
APPLICATION_NAME_BYTES_MAX = 63  # NAMEDATALEN - 1; PostgreSQL would cut it in silence

BACKOFF_BASE_SECONDS = 0.01  # about the length of one purchase under contention; chosen
BACKOFF_SECONDS_MAX = 0.5  # six attempts stay well below the load balancer's patience; chosen

LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
READ_ONLY_TRANSACTION = "25006"

WAITED_TOO_LONG = frozenset({LOCK_NOT_AVAILABLE, QUERY_CANCELED})
CONFLICTS = frozenset({SERIALIZATION_FAILURE, DEADLOCK_DETECTED})
SESSION_ENDED = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})
"""Shutdown by an administrator, crash of another backend, starting up, and the idle and transaction timeouts."""
CONNECTION_EXCEPTION = "08"
SERVER_CANNOT = ("53", "58")
"""Classes: out of memory, disk or connections; I/O error. The server lives, but cannot write."""

T = TypeVar("T")

Statement = tuple[str, Mapping[str, Any]]
"""SQL with psycopg's named placeholders, and their values."""
WITH_COMMIT = "with_commit"


def make_engine(
    source: Runtime | str,
    database: Database,
    *,
    pool_size: int,
    application_name: str,
    patience: Patience | None = None,
) -> Engine:
    """A pool of ``pool_size`` connections, no more (D2, D4). ``source``: the running system's values, or a URL.

    ``patience``: with a server that says nothing; None waits until the connection breaks.
    """
    engine = create_engine(
        source if isinstance(source, str) else source.database_url,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=database.pool_wait_ms / 1000,
        pool_use_lifo=True,
        hide_parameters=True,  # the texts of errors reach logs; what customers sent must not
        connect_args=_connect_args(database, application_name),
    )
    event.listen(engine, "checkout", patiently.refuse_ended)
    if patience is not None:
        patiently.install(engine, patience)
    return engine


def _connect_args(database: Database, application_name: str) -> dict[str, Any]:
    session = {
        "lock_timeout": database.lock_timeout_ms,
        "statement_timeout": database.statement_timeout_ms,
        "idle_in_transaction_session_timeout": database.idle_in_transaction_timeout_ms,
        "default_transaction_isolation": READ_COMMITTED.lower().replace(" ", "\\ "),
        "synchronous_commit": "on",  # P2 rests on it, whatever the server's own default is
        # What is asked for lies in memory, by and large: a few thousand looks into an index beat reading a million rows, and
        # a statement that takes the other cores takes them from somebody's purchase.
        "random_page_cost": 1.1,
        "max_parallel_workers_per_gather": 0,
        "timezone": "UTC",
    }
    return {
        "application_name": application_name.encode()[:APPLICATION_NAME_BYTES_MAX].decode(errors="ignore"),
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "keepalives": 1,
        "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
        "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
        "keepalives_count": KEEPALIVE_COUNT,
        "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
        "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
    }


@contextmanager
def transaction(engine: Engine, isolation: str = READ_COMMITTED) -> Iterator[Connection]:
    """A connection inside a transaction: committed when the block ends, rolled back when it raises (D1, D3)."""
    connection = _connect(engine, isolation)
    try:
        connection.begin()
        connection.info[WITH_COMMIT] = []
        try:
            yield connection
        except BaseException as error:
            lost = _is_lost(error, connection)
            _roll_back(connection, lost=lost)
            meaning = _meaning(error, lost=lost)
            if meaning is None:
                raise
            raise meaning from error
        _commit(connection)
    finally:
        connection.close()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for statements that only read, whose errors mean what they mean in `transaction` (D6)."""
    connection = _connect(engine, READ_COMMITTED)
    driver = _driver(connection)
    driver.autocommit = True  # SQLAlchemy's own way to it costs as much as the round trips that are saved
    try:
        yield connection
    except BaseException as error:
        lost = _is_lost(error, connection)
        if lost:
            connection.invalidate()
        meaning = _meaning(error, lost=lost)
        if meaning is None:
            raise
        raise meaning from error
    finally:
        if not driver.closed:
            driver.autocommit = False
        connection.close()


def trip(connection: Connection, statements: Sequence[Statement]) -> list[list[Any]]:
    """Send these together and wait once; the rows of each, as named tuples (D7). Raises what the database raises.

    SQLAlchemy executes one at a time, so this goes around it; who listens to its events is told of each all the same.
    """
    if len(statements) == 1 and _is_begun(connection):
        return [_alone(connection, *statements[0])]
    cursors = []
    with _driver(connection).pipeline():
        for sql, values in statements:
            _tell(connection.dispatch.before_cursor_execute, connection, sql, values)
            cursor = _driver(connection).cursor(row_factory=namedtuple_row)
            cursors.append(cursor.execute(sql, values))
    for sql, values in statements:
        _tell(connection.dispatch.after_cursor_execute, connection, sql, values)
    return [_rows(cursor) for cursor in cursors]


def _is_begun(connection: Connection) -> bool:
    """Whether a statement has nothing to travel with: then a pipeline costs as much again as the statement."""
    driver = _driver(connection)
    return driver.autocommit or driver.info.transaction_status is not TransactionStatus.IDLE


def _alone(connection: Connection, sql: str, values: Mapping[str, Any]) -> list[Any]:
    _tell(connection.dispatch.before_cursor_execute, connection, sql, values)
    cursor = _driver(connection).cursor(row_factory=namedtuple_row)
    cursor.execute(sql, values)
    _tell(connection.dispatch.after_cursor_execute, connection, sql, values)
    return _rows(cursor)


def _rows(cursor: "psycopg.Cursor[Any]") -> list[Any]:
    """None of what gives none; to ask for the ``description`` would make an object of each column."""
    result = cursor.pgresult
    return cursor.fetchall() if result is not None and result.nfields else []


def _tell(listeners: Any, connection: Connection, sql: str, values: Mapping[str, Any]) -> None:
    for listener in listeners:
        listener(connection, None, sql, values, None, False)


def copy_in(connection: Connection, statement: str, rows: Iterable[Sequence[object]]) -> None:
    """Send rows by COPY … FROM STDIN: many of them, in one go and without a parameter each."""
    with _driver(connection).cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)


def with_commit(connection: Connection, *statements: Statement) -> None:
    """Leave these to be sent with COMMIT, in this order (D7): for what has no answer that anybody reads."""
    connection.info[WITH_COMMIT].extend(statements)


def send(connection: Connection) -> None:
    """Send what was left for COMMIT now: somebody is going to read what it writes."""
    left = connection.info.get(WITH_COMMIT)
    if left:
        connection.info[WITH_COMMIT] = []
        trip(connection, left)


def _connect(engine: Engine, isolation: str) -> Connection:
    try:
        connection = engine.connect()
    except PoolTimeout as error:
        raise NoConnectionFree from error
    except (DBAPIError, InvalidRequestError) as error:
        message = f"the database cannot be reached: {_first_line(error)}"
        raise DatabaseUnavailable(message) from error
    if isolation == READ_COMMITTED:  # the session's default: nothing to set and to reset
        return connection
    return connection.execution_options(isolation_level=isolation)


def _commit(connection: Connection) -> None:
    if _driver(connection).info.transaction_status is TransactionStatus.INERROR:
        connection.rollback()
        message = "a database error inside the transaction was swallowed; nothing was committed"
        raise psycopg.errors.InFailedSqlTransaction(message)
    try:
        _send_with_commit(connection)
        connection.commit()
    except (DBAPIError, psycopg.Error) as error:
        lost = _is_lost(error, connection)
        _roll_back(connection, lost=lost)
        meaning = OutcomeUnknown() if lost else _meaning(error, lost=False)
        if meaning is None:
            raise
        raise meaning from error


def _send_with_commit(connection: Connection) -> None:
    """COMMIT with whatever was left for it; SQLAlchemy then finds nothing to commit and sends nothing."""
    left = connection.info[WITH_COMMIT]
    if not left:
        return
    driver = _driver(connection)
    with driver.pipeline():
        for sql, values in left:
            _tell(connection.dispatch.before_cursor_execute, connection, sql, values)
            driver.execute(sql, values)
        driver.commit()
    for sql, values in left:
        _tell(connection.dispatch.after_cursor_execute, connection, sql, values)


def _roll_back(connection: Connection, *, lost: bool) -> None:
    """Rolling back must not hide the error that is the reason for it."""
    if lost:
        connection.invalidate()
        return
    try:
        connection.rollback()
    except SQLAlchemyError:
        connection.invalidate()


def _driver(connection: Connection) -> "psycopg.Connection[Any]":
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        message = f"expected a psycopg connection, got {type(driver).__name__}: write the URL as postgresql+psycopg://"
        raise TypeError(message)
    return driver


def _original(error: BaseException) -> psycopg.Error | None:
    original = error.orig if isinstance(error, DBAPIError) else error
    return original if isinstance(original, psycopg.Error) else None


def sqlstate_of(error: BaseException) -> str | None:
    """SQLSTATE of a database error, whether SQLAlchemy wrapped it or not; None for other errors."""
    original = _original(error)
    return original.sqlstate if original else None


def _is_lost(error: BaseException, connection: Connection) -> bool:
    if connection.invalidated:
        return True
    state = sqlstate_of(error)
    if state and (state in SESSION_ENDED or state.startswith(CONNECTION_EXCEPTION)):
        return True
    return _driver(connection).closed


def _meaning(error: BaseException, *, lost: bool) -> DistributorError | None:
    """What a database error means to the caller; None when the caller must decide itself (a constraint, a bug)."""
    original = _original(error)
    if original is None:
        return None
    if lost:
        return ConnectionLost()
    state = original.sqlstate or ""
    if state in WAITED_TOO_LONG:
        return Busy()
    if state in CONFLICTS:
        return TransactionConflict(state)
    if state == READ_ONLY_TRANSACTION or state.startswith(SERVER_CANNOT):
        return DatabaseUnavailable(f"the database cannot write: {_first_line(original)}")
    return None


def _first_line(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


@dataclass(frozen=True)
class Retries:
    """How often a transaction is repeated, and why. Chance and waiting come in from outside."""

    attempts_max: int
    sqlstates: frozenset[str] = frozenset()
    """More causes to repeat, beside CONFLICTS and a lost connection, which always are."""
    random: Callable[[], float] = random.random
    sleep: Callable[[float], None] = time.sleep
    on_retry: Callable[[str], None] = lambda _cause: None
    """Told the SQLSTATE (or ``lost``) before each repetition, to be counted."""


def backoff_seconds(attempt: int, chance: float) -> float:
    """Full jitter: uniform between 0 and a bound that doubles with each attempt (from 1), so that rivals part ways."""
    bound: float = min(BACKOFF_SECONDS_MAX, BACKOFF_BASE_SECONDS * 2.0**attempt)
    return chance * bound


def repeat(attempt: Callable[[], T], retries: Retries) -> T:
    """Call ``attempt``, a whole transaction, again after a conflict or a lost connection (D5); Busy when it never went."""
    for number in range(1, retries.attempts_max + 1):
        try:
            return attempt()
        except (TransactionConflict, ConnectionLost, DBAPIError, psycopg.Error) as error:
            cause = _cause_to_repeat(error, retries.sqlstates)
            if cause is None:
                raise
            if number == retries.attempts_max:
                if isinstance(error, ConnectionLost):
                    raise
                raise Busy from error
            retries.on_retry(cause)
            retries.sleep(backoff_seconds(number, retries.random()))
    message = f"attempts_max must be at least 1, not {retries.attempts_max}"
    raise ValueError(message)


def _cause_to_repeat(error: Exception, sqlstates: frozenset[str]) -> str | None:
    if isinstance(error, ConnectionLost):
        return "lost"
    if isinstance(error, TransactionConflict):
        return error.sqlstate
    state = sqlstate_of(error)
    return state if state in sqlstates else None
