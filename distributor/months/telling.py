"""The teller: a thread of each distributor; whichever looks first tells what a closed month came to (totals.py)."""

import logging
import threading

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from distributor.database import transaction
from distributor.errors import DistributorError
from distributor.months.totals import tell_next

logger = logging.getLogger(__name__)


class Teller:
    """Run by one thread, on an ``engine`` of one connection. No error of the database ends it; it looks again later."""

    def __init__(self, engine: Engine, look_seconds: float, stop: threading.Event) -> None:
        self._engine = engine
        self._look_seconds = look_seconds
        self._stop = stop
        self._trouble: str | None = None

    def run(self) -> None:
        """Until told to stop."""
        while not self._stop.wait(self._look_seconds):
            try:
                while not self._stop.is_set() and self.turn() is not None:
                    pass
                self._trouble = None
            except (DistributorError, SQLAlchemyError) as error:
                self._note(str(error).partition("\n")[0])
        logger.info("teller stopped")

    def turn(self) -> int | None:
        """Tell one month, if there is one to be told; its number."""
        with transaction(self._engine) as connection:
            number = tell_next(connection)
        if number is not None:
            logger.info("the totals of month %d are in the outbox", number)
        return number

    def _note(self, trouble: str) -> None:
        if self._trouble != trouble:
            logger.warning("a month's totals are not told yet: %s", trouble)
        self._trouble = trouble
