"""The outbox and its relay: a real database, a broker that fails on demand. Numbers (P1, Q2 …) are the modules'."""

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from broker.contract import BrokerError, Consumer, DeadLetter, Message, Publisher, Rejected, Unavailable, Unroutable
from broker.postgres import PostgresCarrier
from distributor.database import transaction
from distributor.outbox.pending import Failure, claim, mark_failed, mark_published, pause_seconds, unpublished
from distributor.outbox.relay import Relay
from distributor.tables import OutboxEvent
from settings.model import Broker, Distributor
from tests.conftest import wait_until
from tests.distributor_world import engine_for, rows

FAST = Distributor(relay_idle_ms=20, relay_batch_messages=10, relay_lease_seconds=0.5)


class FakeCarrier:
    """Confirms what it can. ``away``: it cannot be reached; ``queues``: who has one; ``full``: whose takes no more."""

    def __init__(self, *queues: str) -> None:
        self.queues = set(queues)
        self.full: set[str] = set()
        self.away = False
        self.declarations = 0
        self.messages: list[Message] = []

    def declare(self, recipients: Sequence[str]) -> None:
        if self.away:
            raise Unavailable("connection refused")
        self.declarations += 1

    def publisher(self) -> Publisher:
        return self

    def publish(self, messages: Sequence[Message]) -> dict[uuid.UUID, BrokerError | None]:
        return {message.id: self._one(message) for message in messages}

    def _one(self, message: Message) -> BrokerError | None:
        if self.away:
            return Unavailable("connection lost")
        if message.recipient not in self.queues:
            return Unroutable(f"no queue for {message.recipient}")
        if message.recipient in self.full:
            return Rejected(f"the queue of {message.recipient} is full")
        self.messages.append(message)
        return None

    def close(self) -> None:
        self.away = True

    def consumer(self, recipients: Sequence[str]) -> Consumer:
        raise AssertionError("a relay only publishes")

    def depth(self, recipients: Sequence[str]) -> dict[str, int]:
        raise AssertionError("a relay only publishes")

    def dead_letters(self, recipients: Sequence[str]) -> list[DeadLetter]:
        raise AssertionError("a relay only publishes")


def write(engine: Engine, count: int, manufacturer: str = "m1") -> list[uuid.UUID]:
    ids = [uuid.uuid4() for _ in range(count)]
    with transaction(engine) as connection:
        for number, event_id in enumerate(ids):
            values = {
                "event_id": event_id,
                "type": "sale.recorded",
                "manufacturer": manufacturer,
                "body": {"n": number},
            }
            connection.execute(insert(OutboxEvent), values)
    return ids


def pending(engine: Engine) -> int:
    with transaction(engine) as connection:
        return unpublished(connection)


@contextmanager
def relaying(engine: Engine, carrier: Any, codes: Sequence[str] = ("m1", "m2")) -> Iterator[Relay]:
    stop = threading.Event()
    relay = Relay(engine, admin=carrier, carrier=carrier, codes=codes, settings=FAST, stop=stop)
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        yield relay
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def test_two_relays_never_claim_the_same_event(engine: Engine) -> None:
    """P1: also while the other one's claim is not committed yet."""
    ids = write(engine, 5)
    with transaction(engine) as one, transaction(engine) as two:
        first = claim(one, 3, 60)
        second = claim(two, 3, 60)
    assert [claimed.message.id for claimed in first + second] == ids
    with transaction(engine) as connection:
        assert claim(connection, 10, 60) == []


def test_large_events_are_claimed_a_few_at_a_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """P4: and even one that is larger than all that may be claimed has its turn."""
    ids = write(engine, 3)
    monkeypatch.setattr("distributor.outbox.pending.CLAIM_BYTES_MAX", 1)
    with transaction(engine) as connection:
        claimed = [[each.message.id for each in claim(connection, 10, 60)] for _ in range(4)]
    assert claimed == [[ids[0]], [ids[1]], [ids[2]], []]


def test_an_event_whose_relay_died_is_claimed_again_after_the_lease(engine: Engine) -> None:
    """P1"""
    (event,) = write(engine, 1)
    with transaction(engine) as connection:
        claim(connection, 1, 0.2)

    def claimed_again() -> bool:
        with transaction(engine) as connection:
            return [claimed.message.id for claimed in claim(connection, 1, 60)] == [event]

    assert not claimed_again()
    wait_until(claimed_again, 5, "the lease ended")


def test_what_was_confirmed_is_not_claimed_any_more_and_what_failed_waits(engine: Engine) -> None:
    write(engine, 2)
    with transaction(engine) as connection:
        confirmed, failed = claim(connection, 2, 60)
        mark_published(connection, [confirmed.row_id])
        mark_failed(connection, [Failure(failed.row_id, "no " * 1_000, 0.1)])
    found = rows(engine, "SELECT published_at IS NOT NULL, attempts, length(last_error) FROM outbox ORDER BY id")
    assert [tuple(row) for row in found] == [(True, 0, None), (False, 1, 500)]
    assert pending(engine) == 1

    def due() -> int:
        with transaction(engine) as connection:
            return len(claim(connection, 10, 60))

    wait_until(lambda: due() == 1, 5, "the pause is over")


def test_a_late_failure_does_not_undo_a_confirmation(engine: Engine) -> None:
    """P2: the first relay was slow, the second one published in the meantime."""
    write(engine, 1)
    with transaction(engine) as connection:
        (claimed,) = claim(connection, 1, 60)
        mark_published(connection, [claimed.row_id])
        mark_failed(connection, [Failure(claimed.row_id, "late", 0)])
    assert pending(engine) == 0


def test_pauses_grow_and_are_bounded() -> None:
    assert [pause_seconds(attempts) for attempts in (1, 2, 3, 7, 10_000)] == [1, 2, 4, 60, 60]


def test_events_reach_the_broker_in_order(engine: Engine) -> None:
    carrier = FakeCarrier("m1", "m2")
    ids = write(engine, 25) + write(engine, 3, "m2")
    with relaying(engine, carrier) as relay:
        wait_until(lambda: pending(engine) == 0, 10, "the outbox is empty")
        assert relay.trouble is None
    assert [message.id for message in carrier.messages] == ids
    assert carrier.messages[1] == Message(ids[1], "sale.recorded", "m1", {"n": 1})
    assert relay.published == 28


def test_a_broker_that_is_away_loses_nothing(engine: Engine) -> None:
    """Q2, Q4: at the start and later."""
    carrier = FakeCarrier("m1")
    carrier.away = True
    ids = write(engine, 15)
    with relaying(engine, carrier) as relay:
        wait_until(lambda: relay.trouble == "connection refused", 5, "it says why")
        carrier.away = False
        wait_until(lambda: pending(engine) == 0, 10, "all went out")
        carrier.away = True
        ids += write(engine, 15)
        wait_until(lambda: relay.trouble == "connection lost", 5, "it says why")
        assert rows(engine, "SELECT DISTINCT last_error FROM outbox WHERE attempts > 0 AND published_at IS NULL") == [
            ("connection lost",)
        ]
        carrier.away = False
        wait_until(lambda: pending(engine) == 0, 10, "all went out")
    assert sorted(message.id for message in carrier.messages) == sorted(ids)


def test_an_event_without_a_queue_raises_an_alarm_and_lets_the_others_pass(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Q3"""
    carrier = FakeCarrier("m1")
    write(engine, 2, "m2")
    write(engine, 20, "m1")
    with relaying(engine, carrier):
        wait_until(lambda: pending(engine) == 2, 5, "those of m1 went out")
        declarations = carrier.declarations
        assert declarations >= 2, "the queues were declared again"
        assert "ALARM: 2 events have no queue" in caplog.text
        carrier.queues.add("m2")
        wait_until(lambda: pending(engine) == 0, 10, "those of m2 went out, too")
    assert [message.recipient for message in carrier.messages] == ["m1"] * 20 + ["m2"] * 2


def test_one_manufacturers_full_queue_does_not_hold_up_the_others(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """Q3: although more than a whole batch of its events come first."""
    carrier = FakeCarrier("m1", "m2")
    carrier.full.add("m2")
    write(engine, 2 * FAST.relay_batch_messages, "m2")
    write(engine, 5, "m1")
    with relaying(engine, carrier) as relay:
        wait_until(lambda: len(carrier.messages) == 5, 5, "those of m1 went out")
        assert relay.trouble is None
        assert "ALARM: 10 events were rejected" in caplog.text
        carrier.full.clear()
        wait_until(lambda: pending(engine) == 0, 10, "those of m2 went out, too")
    assert [message.recipient for message in carrier.messages] == ["m1"] * 5 + ["m2"] * 20


def test_a_database_that_ends_the_session_is_not_the_end_of_the_relay(engine: Engine, database_url: str) -> None:
    """Q4"""
    carrier = FakeCarrier("m1")
    own = engine_for(database_url, pool_size=1)
    with relaying(own, carrier):
        wait_until(lambda: carrier.declarations, 5, "it runs")
        rows(
            engine,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database() AND usename = current_user",
        )
        write(engine, 3)
        wait_until(lambda: pending(engine) == 0, 10, "all went out")
    own.dispose()
    assert {message.recipient for message in carrier.messages} == {"m1"}
    assert len({message.id for message in carrier.messages}) == 3


def test_with_the_real_queue_in_postgres(engine: Engine, database_url: str) -> None:
    carrier = PostgresCarrier(database_url, Broker())
    rows(engine, "INSERT INTO manufacturer (code, name) VALUES ('old', 'Old Works') RETURNING 1")
    write(engine, 12)
    write(engine, 2, "old")
    with relaying(engine, carrier, ["m1"]) as relay:
        wait_until(lambda: pending(engine) == 0, 10, "all went out")
        assert relay.trouble is None
    assert carrier.depth(["m1", "old"]) == {"m1": 12, "old": 2}, "a manufacturer of earlier times has its queue, too"


def test_an_event_of_an_unknown_type_lets_the_others_pass(engine: Engine, database_url: str) -> None:
    """Q3: for instance one that a newer version has written."""
    carrier = PostgresCarrier(database_url, Broker())
    (newer,) = write(engine, 1)
    rows(engine, "UPDATE outbox SET type = 'sale.returned' RETURNING 1")
    write(engine, 3)
    with relaying(engine, carrier, ["m1"]):
        wait_until(lambda: pending(engine) == 1, 10, "the others went out")
    assert rows(engine, "SELECT event_id, last_error LIKE '%sale.returned%' FROM outbox WHERE attempts > 0") == [
        (newer, True)
    ]
