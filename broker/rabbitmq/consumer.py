"""Consuming: deliveries from the loop's thread, handled one at a time in the caller's.

C1  A delivery is acknowledged only after its handler returned, or after its dead letter was confirmed.
C2  The broker counts deliveries, not beginnings of work: a process that dies returns all it had in hand, and all of
    them count. So after each (re)connection, messages that were delivered before are pulled one at a time, nothing else
    pulled beside them, until the head of each queue is fresh; only then the queue is consumed with prefetch. A message
    that kills the process thereby dies alone, and the innocent beside it lose one attempt, not all.
C3  What the handler raised is returned to the broker only after a delay, so that a short fault does not use up all
    attempts. The last attempt's error is the dead letter's reason.
C4  With the connection lost, nothing is acknowledged on the new one that came on the old one.
C5  Messages that were never delivered before, of one queue, are given to ``together`` at once, if the handler has one. When
    that fails each of them is handled by itself, as if it had not been tried.
"""

import functools
import heapq
import itertools
import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from broker.backoff import reconnect_seconds, redelivery_seconds
from broker.contract import Handler, Message, Poison, Together
from broker.envelope import CONTENT_TYPE, decode, storable
from broker.rabbitmq.access import Access
from broker.rabbitmq.loop import Loop
from broker.rabbitmq.sender import Letter, Sender
from broker.rabbitmq.taps import Delivery, Empty, Event, Link, Lost, Opened, Tap
from broker.rabbitmq.topology import REASON_HEADER

STOP_SECONDS_MAX = 0.25  # how late a stop may be noticed; chosen: four wake-ups a second cost nothing measurable
CLOSE_SECONDS_MAX = 2.0
PREFETCH = 10  # enough to hide the round trip behind the handler (C2 is why not more)
PREFETCH_TOGETHER = 200  # the more are handled together, the less each of them costs; measured up to this
# How long the first one waits for others; a commit takes a manufacturer about as long on a slow disk.
LINGER_SECONDS = 0.02

log = logging.getLogger(__name__)


class RabbitConsumer:
    """See `broker.contract.Consumer`. Queues of one user share a connection."""

    def __init__(self, access: Access, recipients: Sequence[str]) -> None:
        self._access = access
        self._recipients = list(dict.fromkeys(recipients))

    def run(self, handler: Handler, stop: threading.Event, together: Together | None = None) -> None:
        failures = 0
        while not stop.is_set():
            shift = _Shift(self._access, self._recipients, handler, together)
            try:
                shift.work(stop)
            finally:
                shift.close()
            if not stop.is_set():  # the loop's thread ended, which it has logged
                failures += 1
                stop.wait(reconnect_seconds(failures, random.random()))  # noqa: S311 - spread


class _Shift:
    """One life of the loop's thread: all links, taps, and what is in hand. All but the taps' work: the caller's thread."""

    def __init__(self, access: Access, recipients: Sequence[str], handler: Handler, together: Together | None) -> None:
        self._access, self._handler, self._together = access, handler, together
        self._attempts_max = access.settings.delivery_attempts_max
        self._inbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._ahead: Event | None = None  # was taken from the inbox, but does not go together with those before it
        self._to_pull: deque[Opened] = deque()
        self._pulling: Any = None  # the one channel on which a pull is under way
        self._delayed: list[tuple[float, int, Delivery]] = []  # heap: when to return it
        self._order = itertools.count()
        self._undertaker: tuple[str, Sender] | None = None
        self._loop = Loop("consumer")
        self._links = self._make_links(recipients)
        for link in self._links:
            self._loop.call(link.start)

    def _make_links(self, recipients: Sequence[str]) -> list[Link]:
        prefetch = PREFETCH if self._together is None else PREFETCH_TOGETHER
        if self._attempts_max < 3:  # C2: the innocent must be able to lose one attempt
            prefetch = 1
        of_user: dict[str | None, list[Tap]] = {}
        for recipient in recipients:
            tap = Tap(recipient, self._access.names.queue_of(recipient), prefetch, self._inbox.put)
            of_user.setdefault(self._access.user_for(recipient), []).append(tap)
        return [
            Link(self._loop, self._access.parameters(user, "consumer"), taps, f"consumer of {taps[0].queue}")
            for user, taps in of_user.items()
        ]

    def work(self, stop: threading.Event) -> None:
        while self._loop.alive and not stop.is_set():
            timeout = self._return_delayed()
            event, self._ahead = self._ahead, None
            if event is None:
                try:
                    event = self._inbox.get(timeout=timeout)
                except queue.Empty:
                    continue
            self._on_event(event)

    def _on_event(self, event: Event) -> None:
        match event:
            case Opened():
                self._to_pull.append(event)
            case Lost(channel):
                self._to_pull = deque(opened for opened in self._to_pull if opened.channel is not channel)
                if self._pulling is channel:
                    self._pulling = None
            case Empty(tap, channel):
                self._end_pulling(tap, channel)
            case Delivery():
                self._on_delivery(event)
        if self._pulling is None and self._to_pull:
            opened = self._to_pull.popleft()
            self._pulling = opened.channel
            self._loop.call(lambda: opened.tap.pull(opened.channel))

    def _on_delivery(self, delivery: Delivery) -> None:
        if delivery.stale:  # C4; it comes again, so its work would only be done twice
            return
        if self._together is not None and _is_fresh(delivery):
            self._handle_together(self._together, self._gathered(delivery))
            return
        self._handle(delivery)
        if delivery.pulled and delivery.failures:
            self._loop.call(lambda: delivery.tap.pull(delivery.channel))  # C2: the next one may be redelivered too
        elif delivery.pulled:
            self._end_pulling(delivery.tap, delivery.channel)

    def _gathered(self, first: Delivery) -> list[Delivery]:
        """The first one and those of its queue that come within a moment (C5)."""
        gathered = [first]
        deadline = time.monotonic() + LINGER_SECONDS
        while len(gathered) < PREFETCH_TOGETHER:
            try:
                event = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if not (isinstance(event, Delivery) and event.channel is first.channel and _is_fresh(event)):
                self._ahead = event
                break
            gathered.append(event)
        return gathered

    def _handle_together(self, together: Together, deliveries: list[Delivery]) -> None:
        """Whatever goes wrong, each message of its own shows what it was (C5)."""
        try:
            together([_message(delivery) for delivery in deliveries])
        except Exception:  # noqa: BLE001 - told by whoever is handled by itself
            for delivery in deliveries:
                self._handle(delivery)
        else:
            tap = deliveries[0].tap
            self._loop.call(lambda: tap.acknowledge_all(deliveries))

    def _end_pulling(self, tap: Tap, channel: Any) -> None:
        if self._pulling is channel:
            self._pulling = None
            self._loop.call(lambda: tap.consume(channel))

    def _handle(self, delivery: Delivery) -> None:
        if delivery.failures >= self._attempts_max:  # the queue was declared with a higher limit
            self._bury(delivery, f"delivered {delivery.failures} times without being acknowledged")
            return
        try:
            self._handler(_message(delivery))
        except Poison as poison:
            self._bury(delivery, str(poison))
        except Exception as error:  # noqa: BLE001 - a handler may raise anything: it is logged and tried again (C3)
            self._on_failure(delivery, error)
        else:
            self._loop.call(lambda: delivery.tap.acknowledge(delivery))

    def _on_failure(self, delivery: Delivery, error: Exception) -> None:
        attempt = delivery.failures + 1
        log.warning("queue %s: attempt %d failed", delivery.tap.queue, attempt, exc_info=error)
        if attempt >= self._attempts_max:
            self._bury(delivery, f"failed {attempt} times, the last time with {error!r}")
            return
        due = time.monotonic() + redelivery_seconds(attempt, self._access.settings.redelivery_delay_ms / 1_000)
        heapq.heappush(self._delayed, (due, next(self._order), delivery))

    def _return_delayed(self) -> float:
        """Give back what is due (C3); how long to wait at most for the next event."""
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            _, _, delivery = heapq.heappop(self._delayed)
            self._loop.call(functools.partial(delivery.tap.reject, delivery, requeue=True))
        return min(STOP_SECONDS_MAX, self._delayed[0][0] - now) if self._delayed else STOP_SECONDS_MAX

    def _bury(self, delivery: Delivery, reason: str) -> None:
        """Put it among the dead letters with the reason; if that fails, let the broker do it without the words."""
        log.error("queue %s: dead letter: %s", delivery.tap.queue, reason)
        headers = {REASON_HEADER: storable(reason)}
        properties = {"message_id": delivery.properties.message_id, "headers": headers}
        (outcome,) = self._sender_for(delivery.tap.recipient).send([Letter("", delivery.raw, properties)])
        if outcome is None:
            self._loop.call(lambda: delivery.tap.acknowledge(delivery))
            return
        log.warning("queue %s: the reason cannot be kept with the dead letter: %s", delivery.tap.queue, outcome)
        self._loop.call(lambda: delivery.tap.reject(delivery, requeue=False))

    def _sender_for(self, recipient: str) -> Sender:
        """A publishing connection of its own, for an alarm blocks those; made when first needed, one at a time."""
        if self._undertaker is None or self._undertaker[0] != recipient:
            if self._undertaker is not None:
                self._undertaker[1].close()
            exchange = self._access.names.dead_of(recipient)
            sender = Sender(self._access, self._access.user_for(recipient), exchange, "dead letters")
            self._undertaker = (recipient, sender)
        return self._undertaker[1]

    def close(self) -> None:
        """End the connections in order: acknowledgements that are under way go out first."""
        if self._undertaker is not None:
            self._undertaker[1].close()
        for link in self._links:
            self._loop.call(link.close)
        deadline = time.monotonic() + CLOSE_SECONDS_MAX
        over = threading.Event()
        while self._loop.call(lambda: over.set() if all(link.is_over for link in self._links) else None):
            if over.wait(0.01) or time.monotonic() > deadline:
                break
        self._loop.close()


def _is_fresh(delivery: Delivery) -> bool:
    return not delivery.pulled and not delivery.failures and not delivery.stale


def _message(delivery: Delivery) -> Message:
    """Raises Poison for what no publisher of ours can have sent."""
    properties = delivery.properties
    if properties.content_type != CONTENT_TYPE or properties.content_encoding:
        raise Poison(f"content type: must be {CONTENT_TYPE}, is {ascii(properties.content_type)[:100]}")
    message = decode(delivery.raw, delivery.tap.recipient)
    if properties.message_id != str(message.id):
        raise Poison("message_id: is not that of the envelope")
    return message
