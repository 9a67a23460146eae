"""What leaves the database after a time, and what never does. Numbers (R1 …) are distributor/retention's."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from distributor.database import transaction
from distributor.retention import Kind, Pruner, kinds, prune
from distributor.sales.rules import STATUS_SOLD
from settings.model import Retention
from tests.distributor_world import engine_for, make_world, rows

SETTINGS = Retention(events_hours=2.0, refusals_hours=2.0, months_hours=2.0, batch_rows=3)
EVENTS, REFUSALS, ATTEMPTS, FINISHED = kinds(SETTINGS)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url)
    make_world(engine, [5], customers=1)
    yield engine
    engine.dispose()


def execute(engine: Engine, statement: str) -> None:
    with transaction(engine) as connection:
        connection.execute(text(statement))


def add_event(engine: Engine, hours_ago: float, *, confirmed: bool = True) -> None:
    execute(
        engine,
        f"""INSERT INTO outbox (event_id, type, manufacturer, body, created_at, published_at)
        SELECT gen_random_uuid(), 'sale.recorded', 'm1', '{{}}', at, CASE WHEN {confirmed} THEN at END
        FROM (SELECT clock_timestamp() - make_interval(secs => {hours_ago * 3600}) AS at) AS moment""",
    )


def add_answer(engine: Engine, key: str, status: int, hours_ago: float) -> None:
    execute(
        engine,
        f"""INSERT INTO idempotency_key (customer_id, key, request_sha256, status, answer, created_at)
        SELECT id, '{key}', '', {status}, '{{}}', clock_timestamp() - make_interval(secs => {hours_ago * 3600})
        FROM customer""",
    )


def turn(engine: Engine) -> int:
    return Pruner(engine, SETTINGS, threading.Event()).turn()


def test_confirmed_events_go_when_they_are_old_enough_in_batches(engine: Engine) -> None:
    for _ in range(7):
        add_event(engine, hours_ago=3)
    add_event(engine, hours_ago=1)
    with transaction(engine) as connection:
        assert prune(connection, EVENTS, 3) == 3
    assert turn(engine) == 4
    assert len(rows(engine, "SELECT FROM outbox")) == 1
    (mark,) = rows(engine, "SELECT rows, clock_timestamp() - up_to AS age FROM pruned WHERE kind = 'outbox'")
    assert (mark.rows, round(mark.age.total_seconds() / 3600, 1)) == (7, 2.0)


def test_an_event_that_was_not_confirmed_stays_and_stops_the_mark(engine: Engine) -> None:
    """R3: it is younger events' turn again once it went out."""
    add_event(engine, hours_ago=5)
    add_event(engine, hours_ago=4, confirmed=False)
    add_event(engine, hours_ago=3)
    assert turn(engine) == 1
    assert len(rows(engine, "SELECT FROM outbox, pruned WHERE kind = 'outbox' AND created_at < up_to")) == 0
    execute(engine, "UPDATE outbox SET published_at = clock_timestamp()")
    assert turn(engine) == 2


def test_refusals_go_and_the_answer_of_a_sale_stays(engine: Engine) -> None:
    """R1."""
    add_answer(engine, "refused", 409, hours_ago=3)
    add_answer(engine, "sold", STATUS_SOLD, hours_ago=3)
    add_answer(engine, "refused just now", 409, hours_ago=1)
    assert turn(engine) == 1
    assert {row.key for row in rows(engine, "SELECT key FROM idempotency_key")} == {"sold", "refused just now"}


@pytest.mark.parametrize("kind", [ATTEMPTS, FINISHED], ids=lambda kind: str(kind.name))
def test_notes_about_months_go_when_the_month_is_closed_long_ago(engine: Engine, kind: Kind) -> None:
    execute(
        engine,
        """INSERT INTO month (number, state, reason, ends_at, closed_at)
        SELECT 100 + hours, 'closed', 'time_over', at, at
        FROM (SELECT hours, clock_timestamp() - make_interval(hours => hours) AS at FROM unnest(ARRAY[1, 3]) AS hours) AS m""",
    )
    execute(
        engine,
        """INSERT INTO gather_attempt (manufacturer_id, month, outcome)
        SELECT manufacturer.id, number, 'booked' FROM manufacturer, month""",
    )
    execute(
        engine, "INSERT INTO finished_customer (month, customer_id) SELECT number, customer.id FROM customer, month"
    )
    turn(engine)
    kept = {row.month for row in rows(engine, f"SELECT month FROM {kind.name}")}
    assert 103 not in kept
    assert 101 in kept


def test_one_prunes_at_a_time(engine: Engine) -> None:
    """R4; and no purchase waits: what is deleted is nothing that a purchase locks."""
    add_event(engine, hours_ago=3)
    with transaction(engine) as first:
        assert prune(first, EVENTS, 3) == 1
        with transaction(engine) as second:
            assert prune(second, EVENTS, 3) is None
    assert turn(engine) == 0


def test_a_turn_reads_only_what_has_come_of_age(engine: Engine) -> None:
    """R2: by the summary of ages, not through the table."""
    for kind, table in ((EVENTS, "outbox"), (REFUSALS, "idempotency_key")):
        with transaction(engine) as connection:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            plan = connection.execute(
                text("EXPLAIN " + kind.delete.text), {"up_to": "2020-01-01", "before": "2020-01-02", "rows": 3}
            )
            assert f"Bitmap Index Scan on {table}_created" in "\n".join(plan.scalars())
