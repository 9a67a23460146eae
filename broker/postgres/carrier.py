"""The carrier: declares, publishes, hands out consumers, counts, shows dead letters."""

import random
import time
import uuid
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import errors

from broker.backoff import reconnect_seconds
from broker.contract import (
    DEAD_LETTERS_SHOWN_MAX,
    BrokerError,
    DeadLetter,
    Message,
    Rejected,
    Unavailable,
    Unroutable,
)
from broker.envelope import encode
from broker.postgres.consumer import PostgresConsumer
from broker.postgres.link import connect
from settings.model import Broker

DECLARE_LOCK = 7_210_001  # any number that no other advisory lock of this system has

# Inserts what has a queue; a notification per queue is only a wake-up, sent with the commit, equal ones merged.
PUBLISH = """
WITH sent AS (
    INSERT INTO broker.message (recipient, message_id, raw)
    SELECT recipient, message_id, raw
      FROM unnest(%s::text[], %s::text[], %s::bytea[]) WITH ORDINALITY AS given (recipient, message_id, raw, position)
      JOIN broker.queue USING (recipient)
     ORDER BY position
    RETURNING recipient, message_id)
SELECT message_id, pg_notify('broker.' || recipient, '') FROM sent"""


class PostgresCarrier:
    """See `broker.contract.Carrier`."""

    def __init__(self, database_url: str, settings: Broker) -> None:
        self._database_url, self._settings = database_url, settings

    def declare(self, recipients: Sequence[str]) -> None:
        try:
            with self._connection() as connection, connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [DECLARE_LOCK])
                connection.execute(files(__package__).joinpath("schema.sql").read_bytes())
                connection.execute(
                    "INSERT INTO broker.queue SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [list(recipients)]
                )
        except psycopg.Error as error:
            raise Unavailable(f"PostgreSQL: the queue cannot be declared: {error}") from error

    def publisher(self) -> "PostgresPublisher":
        return PostgresPublisher(self._database_url, self._settings.confirm_timeout_seconds)

    def consumer(self, recipients: Sequence[str]) -> PostgresConsumer:
        return PostgresConsumer(self._database_url, self._settings, recipients)

    def depth(self, recipients: Sequence[str]) -> dict[str, int]:
        counted = self._read(
            "SELECT recipient, count(*) FROM broker.message WHERE recipient = ANY(%s) GROUP BY recipient",
            [list(recipients)],
        )
        return dict.fromkeys(recipients, 0) | dict(counted)

    def dead_letters(self, recipients: Sequence[str]) -> list[DeadLetter]:
        rows = self._read(
            "SELECT letter.* FROM unnest(%s::text[]) AS wanted (recipient) CROSS JOIN LATERAL ("
            "  SELECT recipient, message_id, reason, raw FROM broker.dead_letter"
            "   WHERE recipient = wanted.recipient ORDER BY id LIMIT %s) AS letter",
            [list(recipients), DEAD_LETTERS_SHOWN_MAX],
        )
        return [DeadLetter(*row) for row in rows]

    def _connection(self) -> psycopg.Connection[Any]:
        try:
            return connect(self._database_url, "admin", self._settings.confirm_timeout_seconds, durable=True)
        except psycopg.OperationalError as error:
            raise Unavailable(f"PostgreSQL: {error}") from error

    def _read(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            with self._connection() as connection:
                return connection.execute(statement.encode(), parameters).fetchall()
        except errors.UndefinedTable:  # nothing was declared yet
            return []
        except psycopg.OperationalError as error:
            raise Unavailable(f"PostgreSQL: {error}") from error


class PostgresPublisher:
    """See `broker.contract.Publisher`. One connection, kept; a batch is one statement, one transaction, one sync."""

    def __init__(self, database_url: str, confirm_seconds: float) -> None:
        self._database_url, self._confirm_seconds = database_url, confirm_seconds
        self._connection: psycopg.Connection[Any] | None = None
        self._failures = 0
        self._not_before = 0.0

    def publish(self, messages: Sequence[Message]) -> dict[uuid.UUID, BrokerError | None]:
        outcomes: dict[uuid.UUID, BrokerError | None] = {}
        encoded: dict[uuid.UUID, tuple[str, str, bytes]] = {}
        for message in messages:
            try:
                encoded[message.id] = (message.recipient, str(message.id), encode(message))
            except (Unroutable, Rejected) as error:
                outcomes[message.id] = error
        if not encoded:
            return outcomes
        try:
            stored = self._insert(list(encoded.values()))
        except Unavailable as error:
            return outcomes | dict.fromkeys(encoded, error)
        for identity, (recipient, _, _) in encoded.items():
            outcomes[identity] = None if str(identity) in stored else Unroutable(f"no queue for {recipient!r}")
        return outcomes

    def _insert(self, rows: list[tuple[str, str, bytes]]) -> set[str]:
        if time.monotonic() < self._not_before:
            raise Unavailable("PostgreSQL cannot be reached; the next attempt follows in a moment")
        try:
            if self._connection is None:
                self._connection = connect(self._database_url, "publisher", self._confirm_seconds, durable=True)
            found = self._connection.execute(PUBLISH, [list(column) for column in zip(*rows, strict=True)]).fetchall()
        except errors.UndefinedTable:  # nothing was declared yet
            return set()
        except psycopg.Error as error:
            self.close()
            self._failures += 1
            self._not_before = time.monotonic() + reconnect_seconds(self._failures, random.random())  # noqa: S311 - spread
            raise Unavailable(f"PostgreSQL: {error}") from error
        self._failures = 0
        return {message_id for message_id, _ in found}

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
