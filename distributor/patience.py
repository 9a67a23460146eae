"""How long the database is waited for when it says nothing: its own limits stand still with a server that stands still.

T1  A wait ends, whatever becomes of server and network: after ``seconds_max``, or when nobody else is answered either
    (``is_silent``). It is looked at every `LOOK_SECONDS` without a byte; a server that answers in time costs nothing more.
T2  A connection on which somebody gave up is closed: what it still says would be the answer to another question.
T3  While the database is silent no connection is handed out and none is made: who came later waits for nothing.

What was given up counts as lost, like a connection that broke (database.D3): definite before COMMIT, unknown during it.
"""

import select
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

LOOK_SECONDS = 0.1  # psycopg's own interval, in which it looks for signals

T = TypeVar("T")


def is_never_silent() -> bool:
    """Nobody listens whether the database answers."""
    return False


@dataclass(frozen=True)
class Patience:
    """``seconds_max``: of one wait, above what the server itself allows a statement; ``is_silent``: T1, T3."""

    seconds_max: float
    is_silent: Callable[[], bool] = is_never_silent

    def reason_to_give_up(self, seconds: float) -> str | None:
        """Of somebody who has waited so long; None: wait on."""
        if seconds > self.seconds_max:
            return f"the database did not answer within {self.seconds_max:g} s"
        return SILENT if self.is_silent() else None


SILENT = "the database does not answer at the moment"


class PatientConnection(psycopg.Connection[Any]):
    """A connection whose waits end (T1, T2)."""

    patience: ClassVar[Patience]

    def wait(self, gen: PQGen[T], interval: float = LOOK_SECONDS, timeout: float | None = None) -> T:
        """Every wait of a connection goes through here but that for the connection itself, which has its own limit."""
        return super().wait(self._bounded(gen), interval, timeout)

    def _bounded(self, gen: PQGen[T]) -> Generator[Any, Any, T]:
        began = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                reason = None if ready else self.patience.reason_to_give_up(time.monotonic() - began)
                if reason:
                    self.close()
                    raise psycopg.OperationalError(reason)
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def install(engine: Engine, patience: Patience) -> None:
    """Give the engine's connections that patience; before the first one is made."""

    class OfThisEngine(PatientConnection):
        pass

    OfThisEngine.patience = patience

    def connect(_dialect: object, _record: object, positional: list[Any], named: dict[str, Any]) -> PatientConnection:
        refuse_if_silent()
        return OfThisEngine.connect(*positional, **named)

    def refuse_if_silent(*_of_the_event: object) -> None:
        if patience.is_silent():
            raise psycopg.OperationalError(SILENT)

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkout", refuse_if_silent)


def refuse_ended(connection: "psycopg.Connection[Any]", _record: object, _proxy: object) -> None:
    """Pool event (database.D4): SQLAlchemy replaces the connection when this raises."""
    if connection.closed or _readable(connection.fileno()):
        raise DisconnectionError


def _readable(descriptor: int) -> bool:
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
