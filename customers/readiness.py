"""Whether an instance can serve: its database answers and has the schema that this code was written for.

A thread of its own asks again and again, on a connection of its own, so that nobody who comes has to find out by waiting.

R1  Silent is a database that has left a question unanswered for ``silence_seconds``, and all that were asked since. An
    answer of any kind ends it, at the latest `LOOK_SECONDS_UNREADY` and one question after the server goes on; an error is an
    answer, too. A mistake of ours accuses nobody.
R2  Time counts only while a question is open: a process that itself stood still, or a machine that slept, accuses nobody.
R3  Who asks `reason` does not wait for the database while `watch` runs, but for the first answer of all.
R4  Where the database answers, but gives the shop no connection (its limit is reached), the instance is not ready: others have
    theirs.
"""

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine, QueuePool
from sqlalchemy.exc import DBAPIError

from distributor.database import reading, sqlstate_of
from distributor.errors import DatabaseUnavailable, DistributorError
from distributor.migrate import is_current

LOOK_SECONDS = 1.0  # from an answer to the next question, as the load balancer asks us
LOOK_SECONDS_UNREADY = 0.25  # as its check_downinter_ms: who was away is back soon
ANSWER_SECONDS = 1.0  # an answer that takes longer is worth a word, if not a silence yet
NOT_CURRENT = "the database's schema is not current; a distributor brings it up to date"
COULD_NOT_ASK = "the database could not be asked"
REFUSED_BY_SERVER = "FATAL:"  # PostgreSQL's word, where it speaks English; psycopg has no SQLSTATE of a log-in

logger = logging.getLogger(__name__)


class Readiness:
    """``look``: ask the database, and say why it will not do, or None; raises DatabaseUnavailable where it gives no answer."""

    def __init__(
        self, look: Callable[[], str | None], silence_seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.connect: Callable[[], str | None] = lambda: None
        """Why the shop gets no connection, or None (R4). Asked after an answer: a silent database gives none."""
        self._look = look
        self._silence_seconds = silence_seconds
        self._now = now
        self._told: str | None = "the database was not asked yet"
        self._asking_since: float | None = None
        """When the first of the questions was asked that have no answer."""
        self._is_watched = False
        self._was_asked = threading.Event()

    def watch(self) -> None:
        """Ask from now on, until the process ends; once."""
        self._is_watched = True
        threading.Thread(target=self._watch, name="readiness", daemon=True).start()

    def reason(self) -> str | None:
        """Why the instance cannot serve, or None (R3)."""
        if not self._is_watched:
            self.ask()
        self._was_asked.wait(ANSWER_SECONDS)
        since = self._asking_since
        if since is not None and self._now() - since > ANSWER_SECONDS:
            return f"the database has not answered for {self._now() - since:.0f} s"
        return self._told

    def is_silent(self) -> bool:
        """R1. Asked before every statement, so it must cost nothing."""
        since = self._asking_since
        return since is not None and self._now() - since > self._silence_seconds

    def ask(self) -> None:
        """One question; by one thread at a time."""
        if self._asking_since is None:
            self._asking_since = self._now()
        was = self._told
        try:
            told = self._look()
        except DatabaseUnavailable as error:
            self._told = str(error)
        else:
            self._asking_since = None
            self._told = told or self.connect()
        self._was_asked.set()
        if self._told != was:
            logger.log(logging.WARNING if self._told else logging.INFO, "%s", self._told or "ready")

    def _watch(self) -> None:
        while True:
            try:
                self.ask()
            except Exception:  # a mistake of ours: who reads the log learns of it once, and it is asked on
                if self._told != COULD_NOT_ASK:
                    logger.exception(COULD_NOT_ASK)
                self._asking_since, self._told = None, COULD_NOT_ASK
                self._was_asked.set()
            time.sleep(LOOK_SECONDS if self._told is None else LOOK_SECONDS_UNREADY)


def reason_against(engine: Engine) -> str | None:
    """Why an instance cannot serve with this database, or None; raises DatabaseUnavailable."""
    try:
        with reading(engine) as connection:
            if not is_current(connection):
                return NOT_CURRENT
    except DatabaseUnavailable as error:
        if _is_answer(error):
            return str(error)
        raise
    except DistributorError as error:  # it answered, if not this question
        return str(error)
    except DBAPIError as error:  # such as a right that was taken from us: what needs it not goes on
        first_line, *_ = str(error.orig).splitlines()
        return f"the database does not tell its schema: {first_line}"
    return None


def _is_answer(error: DatabaseUnavailable) -> bool:
    """Of a server that lives: at its limit of connections, those that it gave out go on; without memory, others have some."""
    told = error.__cause__ and sqlstate_of(error.__cause__)
    return told is not None or REFUSED_BY_SERVER in str(error)


def reason_without(engine: Engine) -> str | None:
    """Why the shop's own pool gives no connection, or None; also where all are at work."""
    if isinstance(engine.pool, QueuePool) and engine.pool.checkedout() >= engine.pool.size():
        return None
    try:
        with reading(engine):
            return None
    except DatabaseUnavailable as error:
        return str(error)
    except DistributorError:  # others were faster
        return None
