"""B1 and B3 when RabbitMQ itself is killed: what was confirmed is on disk, and both sides find back by themselves."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import Message, Publisher, Unavailable
from broker.rabbitmq import Access, RabbitCarrier
from settings.model import Broker
from supervisor import probes, rabbitmq
from supervisor.spawn import start_child
from tests.broker_world import NAMES, Consuming, World
from tests.conftest import INSTALLATION, free_port, require, wait_until

START_SECONDS_MAX = 120


class Node:
    """A RabbitMQ that can be killed and started again on its data."""

    def __init__(self, folder: Path) -> None:
        installation = rabbitmq.find_installation()
        assert installation is not None
        self.port = free_port()
        self.password = uuid.uuid4().hex
        self._folder = folder
        self._node = rabbitmq.Node(
            installation, folder, self.port, free_port(), rabbitmq.node_name(uuid.uuid4().hex[:12])
        )
        self._node.prepare(uuid.uuid4().hex, {"admin": self.password, "relay": uuid.uuid4().hex}, [], INSTALLATION)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://admin:{self.password}@127.0.0.1:{self.port}/%2F"

    def start(self) -> None:
        environment = os.environ | self._node.environment()
        with (self._folder / "output.log").open("ab") as log:
            self._process = start_child(self._node.argv(), output=log, environment=environment, folder=self._folder)
        wait_until(lambda: asyncio.run(probes.amqp_ready(self.port)), START_SECONDS_MAX, "RabbitMQ answers")

    def kill(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None


@pytest.fixture
def node() -> Iterator[Node]:
    require("rabbitmq-server")
    folder = Path(tempfile.mkdtemp(prefix="cds-test-"))
    made = Node(folder)
    try:
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


def test_what_was_confirmed_survives_the_brokers_kill_and_everybody_returns(node: Node) -> None:
    world = World.make("rabbitmq", node.url, redelivery_delay_ms=20)
    RabbitCarrier(Access(node.url, Broker(), NAMES)).declare(world.recipients)  # and waits until the queues are on disk
    waiting = [world.message(world.recipients[1], number=number) for number in range(50)]
    publisher = world.admin.publisher()
    assert not any(publisher.publish(waiting).values())
    with Consuming(world.admin, [world.recipient]) as consuming:
        publish_until_stored(publisher, world.message())
        consuming.wait_for(1)
        node.kill()
        lost = world.message()
        assert isinstance(publisher.publish([lost])[lost.id], Unavailable)
        node.start()
        publish_until_stored(publisher, lost)
        wait_until(lambda: lost in consuming.messages, 30, "the same consumer goes on")
    publisher.close()
    with Consuming(world.admin, [world.recipients[1]]) as late:
        late.wait_for(50)
    assert {message.id for message in late.messages} == {message.id for message in waiting}
    world.wire.close()


def publish_until_stored(publisher: Publisher, message: Message) -> None:
    wait_until(lambda: publisher.publish([message])[message.id] is None, 30, "it is published")
