"""The private RabbitMQ node (invariants N1 to N3 of supervisor/rabbitmq.py)."""

import asyncio

import pika
import pika.exceptions
import psutil
import pytest

from supervisor.probes import amqp_alive
from tests.broker_world import NAMES
from tests.conftest import BrokerNode, free_port


def _connect(node: BrokerNode, user: str) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(node.url(user)))


def test_each_user_may_do_its_own_work_and_nothing_else(rabbitmq_node: BrokerNode) -> None:
    """N3: relay publishes to the exchange only, a manufacturer reads its own queue only."""
    with _connect(rabbitmq_node, "admin") as admin:
        channel = admin.channel()
        channel.exchange_declare(NAMES.events, "direct", durable=True)
        for code in ("m1", "m2"):
            channel.queue_delete(NAMES.queue_of(code))  # the session's other tests leave theirs, with other arguments
            channel.queue_declare(NAMES.queue_of(code), durable=True)
            channel.queue_bind(NAMES.queue_of(code), NAMES.events, code)
    with _connect(rabbitmq_node, "relay") as relay:
        channel = relay.channel()
        channel.confirm_delivery()
        channel.basic_publish(NAMES.events, "m1", b"sold", mandatory=True)
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match=r"amq\.default"):
            channel.basic_publish("", NAMES.queue_of("m1"), b"forged", mandatory=True)
    with _connect(rabbitmq_node, "m1") as own:
        _, _, body = own.channel().basic_get(NAMES.queue_of("m1"), auto_ack=True)
        assert body == b"sold"
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match=NAMES.queue_of("m2")):
            own.channel().basic_get(NAMES.queue_of("m2"), auto_ack=True)
    with _connect(rabbitmq_node, "admin") as admin:
        for code in ("m1", "m2"):
            admin.channel().queue_delete(NAMES.queue_of(code))


def test_there_is_no_guest(rabbitmq_node: BrokerNode) -> None:
    """N3."""
    guest = rabbitmq_node._replace(passwords={"guest": "guest"})
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        _connect(guest, "guest")


def test_the_node_listens_on_loopback_only_and_has_no_epmd(rabbitmq_node: BrokerNode) -> None:
    """N1, N2."""
    listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    addresses = {(getattr(c.laddr, "ip", ""), getattr(c.laddr, "port", 0)): c.pid for c in listening}
    node = addresses["127.0.0.1", rabbitmq_node.port]
    assert node is not None
    hosts = {host for (host, _), pid in addresses.items() if pid == node}
    assert hosts == {"127.0.0.1"}
    names = [child.name() for child in psutil.Process(node).children(recursive=True)]
    assert "epmd" not in names


def test_a_node_gives_a_sign_of_life_and_a_port_without_one_does_not(rabbitmq_node: BrokerNode) -> None:
    assert asyncio.run(amqp_alive(rabbitmq_node.port, 10.0))
    assert not asyncio.run(amqp_alive(free_port(), 10.0))
