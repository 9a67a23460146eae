"""Which carrier `broker.connect` chooses, and as whom it speaks; nothing is connected here."""

from pathlib import Path

import pika
import pytest
from pika.exceptions import AMQPConnectionError

import broker
from broker.backoff import (
    RECONNECT_LAST_SECONDS,
    REDELIVERY_LAST_SECONDS,
    reconnect_seconds,
    redelivery_seconds,
)
from broker.postgres import PostgresCarrier
from broker.rabbitmq import Access, Names, RabbitCarrier
from broker.rabbitmq.access import explain
from settings import Runtime, Secrets, Settings
from settings.addresses import Addresses
from settings.model import Broker

NAMES = Names("a1b2")
PASSWORDS = {"admin": "a", "relay": "r", "m1": "1"}


def runtime(broker_url: str, *, ours: bool = True) -> Runtime:
    secrets = Secrets.model_construct(broker_passwords=PASSWORDS, installation_id="a1b2")
    return Runtime(Path(), Settings(), Addresses(), "postgresql+psycopg://u:p@h/d", broker_url, ours, secrets)


def test_the_url_chooses_the_carrier() -> None:
    assert isinstance(broker.connect(runtime("postgres"), "relay"), PostgresCarrier)
    assert isinstance(broker.connect(runtime("amqp://127.0.0.1:5672"), "relay"), RabbitCarrier)
    assert isinstance(broker.connect(runtime("amqps://broker.example"), "relay", None), RabbitCarrier)


def test_another_url_is_refused_without_showing_its_password() -> None:
    with pytest.raises(ValueError, match="broker_url") as caught:
        broker.connect(runtime("redis://user:secret@host"), "relay")
    assert "secret" not in str(caught.value)


def test_on_our_own_node_each_speaks_as_itself() -> None:
    access = Access("amqp://127.0.0.1:8672", Broker(), NAMES, PASSWORDS)
    assert access.user_for("m1") == "m1"
    assert access.parameters("m1", "test").credentials == pika.PlainCredentials("m1", "1")
    assert "secret" not in repr(Access("amqp://127.0.0.1", Broker(), NAMES, {"m1": "secret"}))


@pytest.mark.parametrize("user", [None, "m2"])
def test_a_user_without_password_is_named(user: str | None) -> None:
    """In particular nobody becomes admin by leaving the user out."""
    with pytest.raises(ValueError, match=f"broker_passwords.*{user}"):
        Access("amqp://127.0.0.1", Broker(), NAMES, PASSWORDS).parameters(user, "test")


def test_elsewhere_the_urls_credentials_count_for_all() -> None:
    access = Access("amqp://shop:pw@broker.example/vhost", Broker(), NAMES, None, "relay")
    assert access.user_for("m1") is None
    parameters = access.parameters(None, "test")
    assert parameters.credentials == pika.PlainCredentials("shop", "pw")
    assert parameters.virtual_host == "vhost"


def test_no_wait_of_a_connection_is_unbounded() -> None:
    parameters = Access("amqp://127.0.0.1", Broker(), NAMES, PASSWORDS).parameters("relay", "test")
    assert parameters.heartbeat == Broker().heartbeat_seconds
    assert parameters.blocked_connection_timeout == Broker().confirm_timeout_seconds
    assert parameters.socket_timeout
    assert parameters.stack_timeout


def test_reconnecting_is_soon_at_first_and_never_rare() -> None:
    assert reconnect_seconds(1, 0.0) == pytest.approx(0.1)
    waits = [reconnect_seconds(failures, 0.999) for failures in range(1, 200)]
    assert waits == sorted(waits)
    assert RECONNECT_LAST_SECONDS - 0.1 < waits[-1] <= RECONNECT_LAST_SECONDS


def test_redelivery_waits_four_times_longer_each_time_up_to_a_limit() -> None:
    assert [redelivery_seconds(attempts, 0.25) for attempts in (1, 2, 3, 4)] == [0.25, 1, 4, 16]
    assert redelivery_seconds(10_000, 0.25) == REDELIVERY_LAST_SECONDS


def test_an_error_is_explained_without_the_layers_around_it() -> None:
    error = AMQPConnectionError(AMQPConnectionError(ConnectionRefusedError(111, "Connection refused")))
    assert explain(error) == "ConnectionRefusedError: [Errno 111] Connection refused"
