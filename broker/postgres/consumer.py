"""Consuming from the queue: claim one, handle it, settle it; sleep on a notification when there is none.

Q1  A message is in hand only under a lease by the database's clock, which a thread renews while the handler works.
Q2  Attempts are counted by the claim, one message at a time, so a message that kills the process dies alone.
Q3  Settling names the attempt (see schema.sql): it changes nothing if the lease went to somebody else.
Q4  Notifications are wake-ups only: the queue is also looked at every ``idle_ms``, ever more rarely while it is empty.
"""

import logging
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from broker.backoff import reconnect_seconds, redelivery_seconds
from broker.contract import Handler, Poison, Together
from broker.envelope import decode, storable
from broker.postgres.link import connect
from settings.model import Broker

STOP_SECONDS_MAX = 0.5  # how late a stop may be noticed
POLL_SECONDS_MAX = 2.0  # how late a lease that ran out, or a missed notification, may be noticed

# The first due message of the first queue that has one. LATERAL lets each queue use the index on its own; without an
# ORDER BY outside, the LIMIT there ends the search at the first find, and one row is locked, not one a queue.
CLAIM = """
UPDATE broker.message SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => %s)
 WHERE id = (SELECT due.id
               FROM unnest(%s::text[]) AS wanted (recipient)
              CROSS JOIN LATERAL (
                  SELECT id FROM broker.message
                   WHERE recipient = wanted.recipient AND due_at <= now()
                   ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) AS due
              LIMIT 1)
RETURNING id, attempts, recipient, raw"""
RENEW = (
    "UPDATE broker.message SET due_at = clock_timestamp() + make_interval(secs => %s) WHERE id = %s AND attempts = %s"
)
DONE = "DELETE FROM broker.message WHERE id = %s AND attempts = %s"
BURY = """
WITH dead AS (DELETE FROM broker.message WHERE id = %s AND attempts = %s RETURNING recipient, message_id, raw)
INSERT INTO broker.dead_letter (recipient, message_id, reason, raw) SELECT recipient, message_id, %s, raw FROM dead"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Claim:
    id: int
    attempts: int
    recipient: str
    raw: bytes


class PostgresConsumer:
    """See `broker.contract.Consumer`. One connection, shared with the thread that renews the lease."""

    def __init__(self, database_url: str, settings: Broker, recipients: Sequence[str]) -> None:
        self._database_url, self._settings = database_url, settings
        self._recipients = list(dict.fromkeys(recipients))
        self._in_hand: _Claim | None = None
        self._lease = threading.Lock()  # held while renewing, so that nothing is renewed any more once it is settled

    def run(self, handler: Handler, stop: threading.Event, together: Together | None = None) -> None:  # noqa: ARG002
        """``together`` is not used: Q2 counts an attempt for each message before it is handled."""
        failures = 0
        while not stop.is_set():
            try:
                with self._connect() as connection:
                    if failures:
                        log.info("consuming again")
                    failures = 0
                    self._work(connection, handler, stop)
            except psycopg.Error as error:
                failures += 1
                if failures == 1:
                    log.warning("no queue to consume from, trying again: %s", str(error).partition("\n")[0])
                stop.wait(reconnect_seconds(failures, random.random()))  # noqa: S311 - spread

    def _connect(self) -> psycopg.Connection[Any]:
        connection = connect(self._database_url, "consumer", self._settings.confirm_timeout_seconds, durable=False)
        for recipient in self._recipients:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(f"broker.{recipient}")))
        connection.execute("SELECT FROM broker.message LIMIT 0")  # before the distributor's first start there is none
        return connection

    def _work(self, connection: psycopg.Connection[Any], handler: Handler, stop: threading.Event) -> None:
        over = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(connection, over), name="lease", daemon=True)
        renewing.start()
        poll_seconds = self._settings.idle_ms / 1_000
        try:
            while not stop.is_set():
                claim = self._claim(connection)
                if claim is not None:
                    self._handle(connection, handler, claim)
                    poll_seconds = self._settings.idle_ms / 1_000
                elif not self._notified(connection, poll_seconds, stop):
                    poll_seconds = min(poll_seconds * 2, POLL_SECONDS_MAX)
        finally:
            over.set()
            renewing.join()

    def _claim(self, connection: psycopg.Connection[Any]) -> _Claim | None:
        """Begin with the queue after the last one that had something, so that no long queue starves the others."""
        row = connection.execute(CLAIM, [self._settings.lease_seconds, self._recipients], prepare=True).fetchone()
        if row is None:
            return None
        claim = _Claim(*row)
        turn = self._recipients.index(claim.recipient) + 1
        self._recipients = self._recipients[turn:] + self._recipients[:turn]
        return claim

    def _handle(self, connection: psycopg.Connection[Any], handler: Handler, claim: _Claim) -> None:
        if claim.attempts > self._settings.delivery_attempts_max:
            self._bury(connection, claim, "delivered too often without being acknowledged: the consumer died each time")
            return
        self._in_hand = claim
        failure: Exception | None = None
        try:
            handler(decode(claim.raw, claim.recipient))
        except Exception as error:  # noqa: BLE001 - a handler may raise anything: it is logged and tried again
            failure = error
        finally:
            with self._lease:
                self._in_hand = None
        if failure is None:
            connection.execute(DONE, [claim.id, claim.attempts], prepare=True)
        elif isinstance(failure, Poison):
            self._bury(connection, claim, str(failure))
        else:
            self._on_failure(connection, claim, failure)

    def _on_failure(self, connection: psycopg.Connection[Any], claim: _Claim, error: Exception) -> None:
        log.warning("message for %s: attempt %d failed", claim.recipient, claim.attempts, exc_info=error)
        if claim.attempts >= self._settings.delivery_attempts_max:
            self._bury(connection, claim, f"failed {claim.attempts} times, the last time with {error!r}")
            return
        seconds = redelivery_seconds(claim.attempts, self._settings.redelivery_delay_ms / 1_000)
        connection.execute(RENEW, [seconds, claim.id, claim.attempts])

    def _bury(self, connection: psycopg.Connection[Any], claim: _Claim, reason: str) -> None:
        log.error("message for %s: dead letter: %s", claim.recipient, reason)
        connection.execute(BURY, [claim.id, claim.attempts, storable(reason)])

    def _notified(self, connection: psycopg.Connection[Any], seconds: float, stop: threading.Event) -> bool:
        while seconds > 0 and not stop.is_set():
            if any(True for _ in connection.notifies(timeout=min(seconds, STOP_SECONDS_MAX), stop_after=1)):
                return True
            seconds -= STOP_SECONDS_MAX
        return False

    def _renew(self, connection: psycopg.Connection[Any], over: threading.Event) -> None:
        """Q1. A failure is left to the working thread, which meets the same broken connection."""
        while not over.wait(self._settings.lease_seconds / 3):
            with self._lease:
                claim = self._in_hand
                if claim is None:
                    continue
                try:
                    connection.execute(RENEW, [self._settings.lease_seconds, claim.id, claim.attempts])
                except psycopg.Error as error:
                    log.warning("the lease cannot be renewed: %s", error)
                    return
