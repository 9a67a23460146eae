"""The thread in which pika works.

L1  Only the loop's thread touches pika's connections and channels; others hand it functions (`call`).
L2  A function that raises ends the loop, never silently: it is logged, and ``alive`` is false from then on.
"""

import logging
import threading
from collections.abc import Callable

from pika.adapters.select_connection import IOLoop

JOIN_SECONDS_MAX = 5.0

log = logging.getLogger(__name__)


class Loop:
    """Waits for sockets and timers; sleeps while nothing happens."""

    def __init__(self, name: str) -> None:
        self.ioloop = IOLoop()
        self._lock = threading.Lock()
        self._open = True
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._open and self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.ioloop.start()
        except Exception:  # L2: whatever pika or a broken frame raised, the owner starts afresh
            log.exception("the RabbitMQ thread %s failed; its connections are made anew", self._thread.name)
        with self._lock:
            self._open = False
            self.ioloop.close()

    def call(self, function: Callable[[], object]) -> bool:
        """Have ``function`` called soon in the loop's thread; False if the loop has ended."""
        with self._lock:
            if self._open:
                self.ioloop.add_callback_threadsafe(function)
            return self._open

    def close(self) -> None:
        self.call(self.ioloop.stop)
        self._thread.join(JOIN_SECONDS_MAX)
