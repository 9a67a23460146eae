"""The months' transitions and the leader's loop on a real database. Numbers (E1, L2 …) are those of the modules."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from distributor.database import transaction, trip
from distributor.errors import Busy
from distributor.months import gate, overview, transitions
from distributor.months.decisions import Begin, Facts, Rules, State
from distributor.months.leader import Leader, Pace
from tests.conftest import wait_until
from tests.distributor_world import engine_for, make_world, rows

HOUR = timedelta(hours=1)
RULES = Rules(length_min=timedelta(0), gathering_max=timedelta(seconds=5), months_max=0)


class Source:
    """A gather that has nothing to do."""

    def __init__(self) -> None:
        self.tended: list[int | None] = []
        self.stopped = 0

    def tend(self, month: int | None, *, urgent: bool) -> None:
        if not self.tended or self.tended[-1] != month:
            self.tended.append(month)

    def asked(self, month: int) -> bool:
        return True

    def stop(self, seconds_max: float) -> None:
        self.stopped += 1


@contextmanager
def leading(
    url: str, *, length: timedelta = HOUR, months_max: int = 0, source: Source | None = None
) -> Iterator[Leader]:
    """A leader in a thread, ticking fast."""
    stop = threading.Event()
    pace = Pace(length, Rules(timedelta(0), timedelta(seconds=5), months_max), 0.02, ("m1", "m2"))
    engine = engine_for(url, pool_size=1)
    leader = Leader(engine, pace, source or Source(), stop)
    thread = threading.Thread(target=leader.run)
    thread.start()
    try:
        yield leader
    finally:
        stop.set()
        thread.join(60)
        engine.dispose()
        assert not thread.is_alive()


def states(engine: Engine) -> list[Any]:
    return [tuple(row) for row in rows(engine, "SELECT number, state, reason FROM month ORDER BY number")]


def request_close(engine: Engine) -> int | None:
    with transaction(engine) as connection:
        return overview.request_close(connection)


def test_the_first_month_opens(database_url: str, engine: Engine) -> None:
    source = Source()
    with leading(database_url, source=source) as leader:
        wait_until(lambda: states(engine) == [(1, "open", None)], 5, "month 1 is open")
        assert leader.leading
        assert leader.trouble is None
    assert source.tended[-1] == 1
    assert source.stopped == 1
    assert rows(engine, "SELECT code FROM manufacturer ORDER BY id") == [("m1",), ("m2",)]


def test_by_hand_a_month_ends_at_once_and_the_next_one_begins(database_url: str, engine: Engine) -> None:
    with leading(database_url):
        wait_until(lambda: (1, "open", None) in states(engine), 5, "month 1 is open")
        assert request_close(engine) == 1
        wait_until(lambda: (2, "open", None) in states(engine), 5, "month 2 is open")
        assert states(engine)[0] == (1, "closed", "by_hand")
    with transaction(engine) as connection:
        facts = transitions.look(connection)
    assert facts.month is not None
    assert facts.month.ends_at == facts.calendar.end(2), "the calendar has jumped"
    assert facts.month.ends_at - facts.now > HOUR - timedelta(seconds=30)


def test_when_nobody_closes_it_time_does(database_url: str, engine: Engine) -> None:
    with leading(database_url, length=timedelta(seconds=0.5), months_max=3):
        wait_until(lambda: (3, "closed", "time_over") in states(engine), 10, "three months went by")
    assert states(engine) == [(number, "closed", "time_over") for number in (1, 2, 3)]
    spans = rows(engine, "SELECT extract(epoch FROM ends_at - lag(ends_at) OVER (ORDER BY number)) FROM month")
    assert [float(span[0]) for span in spans[1:]] == [0.5, 0.5], "without an early end the calendar does not drift"
    assert request_close(engine) is None


def test_missed_months_are_caught_up_in_order(database_url: str, engine: Engine) -> None:
    """The system was off for three months and a half, with month 1 open."""
    make_world(engine, [5])
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE calendar SET epoch = clock_timestamp() - interval '4.5 hours', month_seconds = 3600")
        )
        connection.execute(text("UPDATE month SET ends_at = (SELECT epoch + interval '1 hour' FROM calendar)"))
    with leading(database_url):
        wait_until(lambda: (5, "open", None) in states(engine), 10, "month 5 is open")
    assert states(engine) == [(n, "closed", "time_over") for n in (1, 2, 3, 4)] + [(5, "open", None)]
    assert rows(engine, "SELECT number FROM month ORDER BY closed_at NULLS LAST") == [(1,), (2,), (3,), (4,), (5,)]


def test_sold_out_means_closed(database_url: str, engine: Engine) -> None:
    make_world(engine, [5, 3])
    rows(engine, "UPDATE stock SET sold = supplied WHERE id > 1 RETURNING id")
    with leading(database_url) as leader:
        wait_until(lambda: leader.leading, 5, "it leads")
        rows(engine, "UPDATE stock SET sold = supplied RETURNING id")
        wait_until(lambda: (1, "closed", "depleted") in states(engine), 5, "month 1 is closed")
    assert rows(engine, "SELECT close_requested FROM month WHERE number = 1") == [(False,)]  # by nobody's hand


def test_a_shop_that_never_had_goods_is_not_sold_out(engine: Engine) -> None:
    with transaction(engine) as connection:
        transitions.prepare(connection, ["m1"], HOUR)
        transitions.begin(connection, Begin(1, datetime.now(UTC) + HOUR))
        transitions.open_sale(connection, 1)
        assert not transitions.look_closely(connection, RULES, None).depleted


def test_closed_when_everybody_present_is_done(database_url: str, engine: Engine) -> None:
    world = make_world(engine, [5], customers=3)

    def sign_in(customer: int, hours: int) -> None:
        rows(
            engine,
            "INSERT INTO customer_session VALUES (:token, :customer, now(), now() + make_interval(hours => :hours))"
            " RETURNING 1",
            token=f"{customer}".zfill(64),
            customer=customer,
            hours=hours,
        )

    def finish(customer: int) -> None:
        rows(engine, "INSERT INTO finished_customer VALUES (1, :customer) RETURNING 1", customer=customer)

    def look() -> Facts:
        with transaction(engine) as connection:
            return transitions.look_closely(connection, RULES, None)

    assert not look().finished, "nobody is there"
    sign_in(world.customers[0], 1)
    sign_in(world.customers[1], 1)
    sign_in(world.customers[2], -1)
    finish(world.customers[0])
    assert not look().finished, "one of two is still shopping"
    finish(world.customers[1])
    assert look().finished, "the third one's session has ended"
    with leading(database_url):
        wait_until(lambda: (1, "closed", "finished") in states(engine), 5, "month 1 is closed")


def test_goods_that_come_at_the_last_moment_keep_a_sold_out_month_open(engine: Engine) -> None:
    """The tick saw no goods; behind the gate it is decided anew."""
    make_world(engine, [0])
    rows(engine, "UPDATE stock SET supplied = 1 RETURNING id")
    with transaction(engine) as connection:
        assert transitions.close(connection, 1, RULES) is None
    assert states(engine) == [(1, "open", None)]


def test_each_transition_happens_once(engine: Engine) -> None:
    with transaction(engine) as connection:
        transitions.prepare(connection, ["m1"], HOUR)
        step = Begin(1, datetime.now(UTC) + HOUR)
        assert [transitions.begin(connection, step) for _ in range(2)] == [True, False]
        assert not transitions.begin(connection, Begin(2, datetime.now(UTC) + HOUR)), "one after the other"
        assert not transitions.settle(connection, 1)
        assert transitions.close(connection, 1, RULES) is None
        assert [transitions.open_sale(connection, 1) for _ in range(2)] == [True, False]
    assert states(engine) == [(1, "open", None)]


def test_the_gate_waits_for_purchases_and_keeps_later_ones_out(engine: Engine) -> None:
    """G1 to G3; a purchase that never ends holds the leader up for no longer than a lock may be waited for."""
    make_world(engine, [5])
    rows(engine, "UPDATE month SET close_requested = true RETURNING 1")
    impatient = engine_for(str(engine.url.render_as_string(hide_password=False)), lock_timeout_ms=300)
    with transaction(engine) as purchase:
        trip(purchase, [gate.ENTER])
        with pytest.raises(Busy), transaction(impatient) as connection:
            transitions.close(connection, 1, RULES)
    with transaction(impatient) as connection:
        assert transitions.close(connection, 1, RULES)
        with pytest.raises(Busy), transaction(impatient) as purchase:
            trip(purchase, [gate.ENTER])
    impatient.dispose()
    with transaction(engine) as connection:
        current = transitions.look(connection).month
    assert current is not None
    assert current.state is State.CLOSING


def test_a_new_month_length_takes_effect_at_the_next_start(database_url: str, engine: Engine) -> None:
    with leading(database_url, length=HOUR):
        wait_until(lambda: (1, "open", None) in states(engine), 5, "month 1 is open")
    with leading(database_url, length=timedelta(seconds=0.5), months_max=2):
        wait_until(lambda: (2, "closed", "time_over") in states(engine), 5, "both months went by")
    assert states(engine) == [(1, "closed", "time_over"), (2, "closed", "time_over")]
    assert rows(engine, "SELECT month_seconds FROM calendar") == [(0.5,)]


def until_led_again(leader: Leader) -> Callable[[], bool]:
    return lambda: leader.leading and leader.trouble is None


def test_a_leader_whose_session_was_ended_takes_the_lead_again(
    database_url: str, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source()
    with leading(database_url, source=source) as leader:
        wait_until(lambda: (1, "open", None) in states(engine), 5, "month 1 is open")
        rows(engine, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        wait_until(lambda: source.stopped == 1, 5, "it noticed")
        wait_until(until_led_again(leader), 5, "it leads again")
        request_close(engine)
        wait_until(lambda: (2, "open", None) in states(engine), 5, "month 2 is open")
    assert states(engine) == [(1, "closed", "by_hand"), (2, "open", None)]


def test_the_months_are_shown(engine: Engine) -> None:
    make_world(engine, [5, 3])
    rows(engine, "INSERT INTO gather_attempt VALUES (2, 1, 'refused', 'because', 3) RETURNING 1")
    with transaction(engine) as connection:
        (month,) = overview.months(connection)
    assert (month["number"], month["state"], month["reason"], month["closed_at"]) == (1, "open", None, None)
    assert month["ends_at"].endswith("Z")
    assert [(s["manufacturer"], s["outcome"], s["reason"], s["lines"], s["units"]) for s in month["supplies"]] == [
        ("m1", "booked", None, 1, 5),
        ("m2", "refused", "because", 1, 3),
    ]


def test_a_tick_is_cheap(engine: Engine) -> None:
    """With thirty thousand stock rows that are sold out but for the last one, a look that knows which reads a few pages."""
    make_world(engine, [1])
    with transaction(engine) as connection:
        connection.execute(text("INSERT INTO product (sku) SELECT 'X' || n FROM generate_series(1, 30000) AS n"))
        connection.execute(
            text(
                "INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied, sold, words)"
                " SELECT id, 2, sku, 1, 'GBP', 5, CASE WHEN sku = 'X30000' THEN 4 ELSE 5 END, '' FROM product"
                " WHERE sku LIKE 'X%'"
            )
        )
        connection.execute(text("UPDATE stock SET sold = supplied WHERE id = 1"))
    with transaction(engine) as connection:
        hint = transitions.look_closely(connection, RULES, None).left_over
        assert transitions.look_closely(connection, RULES, hint).left_over == hint
        knowing, unknowing = (pages_read(connection, known) for known in (hint, None))
    assert 0 < knowing < 50 < unknowing, "9 and 1,719 when this was written"


def pages_read(connection: Connection, hint: int | None) -> int:
    """How many of the database's pages a look reads."""
    said: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
        said.append((statement, values))

    event.listen(connection, "before_cursor_execute", note)
    transitions.look_closely(connection, RULES, hint)
    event.remove(connection, "before_cursor_execute", note)
    plans = [
        connection.exec_driver_sql("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + one, values) for one, values in said
    ]
    tops = [plan.scalar_one()[0]["Plan"] for plan in plans]
    return sum(int(top["Shared Hit Blocks"] + top["Shared Read Blocks"]) for top in tops)
