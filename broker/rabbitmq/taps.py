"""The consumer's side of AMQP: one connection a user, one channel a queue, kept open by themselves.

T1  All here runs in the loop's thread, but for reading ``Delivery.stale`` and posting to the inbox.
T2  An event of a channel is posted after its Opened and before its Lost. A delivery of a lost channel is never
    acknowledged: the broker has given it to somebody else by then.
T3  A channel that was closed, by whomever, is opened again with back-off; a consumer that the broker cancelled too.
T4  A consumer that nothing came to for RENEW_SECONDS, and that has nothing in hand, is made anew: no way of going deaf
    unnoticed lasts longer. (Seen with RabbitMQ 3.10: a queue is deleted and made again within milliseconds; in one of
    fifteen trials the consumer was not cancelled, and what the new queue then delivered never arrived.)
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pika
from pika import spec

from broker.backoff import reconnect_seconds
from broker.rabbitmq.access import explain
from broker.rabbitmq.loop import Loop

LOOK_SECONDS = 10.0
RENEW_SECONDS = 120.0  # chosen: with 200 idle queues two renewals a second, of about 5 ms

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """The tap's channel is ready; nothing is delivered before `Tap.pull` or `Tap.consume`."""

    tap: "Tap"
    channel: Any = field(repr=False)


@dataclass(frozen=True)
class Lost:
    """This channel is closed; a new Opened follows some time."""

    channel: Any = field(repr=False)


@dataclass(frozen=True)
class Empty:
    """`Tap.pull` found nothing."""

    tap: "Tap"
    channel: Any = field(repr=False)


@dataclass(frozen=True)
class Delivery:
    """``failures``: how often it was delivered before without being acknowledged, as counted by the broker."""

    tap: "Tap"
    channel: Any = field(repr=False)
    tag: int
    failures: int
    pulled: bool
    properties: Any = field(repr=False)
    raw: bytes = field(repr=False)

    @property
    def stale(self) -> bool:
        return not self.channel.is_open


Event = Opened | Lost | Empty | Delivery
Post = Callable[[Event], None]


class Tap:
    """One recipient's ``queue``."""

    def __init__(self, recipient: str, queue: str, prefetch: int, post: Post) -> None:
        self.recipient = recipient
        self.queue = queue
        self._prefetch, self._post = prefetch, post
        self._link: Link | None = None
        self._channel: Any = None
        self._failures = 0
        self._in_hand: set[int] = set()  # tags
        self._asked = False  # for a message, by `pull` or `consume`, on this channel
        self._renewing = False
        self._active_at = time.monotonic()

    def open(self, link: "Link") -> None:
        if link.is_open:
            self._link = link
            link.connection.channel(on_open_callback=self._on_open)

    def _on_open(self, channel: Any) -> None:
        self._channel, self._in_hand, self._asked, self._renewing = channel, set(), False, False
        channel.add_on_close_callback(self._on_closed)
        channel.add_on_cancel_callback(lambda _: self._on_cancelled(channel))
        channel.add_callback(lambda _: self._post(Empty(self, channel)), [spec.Basic.GetEmpty], one_shot=False)
        channel.basic_qos(prefetch_count=self._prefetch, callback=lambda _: self._post(Opened(self, channel)))

    def pull(self, channel: Any) -> None:
        """Ask for one message; the answer is a Delivery or Empty, or Lost if the queue is not there."""
        if channel.is_open:
            self._asked, self._active_at = True, time.monotonic()
            channel.basic_get(self.queue, self._on_pulled)

    def consume(self, channel: Any) -> None:
        """Have messages delivered as they come, ``prefetch`` at a time."""
        if channel.is_open:
            channel.basic_consume(self.queue, self._on_message)
            if self._failures:
                log.info("queue %s: consuming again", self.queue)
            self._failures = 0

    def acknowledge(self, delivery: Delivery) -> None:
        if not delivery.stale:  # T2
            self._settle(delivery)
            delivery.channel.basic_ack(delivery.tag)

    def acknowledge_all(self, deliveries: Sequence[Delivery]) -> None:
        """Of one channel; in one go, where nothing that came before them is still in hand."""
        last = max(delivery.tag for delivery in deliveries)
        if deliveries[0].stale:  # T2
            return
        for delivery in deliveries:
            self._settle(delivery)
        if any(tag <= last for tag in self._in_hand):
            for delivery in deliveries:
                delivery.channel.basic_ack(delivery.tag)
        else:
            deliveries[0].channel.basic_ack(last, multiple=True)

    def reject(self, delivery: Delivery, *, requeue: bool) -> None:
        """basic.reject, for since RabbitMQ 4.3 basic.nack no longer counts as a failed delivery."""
        if not delivery.stale:  # T2
            self._settle(delivery)
            delivery.channel.basic_reject(delivery.tag, requeue=requeue)

    def _on_pulled(self, channel: Any, method: Any, properties: Any, raw: bytes) -> None:
        self._on_delivery(Delivery(self, channel, method.delivery_tag, _failures(properties), True, properties, raw))

    def _on_message(self, channel: Any, method: Any, properties: Any, raw: bytes) -> None:
        self._on_delivery(Delivery(self, channel, method.delivery_tag, _failures(properties), False, properties, raw))

    def _on_delivery(self, delivery: Delivery) -> None:
        self._in_hand.add(delivery.tag)
        self._active_at = time.monotonic()
        self._post(delivery)

    def _settle(self, delivery: Delivery) -> None:
        self._in_hand.discard(delivery.tag)
        self._active_at = time.monotonic()

    def _on_cancelled(self, channel: Any) -> None:
        """The queue was deleted; the broker leaves the channel open, without a consumer."""
        if channel.is_open:
            channel.close(0, "the broker cancelled the consumer")

    def look(self) -> None:
        """T4."""
        idle = self._asked and not self._in_hand and time.monotonic() - self._active_at >= RENEW_SECONDS
        if idle and self._channel.is_open:
            self._renewing = True
            self._channel.close(0, "nothing came; made anew to be sure")

    def _on_closed(self, channel: Any, error: Exception) -> None:
        self._post(Lost(channel))
        link = self._link
        if link is None or not link.is_open:  # the link opens all its taps when it is back
            return
        if self._renewing:
            self.open(link)
            return
        self._failures += 1
        if self._failures == 1:
            log.warning("queue %s: channel closed, opening it again: %s", self.queue, explain(error))
        link.later(reconnect_seconds(self._failures, random.random()), lambda: self.open(link))  # noqa: S311 - spread


class Link:
    """One user's connection with the taps on it."""

    def __init__(self, loop: Loop, parameters: pika.ConnectionParameters, taps: list[Tap], name: str) -> None:
        self.connection: Any = None
        self._loop, self._parameters, self._taps, self._name = loop, parameters, taps, name
        self._failures = 0
        self._closing = False

    def start(self) -> None:
        self.open()
        self.later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        if not self._closing:
            for tap in self._taps if self.is_open else []:
                tap.look()
            self.later(LOOK_SECONDS, self._look)

    @property
    def is_open(self) -> bool:
        return self.connection is not None and self.connection.is_open and not self._closing

    @property
    def is_over(self) -> bool:
        """Closed for good: `close` was called and answered."""
        return self._closing and (self.connection is None or self.connection.is_closed)

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        self._loop.ioloop.call_later(seconds, function)

    def open(self) -> None:
        if self._closing:
            return
        self.connection = pika.SelectConnection(
            self._parameters,
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_gone,
            on_close_callback=self._on_gone,
            custom_ioloop=self._loop.ioloop,
        )

    def _on_open(self, _connection: Any) -> None:
        if self._failures:
            log.info("%s: connected to RabbitMQ again", self._name)
        self._failures = 0
        for tap in self._taps:
            tap.open(self)

    def _on_gone(self, _connection: Any, error: Exception) -> None:
        if self._closing:
            return
        self._failures += 1
        if self._failures == 1:
            log.warning("%s: no connection to RabbitMQ, trying again: %s", self._name, explain(error))
        self.later(reconnect_seconds(self._failures, random.random()), self.open)  # noqa: S311 - spread

    def close(self) -> None:
        """The broker takes back what was delivered and not acknowledged."""
        self._closing = True
        if self.connection is not None and not (self.connection.is_closing or self.connection.is_closed):
            self.connection.close()


def _failures(properties: Any) -> int:
    count = (properties.headers or {}).get("x-delivery-count", 0)
    return int(count) if isinstance(count, int) else 0
