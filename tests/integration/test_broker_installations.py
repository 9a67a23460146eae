"""Two installations on one RabbitMQ, and what waits in queues whose names are from before there could be two."""

import logging
import uuid
from collections.abc import Iterator

import pika
import pytest

from broker import STOCK_DEPLETED, Carrier, Message
from broker.envelope import CONTENT_TYPE, encode
from broker.rabbitmq import Access, Names, RabbitCarrier, earlier_names
from broker.rabbitmq.topology import REASON_HEADER
from settings.model import Broker
from tests.broker_world import Consuming
from tests.conftest import BrokerNode, wait_until


def carrier(node: BrokerNode, names: Names, *, ours: bool = False) -> RabbitCarrier:
    access = Access(node.url(), Broker(), names, node.passwords if ours else None, "admin")
    return RabbitCarrier(access, settle_seconds=0.0)


def publish(to: Carrier, *messages: Message) -> None:
    publisher = to.publisher()
    assert not any(publisher.publish(messages).values())
    publisher.close()


@pytest.fixture
def recipient() -> str:
    return uuid.uuid4().hex[:8]


@pytest.fixture
def amqp(rabbitmq_node: BrokerNode, recipient: str) -> Iterator[pika.BlockingConnection]:
    """A connection of the administrator; old queues of the recipient are gone afterwards."""
    with pika.BlockingConnection(pika.URLParameters(rabbitmq_node.url())) as connection:
        yield connection
        for queue in (f"m.{recipient}", f"m.{recipient}.dead"):
            connection.channel().queue_delete(queue)


def old_queues(amqp: pika.BlockingConnection, recipient: str, *waiting: Message, dead: int = 0) -> None:
    """As earlier versions declared them, with messages."""
    channel = amqp.channel()
    channel.confirm_delivery()
    channel.exchange_declare("cds.events", "direct", durable=True)
    channel.exchange_declare(f"m.{recipient}.dead", "fanout", durable=True)
    channel.queue_declare(f"m.{recipient}", durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_declare(f"m.{recipient}.dead", durable=True)
    for message in waiting:
        properties = pika.BasicProperties(message_id=str(message.id), content_type=CONTENT_TYPE, delivery_mode=2)
        channel.basic_publish("", f"m.{recipient}", encode(message), properties, mandatory=True)
    for number in range(dead):
        properties = pika.BasicProperties(headers={REASON_HEADER: f"reason {number}"}, delivery_mode=2)
        channel.basic_publish("", f"m.{recipient}.dead", b"bad", properties, mandatory=True)


def test_two_installations_never_take_each_others_messages(rabbitmq_node: BrokerNode, recipient: str) -> None:
    """Their manufacturers have the same codes."""
    one, two = (carrier(rabbitmq_node, Names(uuid.uuid4().hex)) for _ in range(2))
    for each in (one, two):
        each.declare([recipient])
    of_one, of_two = (Message(uuid.uuid4(), STOCK_DEPLETED, recipient, {"of": of}) for of in (1, 2))
    publish(one, of_one)
    publish(two, of_two)
    assert (one.depth([recipient]), two.depth([recipient])) == ({recipient: 1}, {recipient: 1})
    with Consuming(two, [recipient]) as consuming:
        consuming.wait_for(1)
        wait_until(lambda: two.depth([recipient]) == {recipient: 0}, 20, "its own is taken")
    assert consuming.messages == [of_two]
    assert one.depth([recipient]) == {recipient: 1}
    with Consuming(one, [recipient]) as consuming:
        consuming.wait_for(1)
    assert consuming.messages == [of_one]


def test_on_a_node_of_our_own_what_waits_under_the_earlier_names_is_carried_over(
    rabbitmq_node: BrokerNode, recipient: str, amqp: pika.BlockingConnection
) -> None:
    """M1: messages and dead letters with their reasons; the second time there is nothing left to do."""
    messages = [Message(uuid.uuid4(), STOCK_DEPLETED, recipient, {"number": number}) for number in range(3)]
    old_queues(amqp, recipient, *messages, dead=2)
    ours = carrier(rabbitmq_node, Names(uuid.uuid4().hex), ours=True)
    ours.declare([recipient])
    with Consuming(ours, [recipient]) as consuming:
        consuming.wait_for(3)
    assert consuming.messages == messages
    assert [letter.reason for letter in ours.dead_letters([recipient])] == ["reason 0", "reason 1"]
    for queue in (f"m.{recipient}", f"m.{recipient}.dead"):
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
            amqp.channel().queue_declare(queue, passive=True)
    ours.declare([recipient])
    assert ours.depth([recipient]) == {recipient: 0}


def test_what_was_carried_over_half_way_is_carried_over_at_the_next_start(
    rabbitmq_node: BrokerNode, recipient: str, amqp: pika.BlockingConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M1, M2: the first one ends after the dead letters; nothing is lost by it, and its lock is gone with it."""
    message = Message(uuid.uuid4(), STOCK_DEPLETED, recipient, {})
    old_queues(amqp, recipient, message, dead=1)
    ours = carrier(rabbitmq_node, Names(uuid.uuid4().hex), ours=True)
    move = earlier_names._move
    moved: list[str] = []

    def die_after_the_first(connection: pika.BlockingConnection, old: str, new: str) -> None:
        if moved:
            raise OSError("killed")
        moved.append(old)
        move(connection, old, new)

    with monkeypatch.context() as patched, pytest.raises(Exception, match="killed"):
        patched.setattr(earlier_names, "_move", die_after_the_first)
        ours.declare([recipient])
    assert ours.depth([recipient]) == {recipient: 0}
    ours.declare([recipient])
    assert ours.depth([recipient]) == {recipient: 1}
    assert len(ours.dead_letters([recipient])) == 1


def test_on_somebody_elses_broker_the_earlier_names_are_left_alone_and_named(
    rabbitmq_node: BrokerNode, recipient: str, amqp: pika.BlockingConnection, caplog: pytest.LogCaptureFixture
) -> None:
    """M3: they may be another system's."""
    old_queues(amqp, recipient, Message(uuid.uuid4(), STOCK_DEPLETED, recipient, {}))
    theirs = carrier(rabbitmq_node, Names(uuid.uuid4().hex))
    with caplog.at_level(logging.WARNING):
        theirs.declare([recipient])
    assert theirs.depth([recipient]) == {recipient: 0}
    assert f"queue m.{recipient}," in caplog.text
    assert "holds 1 messages that nobody here reads" in caplog.text
    assert amqp.channel().queue_declare(f"m.{recipient}", passive=True).method.message_count == 1
