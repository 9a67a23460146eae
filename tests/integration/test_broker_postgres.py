"""What only the PostgreSQL queue can do wrong: leases that are over, attempts that are not ours, long queues."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from broker import Message, Unroutable
from broker.postgres.consumer import CLAIM
from tests.broker_world import Consuming, World
from tests.conftest import plain, wait_until


@pytest.fixture
def world(empty_database_url: str) -> Iterator[World]:
    made = World.make(
        "postgres", empty_database_url, delivery_attempts_max=3, redelivery_delay_ms=20, confirm_timeout_seconds=30.0
    )
    made.admin.declare(made.recipients)
    yield made
    made.wire.close()


@pytest.fixture
def database(world: World) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(plain(world.direct_url), autocommit=True) as connection:
        yield connection


def publish(world: World, *messages: Message) -> None:
    publisher = world.admin.publisher()
    assert not any(publisher.publish(messages).values())
    publisher.close()


def test_a_consumer_that_lost_its_lease_cannot_acknowledge(world: World, database: psycopg.Connection[Any]) -> None:
    """Q3: while it worked (paused, say), another claimed the message, which shows as one attempt more."""

    def lose_the_lease(_: Message) -> None:
        database.execute("UPDATE broker.message SET attempts = attempts + 1, due_at = now() + interval '1 hour'")

    publish(world, world.message())
    with Consuming(world.carrier(), [world.recipient], lose_the_lease) as consuming:
        consuming.wait_for(1)
    world.wait_depth(1)
    assert database.execute("SELECT attempts FROM broker.message").fetchall() == [(2,)]


def test_a_lease_is_renewed_while_the_handler_works(world: World, database: psycopg.Connection[Any]) -> None:
    """Q1."""
    done = threading.Event()

    def work(_: Message) -> None:
        done.wait(60)

    def due() -> Any:
        row = database.execute("SELECT due_at FROM broker.message WHERE attempts = 1").fetchone()
        return row and row[0]

    publish(world, world.message())
    with Consuming(world.carrier(lease_seconds=0.6), [world.recipient], work) as consuming:
        wait_until(due, 10, "it is claimed")
        first = due()
        wait_until(lambda: due() > first, 10, "the lease is renewed")
        assert database.execute("SELECT attempts FROM broker.message").fetchall() == [(1,)]
        done.set()
        consuming.wait_for(1)
    world.wait_depth(0)


def test_ended_connections_are_replaced(world: World, database: psycopg.Connection[Any]) -> None:
    publisher = world.admin.publisher()
    with Consuming(world.carrier(), [world.recipient]) as consuming:
        for count in (1, 2):
            message = world.message()
            wait_until(lambda: publisher.publish([message])[message.id] is None, 20, "it is published")  # noqa: B023
            consuming.wait_for(count)
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'broker %'"
            )
    publisher.close()
    assert world.admin.dead_letters([world.recipient]) == []


def test_a_consumer_needs_one_connection_and_a_publisher_one(world: World, database: psycopg.Connection[Any]) -> None:
    publisher = world.admin.publisher()
    message = world.message()
    with Consuming(world.carrier(), world.recipients) as consuming:
        publisher.publish([message])
        consuming.wait_for(1)
        names = (
            "SELECT application_name FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'broker %' ORDER BY 1"
        )
        two = [("broker consumer",), ("broker publisher",)]
        wait_until(lambda: database.execute(names).fetchall() == two, what="those that made the queues have gone")
        assert publisher.publish([another := world.message()]) == {another.id: None}
        consuming.wait_for(2)
        assert database.execute(names).fetchall() == two, "working needs no more than waiting"
    publisher.close()


def test_a_claim_looks_at_few_rows_however_long_the_queues_are(world: World, database: psycopg.Connection[Any]) -> None:
    """100,000 messages of others, of which many are put off, and 10,000 of ours."""
    mine, other = world.recipients
    database.execute(
        "INSERT INTO broker.message (recipient, message_id, raw, due_at)"
        " SELECT %s, 'x', ''::bytea, now() + CASE WHEN n %% 2 = 0 THEN interval '1 hour' ELSE '0' END"
        " FROM generate_series(1, 100000) n UNION ALL SELECT %s, 'x', ''::bytea, now() FROM generate_series(1, 10000)",
        [other, mine],
    )
    database.execute("ANALYZE broker.message")
    row = database.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + CLAIM.encode(), [1.0, [mine]]).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    touched = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert touched < 100


def test_publishing_before_anything_was_declared_is_unroutable(empty_database_url: str) -> None:
    """B2."""
    world = World.make("postgres", empty_database_url)
    publisher = world.admin.publisher()
    message = world.message()
    assert isinstance(publisher.publish([message])[message.id], Unroutable)
    world.admin.declare(world.recipients)
    assert publisher.publish([message]) == {message.id: None}
    publisher.close()
    world.wire.close()


def test_what_is_confirmed_is_on_disk_whatever_the_servers_default_is(
    world: World, database: psycopg.Connection[Any]
) -> None:
    """B1: a server that commits asynchronously by default does not weaken the promise."""
    name = database.info.dbname
    database.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off'.encode())
    publisher = world.admin.publisher()
    message = world.message()
    database.execute(
        "CREATE FUNCTION broker.durable() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF current_setting('synchronous_commit') <> 'on' THEN RAISE 'not durable'; END IF; RETURN new; END $$"
    )
    database.execute(
        "CREATE TRIGGER durable BEFORE INSERT ON broker.message FOR EACH ROW EXECUTE FUNCTION broker.durable()"
    )
    assert publisher.publish([message]) == {message.id: None}
    publisher.close()
