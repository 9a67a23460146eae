"""The promises B1 to B5 of `broker.contract`, the same tests for both carriers, on real servers."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from broker import Message, Poison, Publisher, Unavailable, Unroutable
from broker.envelope import BYTES_MAX, encode
from tests.broker_world import KINDS, Consuming, World
from tests.conftest import PATIENCE_SECONDS, wait_until

CONFIRM_SECONDS = 1.5  # where a broker that says nothing is what a test is about
NEVER_MS = 600_000  # as an idle consumer's pause: longer than any test


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    url = request.getfixturevalue("rabbitmq" if request.param == "rabbitmq" else "empty_database_url")
    made = World.make(request.param, url, redelivery_delay_ms=20, delivery_attempts_max=3, confirm_timeout_seconds=30.0)
    made.admin.declare(made.recipients)
    yield made
    made.wire.close()


def publish(world: World, *messages: Message) -> dict[uuid.UUID, Any]:
    publisher = world.carrier().publisher()
    try:
        return publisher.publish(messages)
    finally:
        publisher.close()


def publish_until_stored(publisher: Publisher, message: Message) -> None:
    wait_until(lambda: publisher.publish([message])[message.id] is None, 30, "it is published")


def rounds(consuming: Consuming) -> set[int]:
    return {message.body["round"] for message in consuming.messages}


def test_what_was_published_arrives_equal_and_is_gone_when_acknowledged(world: World) -> None:
    """B1."""
    message = world.message(text="Größe ☃ \x01", number=2**60, nested={"list": [1, 2.5, None, True]})
    assert publish(world, message) == {message.id: None}
    assert world.admin.depth(world.recipients) == {world.recipient: 1, world.recipients[1]: 0}
    with Consuming(world.carrier(), [world.recipient]) as consuming:
        consuming.wait_for(1)
    assert consuming.messages == [message]
    world.wait_depth(0)


def test_a_batch_is_confirmed_message_by_message_and_arrives_in_order(world: World) -> None:
    """B1; order is usual with one publisher and one consumer."""
    batch = [world.message(number=number) for number in range(300)]
    assert publish(world, *batch) == {message.id: None for message in batch}
    with Consuming(world.carrier(), [world.recipient]) as consuming:
        consuming.wait_for(300)
    assert consuming.messages == batch


def test_a_message_nobody_takes_is_reported_and_the_others_of_its_batch_are_stored(world: World) -> None:
    """B2."""
    lost, *good = [world.message("nobody"), world.message(), world.message(world.recipients[1])]
    outcomes = publish(world, good[0], lost, good[1])
    assert isinstance(outcomes.pop(lost.id), Unroutable)
    assert outcomes == {good[0].id: None, good[1].id: None}
    assert world.admin.depth(world.recipients) == dict.fromkeys(world.recipients, 1)


def test_a_message_that_is_too_large_is_refused_alone(world: World) -> None:
    large, small = world.message(text="x" * BYTES_MAX), world.message()
    outcomes = publish(world, large, small)
    assert isinstance(outcomes[large.id], Unroutable)
    assert outcomes[small.id] is None


def test_publishing_nothing_is_nothing(world: World) -> None:
    assert publish(world) == {}


def test_a_failed_message_is_tried_again_and_others_go_on(world: World) -> None:
    """B4, below the limit."""
    attempts: Counter[int] = Counter()

    def fail_twice(message: Message) -> None:
        attempts[message.body["number"]] += 1
        if message.body["number"] == 1 and attempts[1] < 3:
            msg = "for now"
            raise OSError(msg)

    publish(world, *[world.message(number=number) for number in range(4)])
    with Consuming(world.carrier(), [world.recipient], fail_twice) as consuming:
        consuming.wait_for(4)
        assert sorted(message.body["number"] for message in consuming.messages) == [0, 1, 2, 3]
    assert attempts == {0: 1, 1: 3, 2: 1, 3: 1}
    assert world.admin.dead_letters([world.recipient]) == []


def test_a_message_that_always_fails_ends_among_the_dead_with_its_last_error(world: World) -> None:
    """B4."""
    attempts: Counter[uuid.UUID] = Counter()
    bad, good = world.message(bad=True), world.message(bad=False)

    def fail(message: Message) -> None:
        attempts[message.id] += 1
        if message.body["bad"]:
            msg = "no such product \ud800\0"
            raise LookupError(msg)

    publish(world, bad, good)
    with Consuming(world.carrier(), [world.recipient], fail) as consuming:
        wait_until(lambda: world.admin.dead_letters([world.recipient]), 20, "a dead letter is there")
        consuming.wait_for(1)
    assert attempts == {bad.id: 3, good.id: 1}
    (letter,) = world.admin.dead_letters([world.recipient])
    assert (letter.recipient, letter.message_id, letter.raw) == (world.recipient, str(bad.id), encode(bad))
    assert "failed 3 times" in letter.reason
    assert "no such product" in letter.reason
    world.wait_depth(0)


def test_poison_is_dead_at_once_and_stays_to_be_looked_at(world: World) -> None:
    """B4."""
    handled: list[uuid.UUID] = []

    def refuse(message: Message) -> None:
        handled.append(message.id)
        if message.body:
            raise Poison(f"quantity: must not be negative \ud800 \0 {'x' * 5_000}")

    bad, good = world.message(quantity=-1), world.message()
    publish(world, bad, good)
    with Consuming(world.carrier(), [world.recipient], refuse) as consuming:
        consuming.wait_for(1)
        wait_until(lambda: world.admin.dead_letters([world.recipient]), 20, "a dead letter is there")
    assert handled == [bad.id, good.id]
    first, again = world.admin.dead_letters(world.recipients), world.admin.dead_letters(world.recipients)
    assert first == again
    assert [letter.message_id for letter in first] == [str(bad.id)]
    assert first[0].reason.startswith("quantity: must not be negative")


GARBAGE = {
    b"\xff\xfe": "not UTF-8",
    b"": "not JSON",
    b'{"schema":1,': "not JSON",
    b"[" * 100_000: "not JSON",
    b'{"schema":NaN}': "not a number",
    b'{"schema":1,"schema":1}': "occurs twice",
    b"[]": "JSON object",
    b'{"schema":2}': "schema",
    b'{"schema":1,"type":"sale.recorded","recipient":"?","body":{}}': "missing: id",
    b"x" * (BYTES_MAX + 1): "too large",
}


def test_garbage_is_dead_with_its_reason_and_the_consumer_goes_on(world: World) -> None:
    """B4: whatever lies in the queue."""
    for raw in GARBAGE:
        world.put_raw(raw, "some-id")
    good = world.message()
    publish(world, good)
    with Consuming(world.carrier(), [world.recipient]) as consuming:
        consuming.wait_for(1)
    assert consuming.messages == [good]
    letters = world.admin.dead_letters([world.recipient])
    assert [letter.raw for letter in letters] == list(GARBAGE)
    for letter, reason in zip(letters, GARBAGE.values(), strict=True):
        assert reason in letter.reason
        assert letter.message_id == "some-id"


def test_a_message_in_another_manufacturers_queue_is_poison(world: World) -> None:
    stray = world.message("somebody")
    world.put_raw(encode(stray), str(stray.id))
    with Consuming(world.carrier(), [world.recipient]) as consuming:
        wait_until(lambda: world.admin.dead_letters([world.recipient]), 20, "a dead letter is there")
    assert consuming.messages == []
    assert "recipient" in world.admin.dead_letters([world.recipient])[0].reason


def test_two_healthy_consumers_share_the_work_and_no_message(world: World) -> None:
    batch = [world.message(number=number) for number in range(200)]
    publish(world, *batch)
    work = threading.Barrier(2, timeout=60)

    def meet_once(message: Message) -> None:
        if not work.broken and work.n_waiting < 2 and message.body["number"] < 1_000 and not met.is_set():
            work.wait()
            met.set()

    met = threading.Event()
    with (
        Consuming(world.carrier(), [world.recipient], meet_once) as one,
        Consuming(world.carrier(), [world.recipient], meet_once) as two,
    ):
        wait_until(lambda: len(one.messages) + len(two.messages) >= 200, 20, "all are handled")
        world.wait_depth(0)
    assert sorted(message.body["number"] for message in one.messages + two.messages) == list(range(200))
    assert one.messages
    assert two.messages


def test_one_consumer_serves_many_queues_and_none_starves(world: World) -> None:
    """Each takes its time, as booking one would: 100 of them give the other queue five seconds to be heard of."""
    had_its_turn = threading.Event()

    def work(message: Message) -> None:
        if message.recipient == world.recipient:
            had_its_turn.wait(0.05)
        else:
            had_its_turn.set()

    publish(world, *[world.message(number=number) for number in range(200)])
    other = world.message(world.recipients[1])
    publish(world, other)
    with Consuming(world.carrier(), world.recipients, work) as consuming:
        consuming.wait_for(201)
    assert consuming.messages.index(other) < 100


def test_a_new_message_wakes_an_idle_consumer(world: World) -> None:
    """Long before it would have looked by itself."""
    first, second = world.message(), world.message()
    with Consuming(world.carrier(idle_ms=NEVER_MS), [world.recipient]) as consuming:
        publish(world, first)
        consuming.wait_for(1)
        publish(world, second)
        consuming.wait_for(2)
    assert consuming.messages == [first, second]


def test_an_idle_consumer_stops_though_nothing_comes(world: World) -> None:
    with Consuming(world.carrier(idle_ms=NEVER_MS), [world.recipient]) as consuming:
        publish(world, world.message())
        consuming.wait_for(1)
        consuming.stop.set()
        consuming.thread.join(PATIENCE_SECONDS)
        assert not consuming.thread.is_alive()


def test_a_busy_consumer_stops_after_the_message_in_hand_and_the_rest_stays(world: World) -> None:
    in_hand, go_on = threading.Event(), threading.Event()

    def hold(_: Message) -> None:
        in_hand.set()
        go_on.wait(60)

    publish(world, *[world.message(number=number) for number in range(5)])
    with Consuming(world.carrier(), [world.recipient], hold) as consuming:
        assert in_hand.wait(60)
        consuming.stop.set()
        go_on.set()
        consuming.thread.join(PATIENCE_SECONDS)
    assert len(consuming.messages) == 1
    world.wait_depth(4)


def test_a_consumer_without_its_broker_keeps_trying_and_still_stops(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a pause, however long that is."""
    monkeypatch.setattr("broker.postgres.consumer.reconnect_seconds", lambda *_: NEVER_MS / 1_000)
    monkeypatch.setattr("broker.rabbitmq.taps.reconnect_seconds", lambda *_: NEVER_MS / 1_000)
    world.wire.unplug()
    with Consuming(world.carrier(), [world.recipient]) as consuming:
        outcome = publish(world, message := world.message())[message.id]
        assert isinstance(outcome, Unavailable)
        assert consuming.thread.is_alive()
        consuming.stop.set()
        consuming.thread.join(PATIENCE_SECONDS)
        assert not consuming.thread.is_alive()


def test_a_consumer_started_before_its_queue_exists_begins_when_it_does(world: World) -> None:
    late = f"late{uuid.uuid4().hex[:6]}"
    with Consuming(world.carrier(), [late, world.recipient]) as consuming:
        publish(world, world.message())
        if world.kind == "rabbitmq":  # a queue that is missing must not hold up the others
            consuming.wait_for(1)
        world.admin.declare([late])
        publish(world, world.message(late))
        consuming.wait_for(2)
    world.wait_depth(0)
    assert world.admin.depth([late]) == {late: 0}


def test_both_sides_go_on_after_their_connections_were_cut(world: World) -> None:
    """B1, B3."""
    publisher = world.carrier().publisher()
    with Consuming(world.carrier(), [world.recipient]) as consuming:
        for round_number in range(3):
            publish_until_stored(publisher, world.message(round=round_number))
            wait_until(lambda: len(rounds(consuming)) > round_number, 20, "it is handled")  # noqa: B023 - used at once
            assert world.wire.cut()
    publisher.close()
    assert rounds(consuming) == {0, 1, 2}


def test_a_cut_while_the_handler_works_brings_the_message_again(world: World) -> None:
    """B3, B5: acknowledged on a connection that is gone, so not acknowledged."""
    seen: list[uuid.UUID] = []

    def cut_at_first(message: Message) -> None:
        seen.append(message.id)
        if len(seen) == 1:
            world.wire.cut()

    message = world.message()
    publish(world, message)
    with Consuming(world.carrier(lease_seconds=0.5), [world.recipient], cut_at_first) as consuming:
        consuming.wait_for(2)
        world.wait_depth(0)
    assert seen[:2] == [message.id, message.id]
    assert world.admin.dead_letters([world.recipient]) == []


def test_a_silent_broker_makes_publishing_unknown_within_the_limit_and_both_heal(world: World) -> None:
    """B1: neither hangs nor claims success."""
    publisher = world.carrier(heartbeat_seconds=1, confirm_timeout_seconds=CONFIRM_SECONDS).publisher()
    first, second = world.message(), world.message()
    publish_until_stored(publisher, first)
    with Consuming(world.carrier(heartbeat_seconds=1), [world.recipient]) as consuming:
        consuming.wait_for(1)
        world.wire.silence()
        before = time.monotonic()
        outcome = publisher.publish([second])[second.id]
        assert time.monotonic() - before < PATIENCE_SECONDS  # it is silent for as long as nobody resumes it
        assert isinstance(outcome, Unavailable)
        world.wire.resume()
        publish_until_stored(publisher, second)
        wait_until(lambda: second in consuming.messages, 30, "it is handled")
    publisher.close()


def test_a_handler_may_take_longer_than_heartbeat_and_lease(world: World) -> None:
    """B3: no second delivery while the first is being worked on. 6 s are three heartbeats, after two of which RabbitMQ ends
    a connection that is silent, and two leases; whoever is late by less than a second or two loses neither."""
    seen: list[uuid.UUID] = []
    done = threading.Event()

    def work_long(message: Message) -> None:
        seen.append(message.id)
        done.wait(6)

    message = world.message()
    publish(world, message)
    slow = world.carrier(heartbeat_seconds=2, lease_seconds=3.0)
    with (
        Consuming(slow, [world.recipient], work_long) as one,
        Consuming(slow, [world.recipient], work_long) as two,
    ):
        wait_until(lambda: one.messages or two.messages, 20, "it is handled")
        world.wait_depth(0)
    assert seen == [message.id]


def test_declaring_again_and_at_once_from_many_sides_changes_nothing(world: World) -> None:
    publish(world, world.message())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: world.admin.declare(world.recipients), range(8)))
    world.wait_depth(1)
    assert world.admin.dead_letters(world.recipients) == []


def test_nothing_is_known_of_queues_that_nobody_declared(world: World) -> None:
    assert world.admin.depth(["nobody"]) == {"nobody": 0}
    assert world.admin.dead_letters(["nobody"]) == []


def test_a_publisher_that_was_closed_connects_anew(world: World) -> None:
    publisher = world.carrier().publisher()
    for _ in range(2):
        message = world.message()
        assert publisher.publish([message]) == {message.id: None}
        publisher.close()
