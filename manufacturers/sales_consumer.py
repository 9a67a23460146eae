"""Messages of the distributor -> ledger, in a thread of its own, for all manufacturers of the process.

C1  A message is acknowledged only after its event and its effect were committed together (the handler returned).
C2  A message that can never be applied is Poison, with the reason; the ledger is unchanged.
C3  Any other failure (ledger busy, disk full) leaves the message with the broker, which delivers it again.
"""

import logging
import threading
from collections.abc import Callable, Mapping

from prometheus_client import Counter

from broker.contract import Consumer, Handler, Message, Poison
from manufacturers.ledger import Books, EventRefused, StockDepleted
from manufacturers.messages import READERS, InvalidMessage, check

logger = logging.getLogger(__name__)


def make_handler(books: Mapping[str, Books], events: Counter, on_depleted: Callable[[str, str], None]) -> Handler:
    """The function that applies one message. ``on_depleted`` (code, sku) may be called from any thread."""

    def apply(message: Message) -> None:
        kind = message.type if message.type in READERS else "unknown"
        try:
            if message.recipient not in books:
                msg = f"recipient: {message.recipient!r} is not a manufacturer of this process"
                raise InvalidMessage(msg)
            ledger = books[message.recipient]
            event = check(message, message.recipient, ledger.skus)
            new = ledger.take_in(event)
        except (InvalidMessage, EventRefused) as error:
            events.labels(kind, "poison").inc()
            logger.error("message %s for %s is refused: %s", message.id, message.recipient, error)
            raise Poison(str(error)) from error
        events.labels(kind, "applied" if new else "duplicate").inc()
        if new and isinstance(event.content, StockDepleted):
            on_depleted(message.recipient, event.content.sku)

    return apply


class ConsumerThread(threading.Thread):
    """Runs the broker's consumer until it is stopped; calls ``on_failure`` should it end by itself."""

    def __init__(self, consumer: Consumer, handler: Handler, on_failure: Callable[[], None]) -> None:
        super().__init__(name="sales-consumer", daemon=True)
        self._consumer = consumer
        self._handler = handler
        self._on_failure = on_failure
        self._stop_asked = threading.Event()

    def run(self) -> None:
        try:
            self._consumer.run(self._handler, self._stop_asked)
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
