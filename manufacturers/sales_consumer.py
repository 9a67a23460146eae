"""Messages of the distributor -> ledger, in a thread of its own, for all manufacturers of the process.

C1  A message is acknowledged only after its event and its effect were committed together (the handler returned).
C2  A message that can never be applied is Poison, with the reason; the ledger is unchanged.
C3  Any other failure (ledger busy, disk full) leaves the message with the broker, which delivers it again.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import Counter

from broker.contract import Consumer, Message, Poison
from manufacturers.ledger import Books, Event, EventRefused, StockDepleted
from manufacturers.messages import READERS, InvalidMessage, check

logger = logging.getLogger(__name__)


class Intake:
    """Applies what the broker delivers. ``on_depleted`` (code, sku) may be called from any thread."""

    def __init__(self, books: Mapping[str, Books], events: Counter, on_depleted: Callable[[str, str], None]) -> None:
        self._books = books
        self._events = events
        self._on_depleted = on_depleted

    def one(self, message: Message) -> None:
        """Raises Poison (C2)."""
        try:
            event = self._checked(message)
            new = self._books[message.recipient].take_in(event)
        except (InvalidMessage, EventRefused) as error:
            self._events.labels(_kind(message), "poison").inc()
            logger.error("message %s for %s is refused: %s", message.id, message.recipient, error)
            raise Poison(str(error)) from error
        self._note(message, event, new=new)

    def many(self, messages: Sequence[Message]) -> None:
        """Messages of one recipient, in one commit. Raises without a trace if one of them is wrong."""
        events = [self._checked(message) for message in messages]
        taken = self._books[messages[0].recipient].take_in_all(events)
        for message, event, new in zip(messages, events, taken, strict=True):
            self._note(message, event, new=new)

    def _checked(self, message: Message) -> Event:
        if message.recipient not in self._books:
            msg = f"recipient: {message.recipient!r} is not a manufacturer of this process"
            raise InvalidMessage(msg)
        return check(message, message.recipient, self._books[message.recipient].skus)

    def _note(self, message: Message, event: Event, *, new: bool) -> None:
        self._events.labels(_kind(message), "applied" if new else "duplicate").inc()
        if new and isinstance(event.content, StockDepleted):
            self._on_depleted(message.recipient, event.content.sku)


def _kind(message: Message) -> str:
    return message.type if message.type in READERS else "unknown"


class ConsumerThread(threading.Thread):
    """Runs the broker's consumer until it is stopped; calls ``on_failure`` should it end by itself."""

    def __init__(self, consumer: Consumer, intake: Intake, on_failure: Callable[[], None]) -> None:
        super().__init__(name="sales-consumer", daemon=True)
        self._consumer = consumer
        self._intake = intake
        self._on_failure = on_failure
        self._stop_asked = threading.Event()

    def run(self) -> None:
        try:
            self._consumer.run(self._intake.one, self._stop_asked, self._intake.many)
        except Exception:
            logger.exception("the consumer of sales failed")
        if not self._stop_asked.is_set():
            self._on_failure()

    def stop(self, seconds: float) -> None:
        """Ask it to stop, and wait; a message that is in work then is delivered again if it was not committed (C1)."""
        self._stop_asked.set()
        self.join(seconds)
        if self.is_alive():
            logger.warning("the consumer of sales did not stop within %s s", seconds)
