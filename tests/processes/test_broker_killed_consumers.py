"""B3 and B4 with consumers in real processes that die: killed from outside, or by what they were sent."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import Message
from tests.broker_world import KINDS, NAMES, World
from tests.conftest import wait_until
from tests.processes.broker_stand_in import DEATH

ROOT = Path(__file__).parents[2]
ATTEMPTS_MAX = 4


def make_world(kind: str, url: str) -> World:
    made = World.make(
        kind,
        url,
        delivery_attempts_max=ATTEMPTS_MAX,
        redelivery_delay_ms=20,
        lease_seconds=0.7,
        confirm_timeout_seconds=30.0,
    )
    made.recipients += [f"{uuid.uuid4().hex[:8]}{place}" for place in "cd"]
    made.admin.declare(made.recipients)
    return made


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    url = request.getfixturevalue("rabbitmq" if request.param == "rabbitmq" else "empty_database_url")
    made = make_world(request.param, url)
    yield made
    made.wire.close()


class Process:
    """A stand-in at work, its output gathered line by line."""

    def __init__(self, world: World, recipients: list[str]) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.processes.broker_stand_in", world.description(recipients)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.strip())

    def wait_for(self, line: str) -> None:
        wait_until(lambda: line in self.lines, 20, f"the consumer says {line!r}")

    def ended(self) -> bool:
        return self._process.poll() is not None and not self._reader.is_alive()

    def kill(self) -> None:
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        self._reader.join(30)

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in started:
        process.kill()


def publish(world: World, messages: list[Message]) -> None:
    publisher = world.admin.publisher()
    assert not any(publisher.publish(messages).values())
    publisher.close()


def test_what_a_killed_consumer_had_in_hand_comes_again(world: World, processes: list[Process]) -> None:
    """B3, kill -9 while the handler works."""
    publish(world, [world.message(number=1, hold=True), world.message(number=2)])
    processes.append(first := Process(world, [world.recipient]))
    first.wait_for("begun 1")
    first.kill()
    processes.append(second := Process(world, [world.recipient]))
    second.wait_for("begun 1")
    second.kill()
    assert world.admin.dead_letters([world.recipient]) == []


def test_the_same_is_lost_by_a_consumer_that_acknowledges_first(rabbitmq: str, processes: list[Process]) -> None:
    """The control of the test above: acknowledging before the work is done loses the message."""
    world = make_world("rabbitmq", rabbitmq)
    publish(world, [world.message(number=1)])
    with world.amqp() as dying:
        got, _, _ = dying.channel().basic_get(NAMES.queue_of(world.recipient), auto_ack=True)
        assert got is not None
    publish(world, [world.message(number=2)])
    processes.append(second := Process(world, [world.recipient]))
    second.wait_for("done 2")
    assert "begun 1" not in second.lines
    world.wire.close()


def test_a_message_that_kills_its_consumer_dies_alone_after_its_attempts(
    world: World, processes: list[Process]
) -> None:
    """B4: counted outside the process; and the innocent messages beside it, in this queue and others, all arrive."""
    publish(world, [world.message(number=0), world.message(number=1, deadly=True)])
    publish(world, [world.message(number=number) for number in range(2, 20)])
    for place, recipient in enumerate(world.recipients[1:], start=1):
        publish(world, [world.message(recipient, number=100 * place + number) for number in range(20)])
    publish(world, [world.message(world.recipients[2], number=999, deadly=True)])
    expected = {f"done {n}" for n in range(20) if n != 1} | {
        f"done {100 * p + n}" for p in (1, 2, 3) for n in range(20)
    }

    def done() -> bool:
        if not processes or processes[-1].ended():
            processes.append(Process(world, world.recipients))
        said = Counter(line for process in processes for line in process.lines)
        return expected <= said.keys() and len(world.admin.dead_letters(world.recipients)) == 2

    wait_until(done, 150, "all innocent messages are done and both deadly ones are dead")
    begun = Counter(line for process in processes for line in process.lines)
    # The other one's death may take a delivery along that had arrived but not begun: it counts as an attempt.
    assert 1 <= begun["begun 1"] <= ATTEMPTS_MAX
    assert 1 <= begun["begun 999"] <= ATTEMPTS_MAX
    assert all(process.exit_code == DEATH for process in processes[:-1])
    letters = world.admin.dead_letters(world.recipients)
    assert {letter.recipient for letter in letters} == {world.recipients[0], world.recipients[2]}
    assert all("delivered too often" in letter.reason for letter in letters)
    for recipient in world.recipients:
        world.wait_depth(0, recipient)
