"""Brings the outbox's events to the broker: claim, publish with confirms, mark. Any number of relays may run at once.

Q1  An event is marked only after the broker confirmed it. A crash in between sends it twice; consumers know its id.
Q2  A broker that is away keeps every row: the whole relay waits, longer each time, and no event loses its turn.
Q3  An event that nobody's queue takes, or whose own queue rejects it, raises an alarm in the log, lets the others
    pass, and is tried again, for a missing queue after all were declared anew.
Q4  No error of the database or of the broker ends the loop.
States: declaring -> relaying <-> waiting; stopped at the end.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from broker.backoff import reconnect_seconds
from broker.contract import BrokerError, Carrier, Publisher, Rejected, Unroutable
from distributor.database import transaction
from distributor.errors import DistributorError
from distributor.outbox.pending import Claimed, Failure, claim, mark_failed, mark_published, pause_seconds
from settings.model import Distributor

logger = logging.getLogger(__name__)


class Relay:
    """Run by one thread. ``admin`` declares the queues, ``carrier`` publishes; ``codes`` are those of config.yml."""

    def __init__(
        self,
        engine: Engine,
        *,
        admin: Carrier,
        carrier: Carrier,
        codes: Sequence[str],
        settings: Distributor,
        stop: threading.Event,
    ) -> None:
        self._engine = engine
        self._admin = admin
        self._carrier = carrier
        self._codes = codes
        self._settings = settings
        self._stop = stop
        self._failures = 0
        self.trouble: str | None = "the broker was not reached yet"
        """Why events do not go out at the moment, or None."""
        self.published = 0
        self.unconfirmed = 0

    def run(self) -> None:
        """Until told to stop (Q4)."""
        self._persist(self._declare)
        publisher = self._carrier.publisher()
        while not self._stop.is_set():
            self._persist(lambda: self._relay_until_idle(publisher))
            self._stop.wait(self._settings.relay_idle_ms / 1000)
        publisher.close()
        logger.info("relay stopped")

    def _persist(self, work: Callable[[], None]) -> None:
        """Do ``work`` until it succeeds or the process stops."""
        while not self._stop.is_set():
            try:
                work()
            except (BrokerError, DistributorError, SQLAlchemyError) as error:
                self._note_trouble(str(error).partition("\n")[0])
                self._stop.wait(reconnect_seconds(self._failures, random.random()))  # noqa: S311 - jitter
            else:
                self._note_success()
                return

    def _note_trouble(self, trouble: str) -> None:
        self._failures += 1
        if self.trouble != trouble:
            logger.warning("events do not go out: %s", trouble)
        self.trouble = trouble

    def _note_success(self) -> None:
        if self.trouble is not None:
            logger.info("events go out")
        self._failures = 0
        self.trouble = None

    def _declare(self) -> None:
        """Queues for every manufacturer: those of config.yml, and earlier ones whose goods are still sold."""
        with transaction(self._engine) as connection:
            known = connection.scalars(text("SELECT code FROM manufacturer ORDER BY id")).all()
        self._admin.declare(list(dict.fromkeys([*self._codes, *known])))

    def _relay_until_idle(self, publisher: Publisher) -> None:
        while not self._stop.is_set():
            with transaction(self._engine) as connection:
                batch = claim(connection, self._settings.relay_batch_messages, self._settings.relay_lease_seconds)
            if not batch:
                return
            self._relay(publisher, batch)

    def _relay(self, publisher: Publisher, batch: Sequence[Claimed]) -> None:
        """Publish one batch and write down what became of each event (Q1); raises if the broker is away (Q2)."""
        results = publisher.publish([claimed.message for claimed in batch])
        confirmed = [claimed.row_id for claimed in batch if results[claimed.message.id] is None]
        failures = [_failure(claimed, error) for claimed in batch if (error := results[claimed.message.id]) is not None]
        with transaction(self._engine) as connection:
            if confirmed:
                mark_published(connection, confirmed)
            if failures:
                mark_failed(connection, failures)
        self.published += len(confirmed)
        self.unconfirmed += len(failures)
        self._raise_alarm([error for error in results.values() if error is not None])

    def _raise_alarm(self, errors: Sequence[BrokerError]) -> None:
        """Unroutable: say so and declare the queues again; rejected: say so (Q3). All else: the broker is away (Q2)."""
        rejected = [error for error in errors if isinstance(error, Rejected)]
        if rejected:
            logger.error("ALARM: %d events were rejected, the first: %s", len(rejected), rejected[0])
        unroutable = [error for error in errors if isinstance(error, Unroutable)]
        if unroutable:
            logger.error("ALARM: %d events have no queue, the first: %s", len(unroutable), unroutable[0])
            self._declare()
        away = [error for error in errors if not isinstance(error, Unroutable | Rejected)]
        if away:
            raise away[0]


def _failure(claimed: Claimed, error: BrokerError) -> Failure:
    """One that its queue does not take waits longer each time (Q3); one whose broker was away is due as soon as the
    relay goes on (Q2)."""
    pause = pause_seconds(claimed.attempts + 1) if isinstance(error, Unroutable | Rejected) else 0.0
    return Failure(claimed.row_id, str(error), pause)
