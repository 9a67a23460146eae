"""Queues from before names carried the installation: m.<code> and m.<code>.dead, bound to cds.events.

M1  On a node of our own nobody else can have made them: what waits there is carried over to the queues of today, and they
    are deleted. Each message is confirmed in its new place before it leaves the old one; a crash doubles it (B5).
M2  One process at a time does it: it holds an exclusive queue, which dies with its connection.
M3  On anybody else's broker they may be another system's, so they are left alone, and named in the log if they are not empty.
"""

import logging
from collections.abc import Sequence

import pika
from pika.exceptions import ChannelClosedByBroker

from broker.rabbitmq.topology import Names, count

EVENTS = "cds.events"
ACCESS_REFUSED, RESOURCE_LOCKED = 403, 405
DELIVERIES_HEADER = "x-delivery-count"  # the new queue begins to count anew

log = logging.getLogger(__name__)


def queue_of(recipient: str) -> str:
    return f"m.{recipient}"


def carry_over(connection: pika.BlockingConnection, recipients: Sequence[str], names: Names) -> None:
    """M1; the queues of today exist."""
    found = [recipient for recipient in recipients if count(connection, queue_of(recipient)) is not None]
    if not found or not _is_ours_to_do(connection, names):
        return
    for recipient in found:
        live = queue_of(recipient)
        dead = f"{live}.dead"
        _move(connection, dead, names.dead_of(recipient))
        _move(
            connection, live, names.queue_of(recipient)
        )  # the last, for it is what tells that there is something to do
    channel = connection.channel()
    channel.exchange_delete(EVENTS)
    channel.close()


def _is_ours_to_do(connection: pika.BlockingConnection, names: Names) -> bool:
    """M2."""
    channel = connection.channel()
    try:
        channel.queue_declare(f"{names.prefix}carrying-over", exclusive=True)
    except ChannelClosedByBroker as error:
        if error.reply_code != RESOURCE_LOCKED:
            raise
        return False
    channel.close()
    return True


def _move(connection: pika.BlockingConnection, old: str, new: str) -> None:
    """All messages, then the queue, and the exchange that is called like it, if there is one."""
    if count(connection, old) is None:
        return
    channel = connection.channel()
    channel.confirm_delivery()
    moved = 0
    while True:
        method, properties, raw = channel.basic_get(old)
        if method is None or properties is None or method.delivery_tag is None:
            break
        (properties.headers or {}).pop(DELIVERIES_HEADER, None)
        channel.basic_publish("", new, raw or b"", properties, mandatory=True)
        channel.basic_ack(method.delivery_tag)
        moved += 1
    channel.queue_delete(old)
    channel.exchange_delete(old)
    channel.close()
    log.warning("queue %s is called %s now; %d messages were carried over", old, new, moved)


def name_what_is_left(connection: pika.BlockingConnection, recipients: Sequence[str], names: Names) -> None:
    """M3."""
    for recipient in recipients:
        old, new = queue_of(recipient), names.queue_of(recipient)
        try:
            waiting = count(connection, old)
        except ChannelClosedByBroker as error:
            if error.reply_code != ACCESS_REFUSED:
                raise
            return
        if waiting:
            log.warning(
                "queue %s, the name of %s in earlier versions, holds %d messages that nobody here reads; if they are this"
                " installation's, move them (docs/decisions/0010-two-carriers.md)",
                old,
                new,
                waiting,
            )
