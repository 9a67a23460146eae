"""The pruner: a thread of each distributor; whichever comes first prunes (R4)."""

import logging
import threading

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from distributor.database import transaction
from distributor.errors import DistributorError
from distributor.retention.kinds import Kind, kinds
from distributor.retention.pruning import prune
from settings.model import Retention

logger = logging.getLogger(__name__)

BATCH_PAUSE_SECONDS = 0.05  # lets others have disk and processor between two batches; chosen


class Pruner:
    """Run by one thread, on an ``engine`` of one connection. No error of the database ends it."""

    def __init__(self, engine: Engine, settings: Retention, stop: threading.Event) -> None:
        self._engine = engine
        self._settings = settings
        self._stop = stop
        self._trouble: str | None = None
        self.rows = {kind.name: 0 for kind in kinds(settings)}
        """Deleted by this process, by kind."""

    def run(self) -> None:
        """Until told to stop."""
        while not self._stop.wait(self._settings.interval_seconds):
            try:
                self.turn()
                self._trouble = None
            except (DistributorError, SQLAlchemyError) as error:
                self._note(str(error).partition("\n")[0])
        logger.info("pruner stopped")

    def turn(self) -> int:
        """Delete all that is old enough by now; how many rows."""
        return sum(self._prune(kind) for kind in kinds(self._settings))

    def _prune(self, kind: Kind) -> int:
        gone = 0
        while not self._stop.is_set():
            with transaction(self._engine) as connection:
                deleted = prune(connection, kind, self._settings.batch_rows)
            gone += deleted or 0
            self.rows[kind.name] += deleted or 0
            if deleted is None or deleted < self._settings.batch_rows:
                break
            self._stop.wait(BATCH_PAUSE_SECONDS)
        if gone:
            logger.info("%d rows of %s were old enough to go", gone, kind.name)
        return gone

    def _note(self, trouble: str) -> None:
        if self._trouble != trouble:
            logger.warning("old rows stay: %s", trouble)
        self._trouble = trouble
