"""What only RabbitMQ can do wrong: permissions, queues that vanish, confirms of messages that nobody took."""

import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pika
import pytest

import broker
from broker import STOCK_DEPLETED, Message, Poison, Rejected, Unavailable, Unroutable
from broker.envelope import encode
from broker.rabbitmq import taps
from broker.rabbitmq.topology import queue_arguments
from settings import Runtime, Secrets, Settings
from settings.addresses import Addresses
from settings.model import Broker
from tests.broker_world import NAMES, Consuming, World, make_carrier
from tests.conftest import INSTALLATION, MANUFACTURER_CODES, BrokerNode, wait_until


@pytest.fixture
def world(rabbitmq: str) -> Iterator[World]:
    made = World.make(
        "rabbitmq", rabbitmq, redelivery_delay_ms=20, delivery_attempts_max=3, confirm_timeout_seconds=30.0
    )
    made.admin.declare(made.recipients)
    yield made
    made.wire.close()


@pytest.fixture
def runtime(rabbitmq_node: BrokerNode, tmp_path: Path) -> Runtime:
    """As the supervisor writes it for a node of ours; the queues of all manufacturers exist and are empty."""
    made = Runtime(
        state=tmp_path,
        settings=Settings(),
        addresses=Addresses(),
        database_url="postgresql+psycopg://nobody@127.0.0.1:1/none",
        broker_url=f"amqp://127.0.0.1:{rabbitmq_node.port}",
        broker_is_ours=True,
        secrets=Secrets(
            installation_id=INSTALLATION,
            session_key="",
            control_token="",
            postgres_password="",
            erlang_cookie="",
            manufacturer_keys={},
            broker_passwords=rabbitmq_node.passwords,
        ),
    )
    with pika.BlockingConnection(pika.URLParameters(rabbitmq_node.url())) as connection:
        for code in MANUFACTURER_CODES:
            for name in (NAMES.queue_of(code), NAMES.dead_of(code)):
                connection.channel().queue_delete(name)
    make_carrier("rabbitmq", rabbitmq_node.url(), {}).declare(MANUFACTURER_CODES)
    return made


def test_the_running_systems_users_can_do_their_part(runtime: Runtime) -> None:
    """Relay publishes, one process consumes for all manufacturers as each of them, reasons are kept, admin looks."""

    def refuse_m2(message: Message) -> None:
        if message.recipient == "m2":
            raise Poison("sku: unknown")

    messages = [Message(uuid.uuid4(), STOCK_DEPLETED, code, {}) for code in MANUFACTURER_CODES]
    publisher = broker.connect(runtime, "relay").publisher()
    assert not any(publisher.publish(messages).values())
    publisher.close()
    admin = broker.connect(runtime, "admin")
    with Consuming(broker.connect(runtime, "manufacturer"), MANUFACTURER_CODES, refuse_m2) as consuming:
        consuming.wait_for(2)
        wait_until(lambda: admin.dead_letters(MANUFACTURER_CODES), 20, "a dead letter is there")
    assert {message.recipient for message in consuming.messages} == {"m1", "m3"}
    assert [letter.reason for letter in admin.dead_letters(MANUFACTURER_CODES)] == ["sku: unknown"]


def test_a_manufacturer_cannot_read_anothers_queue(runtime: Runtime) -> None:
    message = Message(uuid.uuid4(), STOCK_DEPLETED, "m1", {})
    publisher = broker.connect(runtime, "relay").publisher()
    assert publisher.publish([message]) == {message.id: None}
    publisher.close()
    with Consuming(broker.connect(runtime, "manufacturer", "m2"), ["m1", "m2"]) as consuming:
        own = Message(uuid.uuid4(), STOCK_DEPLETED, "m2", {})
        publisher = broker.connect(runtime, "relay").publisher()
        assert publisher.publish([own]) == {own.id: None}
        publisher.close()
        consuming.wait_for(1)
    assert consuming.messages == [own]
    assert broker.connect(runtime, "admin").depth(["m1"]) == {"m1": 1}


def test_a_manufacturer_can_neither_publish_nor_declare(runtime: Runtime) -> None:
    carrier = broker.connect(runtime, "manufacturer", "m1")
    publisher = carrier.publisher()
    message = Message(uuid.uuid4(), STOCK_DEPLETED, "m1", {})
    outcome = publisher.publish([message])[message.id]
    publisher.close()
    assert isinstance(outcome, Unavailable)
    assert "ACCESS_REFUSED" in str(outcome)
    with pytest.raises(Unavailable, match="ACCESS_REFUSED"):
        carrier.declare(["m1"])


def test_a_wrong_password_is_said_and_does_not_hang(runtime: Runtime) -> None:
    carrier = broker.connect(runtime, "relay")
    runtime.secrets.broker_passwords["relay"] += "?"
    try:
        publisher = carrier.publisher()
        message = Message(uuid.uuid4(), STOCK_DEPLETED, "m1", {})
        outcome = publisher.publish([message])[message.id]
        assert isinstance(outcome, Unavailable)
        assert "ACCESS_REFUSED" in str(outcome)
        publisher.close()
    finally:
        runtime.secrets.broker_passwords["relay"] = runtime.secrets.broker_passwords["relay"][:-1]


@pytest.mark.parametrize("told", [True, False])
def test_a_consumer_whose_queue_was_deleted_and_made_again_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """T3, T4: the broker cancels the consumer and leaves the channel open; rarely, it does not even say so."""
    monkeypatch.setattr(taps, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(taps, "RENEW_SECONDS", 0.5)
    if not told:
        monkeypatch.setattr(taps.Tap, "_on_cancelled", lambda *_: None)
    publisher = world.admin.publisher()
    with Consuming(world.carrier(), world.recipients) as consuming:
        first = world.message()
        assert publisher.publish([first]) == {first.id: None}
        consuming.wait_for(1)
        with world.amqp() as connection:
            connection.channel().queue_delete(NAMES.queue_of(world.recipient))
        lost = world.message()
        assert isinstance(publisher.publish([lost])[lost.id], Unroutable)
        world.admin.declare(world.recipients)
        second = world.message()
        assert publisher.publish([second]) == {second.id: None}
        consuming.wait_for(2)
    publisher.close()


def test_without_mandatory_the_broker_confirms_what_it_throws_away(world: World) -> None:
    """The control of B2: why unroutable messages must be asked for."""
    with world.amqp() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(NAMES.events, "nobody", b"{}", mandatory=False)
        with pytest.raises(pika.exceptions.UnroutableError):
            channel.basic_publish(NAMES.events, "nobody", b"{}", mandatory=True)


def test_a_channel_that_the_broker_closed_is_noticed_by_the_publisher(world: World) -> None:
    """An exchange that is missing closes the channel, not the connection."""
    publisher = world.admin.publisher()
    first, second = world.message(), world.message()
    assert publisher.publish([first]) == {first.id: None}
    with world.amqp() as connection:
        connection.channel().exchange_delete(NAMES.events)
    try:
        outcome = publisher.publish([second])[second.id]
        assert isinstance(outcome, Unavailable)
        assert "NOT_FOUND" in str(outcome)
    finally:
        world.admin.declare(world.recipients)
    wait_until(lambda: publisher.publish([second])[second.id] is None, 20, "it is published")
    publisher.close()


def test_a_queue_that_exists_with_another_limit_is_kept_with_its_messages(world: World) -> None:
    publisher = world.admin.publisher()
    message = world.message()
    assert publisher.publish([message]) == {message.id: None}
    publisher.close()
    world.carrier(delivery_attempts_max=7).declare(world.recipients)
    world.wait_depth(1)


@pytest.mark.parametrize(("content_type", "message_id"), [("text/plain", None), ("application/json", "other")])
def test_wrong_properties_are_poison(world: World, content_type: str, message_id: str | None) -> None:
    message = world.message()
    world.put_raw(encode(message), message_id or str(message.id), content_type)
    with Consuming(world.carrier(), [world.recipient]) as consuming:
        wait_until(lambda: world.admin.dead_letters([world.recipient]), 20, "a dead letter is there")
    assert consuming.messages == []


def test_a_consumers_threads_end_with_it(world: World) -> None:
    before = set(threading.enumerate())
    with Consuming(world.carrier(), world.recipients) as consuming:
        publisher = world.carrier().publisher()
        message = world.message()
        assert publisher.publish([message]) == {message.id: None}
        consuming.wait_for(1)
        publisher.close()

    def ours() -> list[threading.Thread]:
        return [each for each in set(threading.enumerate()) - before if each.name in {"consumer", "publisher"}]

    wait_until(lambda: not ours(), what="its threads have ended")


def test_an_idle_consumer_is_renewed_again_and_again_without_harm(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T4: and nothing that arrives in between is lost, doubled or counted as a failure."""
    monkeypatch.setattr(taps, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(taps, "RENEW_SECONDS", 0.1)
    opened: list[object] = []
    open_tap = taps.Tap.open

    def open_and_note(tap: taps.Tap, link: taps.Link) -> None:
        opened.append(tap)
        open_tap(tap, link)

    monkeypatch.setattr(taps.Tap, "open", open_and_note)
    publisher = world.admin.publisher()
    messages = [world.message(number=number) for number in range(30)]
    with Consuming(world.carrier(), world.recipients) as consuming:
        for count, message in enumerate(messages):
            if count % 10 == 0:
                wait_until(lambda: len(opened) > count, 20, "the channels were made anew")  # noqa: B023 - used at once
            assert publisher.publish([message]) == {message.id: None}
        consuming.wait_for(30)
        world.wait_depth(0)
    publisher.close()
    assert sorted(message.body["number"] for message in consuming.messages) == list(range(30))


def test_a_full_queue_rejects_its_own_messages_only(world: World) -> None:
    """An operator's limit on one queue: the relay must be able to tell this from a broker that is away."""
    full, free = world.recipients
    with world.amqp() as connection:
        connection.channel().queue_delete(NAMES.queue_of(full))
        limited = queue_arguments(full, Broker(), NAMES) | {"x-max-length": 1}
        connection.channel().queue_declare(NAMES.queue_of(full), durable=True, arguments=limited)
    world.admin.declare(world.recipients)
    publisher = world.admin.publisher()

    def rejected() -> bool:  # the limit takes effect some messages late
        messages = [world.message(full), world.message(free)]
        outcomes = publisher.publish(messages)
        assert outcomes[messages[1].id] is None
        return isinstance(outcomes[messages[0].id], Rejected)

    wait_until(rejected, 20, "the full queue rejects")
    publisher.close()


def test_messages_that_wait_together_are_handled_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """C5: one call for many, all acknowledged; a call that fails leaves each of them to be handled by itself."""
    monkeypatch.setattr("broker.rabbitmq.consumer.LINGER_SECONDS", 0.5)  # however slowly a busy machine brings them
    wanted = [world.message() for _ in range(30)]
    calls: list[int] = []
    alone: list[uuid.UUID] = []
    stop = threading.Event()

    def together(messages: Sequence[Message]) -> None:
        calls.append(len(messages))
        if wanted[-1].id in {message.id for message in messages}:
            raise ZeroDivisionError

    def handler(message: Message) -> None:
        if message.id == wanted[-1].id:
            raise Poison("wrong for good")
        alone.append(message.id)

    consumer, publisher = world.carrier().consumer([world.recipient]), world.carrier().publisher()
    thread = threading.Thread(target=lambda: consumer.run(handler, stop, together), daemon=True)
    thread.start()
    assert list(publisher.publish(wanted[:1]).values()) == [None]
    wait_until(lambda: calls or alone, 20, "the first one is handled")
    pulled = len(alone)  # what lay there before the consumer came is fetched by itself
    assert set(publisher.publish(wanted[1:]).values()) == {None}
    wait_until(lambda: world.admin.dead_letters([world.recipient]) != [], 20, "the wrong one is put aside")
    world.wait_depth(0)
    stop.set()
    thread.join(60)
    publisher.close()
    assert sum(calls) + pulled == len(wanted)
    assert len(calls) < len(wanted) - pulled
    assert len(alone) - pulled == calls[-1] - 1
    assert [letter.message_id for letter in world.admin.dead_letters([world.recipient])] == [str(wanted[-1].id)]
