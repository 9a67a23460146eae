"""The sweeper: a thread of each distributor that tidies ended holds, where carts hold goods.

W1  Nothing waits for it and nothing is decided by it (H1): without it, only the index of holds grows.
W2  No error of the database ends it; it is said once, and tried again at the next turn.
"""

import logging
import threading

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from distributor.database import transaction
from distributor.errors import DistributorError
from distributor.holds.tidying import TIDY_LINES_MAX, tidy

logger = logging.getLogger(__name__)

PAUSE_SECONDS_MIN = 1.0
PAUSE_SECONDS_MAX = 30.0  # between two turns: half of what a hold lasts, within these; chosen


class Sweeper:
    """Run by one thread, on an ``engine`` of one connection."""

    def __init__(self, engine: Engine, hold_seconds: int, stop: threading.Event) -> None:
        self._engine = engine
        self._pause = min(PAUSE_SECONDS_MAX, max(PAUSE_SECONDS_MIN, hold_seconds / 2))
        self._stop = stop
        self._trouble: str | None = None

    def run(self) -> None:
        """Until told to stop (W2)."""
        while not self._stop.wait(self._pause):
            try:
                self.sweep()
                self._trouble = None
            except (DistributorError, SQLAlchemyError) as error:
                self._note(str(error).partition("\n")[0])
        logger.info("sweeper stopped")

    def sweep(self) -> int:
        """Tidy all that have ended by now; how many."""
        tidied = 0
        while not self._stop.is_set():
            with transaction(self._engine) as connection:
                found = tidy(connection)
            tidied += found
            if found < TIDY_LINES_MAX:
                break
        return tidied

    def _note(self, trouble: str) -> None:
        if self._trouble != trouble:
            logger.warning("ended holds are not tidied: %s", trouble)
        self._trouble = trouble
