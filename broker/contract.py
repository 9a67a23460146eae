"""One interface, two carriers. `tests/integration/test_broker_contract.py` runs the same suite against both.

B1  ``publish`` returns only when the broker has stored the message durably; otherwise it raises.
B2  A message for a recipient whose queue does not exist raises Unroutable, it is never dropped in silence.
B3  A delivery that was not acknowledged (consumer killed, connection lost) is delivered again.
B4  A delivery that failed ``delivery_attempts_max`` times, or is Poison, ends among the dead letters with its reason,
    and the consumer goes on with the next one. Attempts are counted outside the consumer's process.
B5  At least once: consumers must expect duplicates and recognise them by ``Message.id``. Order is usual, not promised.
"""

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

SALE_RECORDED = "sale.recorded"
STOCK_DEPLETED = "stock.depleted"
MONTH_CLOSED = "month.closed"
TYPES = frozenset({SALE_RECORDED, STOCK_DEPLETED, MONTH_CLOSED})
"""A message of another type is Poison; a new type is added here first."""


@dataclass(frozen=True)
class Message:
    """``recipient``: manufacturer code, one queue each. ``body``: JSON object, validated by the consumer."""

    id: uuid.UUID
    type: str
    recipient: str
    body: dict[str, Any]


DEAD_LETTERS_SHOWN_MAX = 1_000


@dataclass(frozen=True)
class DeadLetter:
    """``message_id`` is empty where the sender gave none; ``raw``: the bytes as they lay in the queue."""

    recipient: str
    message_id: str
    reason: str
    raw: bytes


class BrokerError(Exception):
    """Base of all broker errors."""


class Unavailable(BrokerError):
    """The broker cannot be reached, or did not confirm in time: the outcome is unknown, publish again (B5)."""


class Unroutable(BrokerError):
    """No queue takes this message: none is declared for the recipient (B2), or it is too large. Definite."""


class Rejected(BrokerError):
    """This message is not taken, while others may be: its queue is full or broken (nack), or its type is unknown."""


class Poison(BrokerError):
    """Raised by a handler: this message can never be processed; dead-letter it now (B4). The text is the reason."""


Handler = Callable[[Message], None]
"""Applies one message; returning acknowledges it. Any exception but Poison means: deliver it again later."""


Together = Callable[[Sequence[Message]], None]
"""Applies messages of one recipient all at once; raising anything, it has changed nothing, and each is handled by itself."""


class Publisher(Protocol):
    """Used by one thread. Reconnects by itself on the next call after an error."""

    def publish(self, messages: Sequence[Message]) -> dict[uuid.UUID, BrokerError | None]:
        """Publish all; per message id: None when confirmed, else why not. Raises nothing but programming errors."""
        ...

    def close(self) -> None: ...


class Consumer(Protocol):
    """Consumes the queues of some recipients, until told to stop; reconnects with back-off."""

    def run(self, handler: Handler, stop: threading.Event, together: Together | None = None) -> None:
        """Call ``handler`` in this thread, one message at a time; return within a second of ``stop``.

        With ``together``, messages that wait at the same time and were never delivered before may be given to it first.

        A handler may take long: the connection is kept alive meanwhile. What it raised is tried again after a growing
        delay (``redelivery_delay_ms``, four times longer each time); other messages go on in between.
        """
        ...


class Carrier(Protocol):
    """How processes get at the broker; chosen by ``broker.url``."""

    def declare(self, recipients: Sequence[str]) -> None:
        """Make queues and dead-letter queues durable and present. Idempotent; safe when two processes call it."""
        ...

    def publisher(self) -> Publisher: ...

    def consumer(self, recipients: Sequence[str]) -> Consumer: ...

    def depth(self, recipients: Sequence[str]) -> dict[str, int]:
        """Messages per recipient that wait in the queue; every recipient is a key, 0 where no queue exists.

        With RabbitMQ the few that a consumer has in hand are left out (AMQP cannot count them). So a depth of 0 does
        not prove a drain: what the consumers have recorded does.
        """
        ...

    def dead_letters(self, recipients: Sequence[str]) -> list[DeadLetter]:
        """The dead letters, left where they are; at most DEAD_LETTERS_SHOWN_MAX a recipient."""
        ...
