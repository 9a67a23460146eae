"""Publishing with confirms: many letters in one go, every outcome known or told unknown within a deadline.

S1  A letter counts as sent only after the broker's ack, and only if it was not returned as unroutable before.
S2  ``send`` ends within ``confirm_timeout_seconds`` plus the time to connect, whatever the broker does.
S3  After a timeout the connection is given up: a late confirm cannot be taken for another letter's.

The letters of a batch are sent without waiting for one another: one round trip and one sync of the broker's log for
many letters instead of one each. pika's blocking channel cannot do that, nor can it end a wait for a confirm.
"""

import itertools
import logging
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pika
from pika import spec

from broker.backoff import reconnect_seconds
from broker.contract import BrokerError, Rejected, Unavailable, Unroutable
from broker.rabbitmq.access import Access, explain
from broker.rabbitmq.loop import Loop

CLOSE_SECONDS_MAX = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Letter:
    """One message as AMQP carries it."""

    routing_key: str
    raw: bytes
    properties: dict[str, Any]


@dataclass
class _Batch:
    """Letters under way. Written by the loop's thread until ``done`` is set, read by the sender's afterwards."""

    letters: Sequence[Letter]
    outcomes: dict[int, BrokerError | None] = field(default_factory=dict)
    returned: dict[int, str] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)

    def settle(self, index: int, outcome: BrokerError | None) -> None:
        self.outcomes.setdefault(index, outcome)
        if len(self.outcomes) == len(self.letters):
            self.done.set()

    def fail(self, reason: str) -> None:
        for index in range(len(self.letters)):
            self.settle(index, Unavailable(reason))


class _Session:
    """One connection with one channel in confirm mode, from opening to its end; all in the loop's thread but the waits."""

    def __init__(self, loop: Loop, parameters: pika.ConnectionParameters, exchange: str) -> None:
        self.opened_or_over = threading.Event()
        self.ended = threading.Event()
        self.over: str | None = None
        self._loop, self._parameters, self._exchange = loop, parameters, exchange
        self._connection: Any = None
        self._channel: Any = None
        self._batch: _Batch | None = None
        self._tags: dict[int, int] = {}  # delivery tag -> index in the batch
        self._last_tag = 0

    def open(self) -> None:
        self._connection = pika.SelectConnection(
            self._parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
            on_open_error_callback=lambda _, error: self._on_end(error),
            on_close_callback=lambda _, error: self._on_end(error),
            custom_ioloop=self._loop.ioloop,
        )

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self.opened_or_over.set())

    def send(self, batch: _Batch) -> None:
        if self.over is not None:
            batch.fail(self.over)
            return
        self._batch, self._tags = batch, {}
        for index, letter in enumerate(batch.letters):
            self._last_tag += 1
            self._tags[self._last_tag] = index
            properties = pika.BasicProperties(
                delivery_mode=pika.DeliveryMode.Persistent, correlation_id=str(index), **letter.properties
            )
            self._channel.basic_publish(self._exchange, letter.routing_key, letter.raw, properties, mandatory=True)

    def _on_return(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        """Comes before the ack of the same letter."""
        if self._batch is not None:
            self._batch.returned[int(properties.correlation_id)] = f"{method.reply_text}: {method.routing_key}"

    def _on_confirm(self, frame: Any) -> None:
        tag = frame.method.delivery_tag
        # tags were noted in ascending order
        tags = list(itertools.takewhile(tag.__ge__, self._tags)) if frame.method.multiple else [tag]
        batch = self._batch
        for confirmed in tags:
            index = self._tags.pop(confirmed, None)
            if batch is None or index is None:
                continue
            if isinstance(frame.method, spec.Basic.Nack):
                batch.settle(
                    index, Rejected("its queue did not take the message (nack): it is full, or cannot store it")
                )
            elif index in batch.returned:
                batch.settle(index, Unroutable(batch.returned[index]))
            else:
                batch.settle(index, None)

    def _on_channel_closed(self, _channel: Any, error: Exception) -> None:
        self._on_over(error)
        if self._connection.is_open:
            self._connection.close()

    def _on_end(self, error: Exception) -> None:
        self._on_over(error)
        self.ended.set()

    def _on_over(self, error: Exception) -> None:
        self.over = self.over or f"RabbitMQ: {explain(error)}"
        if self._batch is not None:
            self._batch.fail(self.over)
        self.opened_or_over.set()

    def give_up(self, reason: str) -> None:
        self._on_over(TimeoutError(reason))
        if self._connection is not None and not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()


class Sender:
    """Sends to one exchange as one user. Used by one thread; connects at the first letter and after each failure."""

    def __init__(self, access: Access, user: str | None, exchange: str, purpose: str) -> None:
        self._parameters = access.parameters(user, purpose)
        self._exchange, self._purpose = exchange, purpose
        self._confirm_seconds = access.settings.confirm_timeout_seconds
        self._loop: Loop | None = None
        self._session: _Session | None = None
        self._failures = 0
        self._not_before = 0.0

    def send(self, letters: Sequence[Letter]) -> list[BrokerError | None]:
        """Each letter's outcome, in order; Unavailable means that it may or may not have arrived."""
        if not letters:
            return []
        batch = _Batch(letters)
        try:
            session, loop = self._connected()
        except Unavailable as error:
            return [error] * len(letters)
        if not loop.call(lambda: session.send(batch)):
            batch.fail("RabbitMQ: the connection's thread has ended")
        if not batch.done.wait(self._confirm_seconds):
            self._drop(f"not confirmed within {self._confirm_seconds:g} s")
            # the loop's thread fails the batch; should that thread itself be stuck, what is not settled is unknown
            batch.done.wait(CLOSE_SECONDS_MAX)
        unknown = Unavailable(f"not confirmed within {self._confirm_seconds:g} s")
        return [batch.outcomes.get(index, unknown) for index in range(len(letters))]

    def _connected(self) -> tuple[_Session, Loop]:
        """The open session; raises Unavailable, at once while the back-off after a failure lasts."""
        if self._session is not None and self._loop is not None and self._loop.alive and self._session.over is None:
            return self._session, self._loop
        if time.monotonic() < self._not_before:
            raise Unavailable("RabbitMQ cannot be reached; the next attempt follows in a moment")
        if self._loop is None or not self._loop.alive:
            self._loop = Loop(self._purpose)
        session = self._session = _Session(self._loop, self._parameters, self._exchange)
        self._loop.call(session.open)
        if not session.opened_or_over.wait(self._parameters.stack_timeout):
            self._drop("not connected in time")
        if session.over is None and session.opened_or_over.is_set():
            self._note_connected()
            return session, self._loop
        raise Unavailable(self._note_failed(session.over or "RabbitMQ: not connected in time"))

    def _note_connected(self) -> None:
        if self._failures:
            log.info("%s: connected to RabbitMQ again", self._purpose)
        self._failures = 0

    def _note_failed(self, reason: str) -> str:
        self._failures += 1
        self._not_before = time.monotonic() + reconnect_seconds(self._failures, random.random())  # noqa: S311 - spread
        if self._failures == 1:
            log.warning("%s: cannot connect: %s", self._purpose, reason)
        return reason

    def _drop(self, reason: str) -> None:
        session, self._session = self._session, None
        if session is not None and self._loop is not None:
            self._loop.call(lambda: session.give_up(reason))

    def close(self) -> None:
        session, loop = self._session, self._loop
        self._drop("closed")
        if session is not None:
            session.ended.wait(CLOSE_SECONDS_MAX)
        if loop is not None:
            loop.close()
        self._loop = None
