"""The carrier: declares, publishes, hands out consumers, counts, shows dead letters."""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from broker.contract import (
    DEAD_LETTERS_SHOWN_MAX,
    BrokerError,
    DeadLetter,
    Message,
    Rejected,
    Unavailable,
    Unroutable,
)
from broker.envelope import CONTENT_TYPE, encode
from broker.rabbitmq import earlier_names, topology
from broker.rabbitmq.access import Access, explain
from broker.rabbitmq.consumer import RabbitConsumer
from broker.rabbitmq.sender import Letter, Sender


class RabbitCarrier:
    """See `broker.contract.Carrier`."""

    def __init__(self, access: Access, settle_seconds: float = topology.NEW_QUEUE_SETTLE_SECONDS) -> None:
        """``settle_seconds``: how long `declare` waits after it made a queue, for what is confirmed must be durable."""
        self._access, self._settle_seconds = access, settle_seconds

    def declare(self, recipients: Sequence[str]) -> None:
        with self._connection("declare") as connection:
            made = topology.declare(connection, recipients, self._access.settings, self._access.names)
            if self._access.passwords is None:
                earlier_names.name_what_is_left(connection, recipients, self._access.names)
        if made:
            time.sleep(self._settle_seconds)
        if self._access.passwords is not None:  # only now: what is carried over must find its queue on the disk
            with self._connection("carry over") as connection:
                earlier_names.carry_over(connection, recipients, self._access.names)

    def publisher(self) -> "RabbitPublisher":
        return RabbitPublisher(Sender(self._access, self._access.user, self._access.names.events, "publisher"))

    def consumer(self, recipients: Sequence[str]) -> RabbitConsumer:
        return RabbitConsumer(self._access, recipients)

    def depth(self, recipients: Sequence[str]) -> dict[str, int]:
        with self._connection("depth") as connection:
            return {
                recipient: topology.count(connection, self._access.names.queue_of(recipient)) or 0
                for recipient in recipients
            }

    def dead_letters(self, recipients: Sequence[str]) -> list[DeadLetter]:
        with self._connection("dead letters") as connection:
            return [letter for recipient in recipients for letter in _browse(connection, recipient, self._access.names)]

    @contextmanager
    def _connection(self, purpose: str) -> Iterator[pika.BlockingConnection]:
        """A short-lived connection; a silent broker is given up when heartbeats are missed."""
        try:
            connection = pika.BlockingConnection(self._access.parameters(self._access.user, purpose))
        except (AMQPError, OSError) as error:
            raise Unavailable(f"RabbitMQ: {explain(error)}") from error
        try:
            yield connection
        except (AMQPError, OSError) as error:
            raise Unavailable(f"RabbitMQ: {explain(error)}") from error
        finally:
            if connection.is_open:
                connection.close()


class RabbitPublisher:
    """See `broker.contract.Publisher`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def publish(self, messages: Sequence[Message]) -> dict[uuid.UUID, BrokerError | None]:
        outcomes: dict[uuid.UUID, BrokerError | None] = {}
        letters: list[Letter] = []
        sent: list[uuid.UUID] = []
        for message in messages:
            try:
                raw = encode(message)
            except (Unroutable, Rejected) as error:
                outcomes[message.id] = error
                continue
            properties = {"message_id": str(message.id), "type": message.type, "content_type": CONTENT_TYPE}
            letters.append(Letter(message.recipient, raw, properties))
            sent.append(message.id)
        for identity, outcome in zip(sent, self._sender.send(letters), strict=True):
            outcomes[identity] = outcomes.get(identity) or outcome
        return outcomes

    def close(self) -> None:
        self._sender.close()


def _browse(connection: pika.BlockingConnection, recipient: str, names: topology.Names) -> Iterator[DeadLetter]:
    """Take without acknowledging; closing the channel puts all back in their places."""
    channel = connection.channel()
    try:
        for _ in range(DEAD_LETTERS_SHOWN_MAX):
            method, properties, raw = channel.basic_get(names.dead_of(recipient))
            if method is None or properties is None:
                break
            yield DeadLetter(recipient, properties.message_id or "", _reason(properties), bytes(raw or b""))
    except ChannelClosedByBroker as error:
        if error.reply_code != topology.NOT_FOUND:
            raise
    finally:
        if channel.is_open:
            channel.close()


def _reason(properties: Any) -> str:
    """The consumer's words where it had any; else why the broker itself put the message aside."""
    headers: dict[str, Any] = properties.headers or {}
    if topology.REASON_HEADER in headers:
        return str(headers[topology.REASON_HEADER])
    death = str(headers.get("x-first-death-reason", "unknown"))
    if death == "delivery_limit":
        return "delivered too often without being acknowledged: the consumer died or lost its connection each time"
    return f"dead-lettered by the broker: {death}"
