"""A connection to the queue's database whose every wait is bounded.

Server-side limits do not help against a server that is paused or cut off in silence, so the client limits itself:
a call that has no answer within the limit ends with OperationalError, and its outcome is unknown.
"""

from typing import Any

import psycopg
from psycopg.rows import TupleRow

CONNECT_SECONDS_MAX = 5


class _Bounded(psycopg.Connection[TupleRow]):
    answer_seconds_max: float = 10.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds_max)
        except psycopg.OperationalError:
            self.close()  # an answer that comes later must not be taken for the next question's
            raise


def connect(
    database_url: str, purpose: str, answer_seconds_max: float, *, durable: bool
) -> psycopg.Connection[TupleRow]:
    """``durable``: a commit returns when it is on disk. What may happen twice anyway (B5) does not wait for that."""
    connection = _Bounded.connect(
        database_url.replace("postgresql+psycopg://", "postgresql://", 1),
        autocommit=True,
        application_name=f"broker {purpose}",
        connect_timeout=CONNECT_SECONDS_MAX,
        options=f"-c synchronous_commit={'on' if durable else 'off'}",
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=20_000,
    )
    connection.answer_seconds_max = answer_seconds_max
    return connection
