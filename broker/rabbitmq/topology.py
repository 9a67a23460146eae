"""Exchanges and queues, their names and what they promise. `declare` is their only maker.

    cds.<id>.events --<code>--> cds.<id>.<code> --rejected, or delivered too often--> cds.<id>.<code>.dead (exchange and queue)

<id> is the installation's (``secrets.json`` of its state folder): two of them on one broker never take each other's messages.

Events: quorum queues, the only kind that counts deliveries itself, so that a message that kills its consumer is found
out too. ``x-delivery-limit`` is always given (before RabbitMQ 4 there is no limit by default) and one less than the
attempts: the broker delivers once more than the limit says (measured on 3.10). Dead-lettering is at least once, which
needs ``reject-publish``. Dead letters: classic queues, which may be browsed without counting deliveries.

Permissions that these names ask for (configure, write, read):
    admin   .*   .*                             .*
    relay   ^$   ^cds\\.<id>\\.events$             ^$
    <code>  ^$   ^cds\\.<id>\\.<code>\\.dead$       ^cds\\.<id>\\.<code>$
A consumer publishes its dead letters itself, to add the reason; where it may not, it rejects, and the reason is only in
the log. Each recipient has a dead-letter exchange of its own, so that nobody can write among another's dead letters.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pika
from pika.exceptions import ChannelClosedByBroker

from settings.model import Broker

REASON_HEADER = "cds-reason"
# RabbitMQ answers before the definition of a new queue is on disk; if it is killed then, the queue is gone with all that
# was confirmed into it. Measured on 3.10: lost up to 0.8 s after the answer, kept from 1 s on; its log's timer is 2 s.
NEW_QUEUE_SETTLE_SECONDS = 2.5
PRECONDITION_FAILED = 406
NOT_FOUND = 404

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Names:
    """What the exchanges and queues of one installation are called."""

    installation: str

    @property
    def prefix(self) -> str:
        return f"cds.{self.installation}."

    @property
    def events(self) -> str:
        """The exchange of all messages."""
        return f"{self.prefix}events"

    def queue_of(self, recipient: str) -> str:
        return f"{self.prefix}{recipient}"

    def dead_of(self, recipient: str) -> str:
        """The dead-letter exchange and the one queue bound to it."""
        return f"{self.prefix}{recipient}.dead"


def queue_arguments(recipient: str, settings: Broker, names: Names) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": settings.delivery_attempts_max - 1,
        "x-dead-letter-exchange": names.dead_of(recipient),
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def declare(connection: pika.BlockingConnection, recipients: Sequence[str], settings: Broker, names: Names) -> bool:
    """Make everything present; True if a queue was made. One that exists with other arguments is kept, with its
    messages."""
    channel = connection.channel()
    channel.exchange_declare(names.events, "direct", durable=True)
    channel.close()
    made = [_declare_recipient(connection, recipient, settings, names) for recipient in recipients]
    return any(made)


def _declare_recipient(connection: pika.BlockingConnection, recipient: str, settings: Broker, names: Names) -> bool:
    dead, live = names.dead_of(recipient), names.queue_of(recipient)
    is_new = count(connection, live) is None
    _declare_queue(connection, dead, {"x-queue-type": "classic"})
    _declare_queue(connection, live, queue_arguments(recipient, settings, names))
    channel = connection.channel()
    channel.exchange_declare(dead, "fanout", durable=True)
    channel.queue_bind(dead, dead)
    channel.queue_bind(live, names.events, recipient)
    channel.close()
    return is_new


def _declare_queue(connection: pika.BlockingConnection, name: str, arguments: dict[str, Any]) -> None:
    channel = connection.channel()
    try:
        channel.queue_declare(name, durable=True, arguments=arguments)
    except ChannelClosedByBroker as error:
        if error.reply_code != PRECONDITION_FAILED:
            raise
        log.warning("queue %s keeps the arguments it was made with: %s", name, error.reply_text)
    else:
        channel.close()


def count(connection: pika.BlockingConnection, queue: str) -> int | None:
    """How many messages wait in the queue; None if there is no such queue."""
    channel = connection.channel()
    try:
        waiting: int = channel.queue_declare(queue, passive=True).method.message_count
    except ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return None
    channel.close()
    return waiting
