"""Two leaders, leaders that lost their session, and supplies that are booked while customers buy.

Each test has its control: the same interleaving without the protection does the damage.
"""

import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Self

import pytest
from sqlalchemy import Connection, Engine, event, text

from distributor.database import transaction
from distributor.errors import DatabaseUnavailable, OutcomeUnknown, ShopClosed
from distributor.gather.booking import book, rename
from distributor.gather.feed import Offer, OfferItem
from distributor.months import overview, transitions
from distributor.months.decisions import Begin, Rules
from distributor.months.leader import Leader, Pace
from distributor.months.leadership import LEADER, Leadership, LeadershipLost
from distributor.months.telling import Teller
from distributor.months.totals import tell_next
from distributor.sales import Line, Sales
from distributor.strategies import load
from tests.conftest import wait_until
from tests.distributor_world import World, discrepancies, engine_for, make_world, patient_settings, rows

HOUR = timedelta(hours=1)
RULES = Rules(timedelta(0), timedelta(seconds=5), 0)
MONTHS = 12


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url, pool_size=10)
    yield engine
    engine.dispose()


class Source:
    """A gather that has nothing to do."""

    def tend(self, month: int | None, *, urgent: bool) -> None: ...

    def asked(self, month: int) -> bool:
        return True

    def stop(self, seconds_max: float) -> None: ...


def end_leader_sessions(engine: Engine) -> None:
    """Returns when they have gone: until then their owners cannot see it."""
    rows(
        engine,
        "SELECT pg_terminate_backend(pid, 30000) FROM pg_locks WHERE locktype = 'advisory' AND objid = :leader AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())",
        leader=LEADER,
    )


def test_three_leaders_whose_sessions_are_ended_at_random_move_the_months_once(
    database_url: str, engine: Engine
) -> None:
    """L1, L2, E1, E2: every month once, in order, and (totals.O1) every manufacturer told once."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    stop = threading.Event()
    engines = [engine_for(database_url, pool_size=1) for _ in range(3)]
    pace = Pace(HOUR, Rules(timedelta(0), timedelta(seconds=5), MONTHS), 0.01, ("m1", "m2", "m3"))
    leaders = [Leader(own, pace, Source(), stop) for own in engines]
    tellers = [Teller(engine, 0.01, stop) for _ in range(3)]
    runs = [leader.run for leader in leaders] + [teller.run for teller in tellers]
    threads = [threading.Thread(target=run) for run in runs]
    for thread in threads:
        thread.start()

    def done() -> bool:
        with transaction(engine) as connection:
            overview.request_close(connection)
        if chance.random() < 0.2:
            end_leader_sessions(engine)
        return bool(rows(engine, "SELECT 1 FROM month WHERE number = :n AND told_at IS NOT NULL", n=MONTHS))

    wait_until(done, 60, f"{MONTHS} months went by, seed {seed}")
    stop.set()
    for thread in threads:
        thread.join(60)
    for own in engines:
        own.dispose()
    months = rows(engine, "SELECT number FROM month ORDER BY closed_at")
    assert [number for (number,) in months] == list(range(1, MONTHS + 1)), f"seed {seed}"
    told = rows(engine, "SELECT manufacturer, body ->> 'month' AS month, count(*) FROM outbox GROUP BY 1, 2")
    assert {count for *_, count in told} == {1}, f"seed {seed}"
    assert len(told) == 3 * MONTHS


@pytest.fixture
def zombie(database_url: str, engine: Engine) -> Iterator[tuple[Leadership, Engine]]:
    """It leads a system whose month 1 is due, and does not know yet that its session was ended."""
    own = engine_for(database_url, pool_size=1)
    leadership = Leadership.take(own, 60)
    assert leadership is not None
    with leadership.transaction() as connection:
        transitions.prepare(connection, ["m1"], HOUR)
    end_leader_sessions(engine)
    yield leadership, own
    own.dispose()


def begin(connection: Connection) -> bool:
    return transitions.begin(connection, Begin(1, datetime.now(UTC) + HOUR))


def test_a_leader_whose_session_was_ended_changes_nothing(zombie: tuple[Leadership, Engine], engine: Engine) -> None:
    """L2: nobody else leads yet, and still it must not: it cannot know."""
    leadership, _ = zombie
    with pytest.raises((LeadershipLost, DatabaseUnavailable)), leadership.transaction() as connection:
        begin(connection)
    assert rows(engine, "SELECT number FROM month") == []


def test_control_an_ordinary_transaction_of_that_process_would_have_gone_through(
    zombie: tuple[Leadership, Engine], engine: Engine
) -> None:
    """The pool replaces the lost connection in silence: without L2 the zombie would go on."""
    _, own = zombie
    with transaction(own) as connection:
        assert begin(connection)
    assert rows(engine, "SELECT number FROM month") == [(1,)]


def test_a_transaction_that_was_under_way_when_the_lead_was_lost_does_not_commit(
    database_url: str, engine: Engine
) -> None:
    first, second = engine_for(database_url, pool_size=1), engine_for(database_url, pool_size=1)
    leadership = Leadership.take(first, 60)
    assert leadership is not None
    with leadership.transaction() as connection:
        transitions.prepare(connection, ["m1"], HOUR)
    assert Leadership.take(second, 60) is None
    with pytest.raises(OutcomeUnknown), leadership.transaction() as connection:
        assert begin(connection)
        end_leader_sessions(engine)
        successors: list[Leadership | None] = []

        def taken() -> bool:
            successors.append(Leadership.take(second, 60))
            return successors[-1] is not None

        wait_until(taken, 5, "another one leads")
        assert successors[-1] is not None
        with successors[-1].transaction() as other:
            assert begin(other)
    assert rows(engine, "SELECT number, state FROM month") == [(1, "gathering")]
    first.dispose()
    second.dispose()


def test_a_leader_that_is_paused_loses_to_one_that_is_awake(database_url: str, engine: Engine) -> None:
    """L3"""
    first, second = engine_for(database_url, pool_size=1), engine_for(database_url, pool_size=1)
    paused = Leadership.take(first, 0.5)
    assert paused is not None
    wait_until(lambda: Leadership.take(second, 60), 5, "another one leads")
    with pytest.raises((LeadershipLost, DatabaseUnavailable)), paused.transaction():
        pytest.fail("it leads no more")
    first.dispose()
    second.dispose()


class Buyers:
    """Customers who buy without a pause, each in a thread, until the block ends; ``failures`` must stay empty."""

    def __init__(self, engine: Engine, world: World, seed: int, units_max: int = 2) -> None:
        self.bought = 0
        self.failures: list[BaseException] = []
        self._sales = Sales(engine, load("row_lock"), patient_settings())
        self._world = world
        self._seed = seed
        self._units_max = units_max
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._buy, args=(customer,)) for customer in world.customers]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _buy(self, customer: int) -> None:
        chance = random.Random(f"{self._seed} {customer}")
        number = 0
        while not self._stop.is_set():
            number += 1
            chosen = chance.sample(self._world.stock, 4)
            lines = [Line(stock_id, chance.randint(1, self._units_max)) for stock_id in chosen]
            try:
                self._sales.place(customer, f"{customer}-{number}", lines, hashlib.sha256().hexdigest())
            except ShopClosed:
                continue
            except Exception as error:  # noqa: BLE001 - the test shows it
                self.failures.append(error)
            self.bought += 1


def test_no_purchase_commits_in_a_month_that_is_closing(engine: Engine) -> None:
    """G2: however the closing falls among purchases, what was told is what was sold."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    world = make_world(engine, [10_000] * 4, customers=4)
    with Buyers(engine, world, seed) as buyers:
        for number in range(1, 6):
            enough = buyers.bought + chance.randrange(5, 40)
            wait_until(lambda enough=enough: buyers.bought >= enough, 20, "some bought")  # type: ignore[misc]
            run_month_to_its_end(engine, number)
    told = rows(
        engine,
        "SELECT CAST(body ->> 'month' AS int), sum(CAST(total ->> 'sold' AS int))"
        " FROM outbox CROSS JOIN jsonb_array_elements(body -> 'totals') AS total WHERE type = 'month.closed' GROUP BY 1",
    )
    sold = rows(engine, "SELECT month, sum(quantity) FROM orders JOIN order_line ON order_id = orders.id GROUP BY 1")
    sold_by_month = {month: int(units) for month, units in sold}
    unsold = rows(
        engine,
        "SELECT CAST(body ->> 'month' AS int), sum(CAST(total ->> 'unsold' AS int))"
        " FROM outbox CROSS JOIN jsonb_array_elements(body -> 'totals') AS total WHERE type = 'month.closed' GROUP BY 1",
    )
    sold_until = {number: sum(sold_by_month.get(month, 0) for month in range(1, number + 1)) for number in range(1, 6)}
    assert {month: int(units) for month, units in unsold} == {
        number: 40_000 - units for number, units in sold_until.items()
    }, f"seed {seed}"
    assert {month: int(units) for month, units in told} == {
        month: sold_by_month.get(month, 0) for month in range(1, 6)
    }, f"seed {seed}"
    assert buyers.failures == [], f"seed {seed}"
    assert discrepancies(engine) == []


def run_month_to_its_end(engine: Engine, number: int) -> None:
    with transaction(engine) as connection:
        overview.request_close(connection)
    with transaction(engine) as connection:
        assert transitions.close(connection, number, RULES)
    with transaction(engine) as connection:
        assert transitions.settle(connection, number)
    with transaction(engine) as connection:
        assert transitions.begin(connection, Begin(number + 1, datetime.now(UTC) + HOUR))
        assert transitions.open_sale(connection, number + 1)
    with transaction(engine) as connection:  # O2: the next month sells already
        assert tell_next(connection) == number


SKUS = [f"P{number:03}" for number in range(1, 21)]


def offer(code: str, month: int, skus: list[str], quantity: int) -> Offer:
    items = tuple(OfferItem(sku, f"Good {sku}", quantity, 250, "GBP") for sku in skus)
    return Offer(code, f"Works {code}", month, items, hashlib.sha256(f"{code} {month}".encode()).hexdigest())


def book_at_once(engine: Engine, offers: list[Offer]) -> list[BaseException]:
    """Each offer in a thread of its own; what went wrong."""
    return at_once(engine, [partial(book, offer=offer) for offer in offers])


def at_once(engine: Engine, works: list[Callable[[Connection], object]]) -> list[BaseException]:
    """Each in a thread and a transaction of its own; what went wrong."""
    failures: list[BaseException] = []

    def do(work: Callable[[Connection], object]) -> None:
        try:
            with transaction(engine) as connection:
                work(connection)
        except Exception as error:  # noqa: BLE001 - the test shows it
            failures.append(error)

    threads = [threading.Thread(target=do, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failures


def test_supplies_are_booked_while_customers_buy(engine: Engine) -> None:
    """S3, S4: four months, both manufacturers at once and each twice, in random order; no deadlock, no unit lost."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    world = make_world(engine, [3] * len(SKUS), customers=4)
    failures: list[BaseException] = []
    with Buyers(engine, world, seed) as buyers:
        for month in range(2, 6):
            run_month_to_its_end(engine, month - 1)
            offers = [offer(code, month, chance.sample(SKUS, len(SKUS)), 4) for code in ("m1", "m2", "m1", "m2")]
            failures += book_at_once(engine, offers)
    assert failures + buyers.failures == [], f"seed {seed}"
    assert discrepancies(engine) == []
    supplied = "SELECT coalesce(sum(supplied), 0) FROM stock"
    assert rows(engine, supplied) == rows(engine, "SELECT sum(quantity) FROM supply_line")
    assert rows(engine, supplied) == [(3 * len(SKUS) + 4 * 2 * len(SKUS) * 4,)]
    assert rows(engine, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]


def book_by_setting(connection: Connection, brought: Offer) -> None:
    """The control: what there is now, read and written back with the new units."""
    found = connection.execute(text("SELECT id, supplied, sold FROM stock ORDER BY id")).all()
    connection.execute(text("SELECT pg_advisory_xact_lock(1)"))  # a place between reading and writing, for the test
    for row in found:
        connection.execute(
            text("UPDATE stock SET supplied = :supplied, sold = :sold WHERE id = :id"),
            {"id": row.id, "supplied": row.supplied + brought.items[0].quantity, "sold": row.sold},
        )


@pytest.mark.parametrize(
    ("booking", "before", "lost"),
    [(book, "FOR NO KEY UPDATE OF stock", 0), (book_by_setting, "pg_advisory_xact_lock(1)", 1)],
    ids=["adding", "control-setting"],
)
def test_a_sale_in_the_middle_of_a_booking_is_kept(
    engine: Engine, booking: Callable[[Connection, Offer], Any], before: str, lost: int
) -> None:
    """S3, and its control: setting the quantity loses the sale."""
    world = make_world(engine, [5])
    rows(engine, "DELETE FROM supply_line RETURNING 1")
    rows(engine, "DELETE FROM supply RETURNING 1")
    sales = Sales(engine, load("row_lock"), patient_settings())
    sold: list[int] = []

    def buy_then(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if before in statement and not sold:
            sold.append(1)
            answer = sales.place(world.customers[0], "k", [Line(world.stock[0], 2)], hashlib.sha256().hexdigest())
            assert answer.status == 201

    with transaction(engine) as connection:
        event.listen(connection, "before_cursor_execute", buy_then)
        booking(connection, offer("m1", 1, ["P001"], 4))
    assert sold == [1]
    assert len(discrepancies(engine)) == lost
    assert rows(engine, "SELECT supplied FROM stock") == [(9,)]


def test_two_manufacturers_cannot_take_one_name_at_the_same_time(engine: Engine) -> None:
    with transaction(engine) as connection:
        transitions.prepare(connection, ["m1", "m2"], HOUR)
        transitions.begin(connection, Begin(1, datetime.now(UTC) + HOUR))
    failures = at_once(engine, [partial(rename, code=code, name="Same Works") for code in ("m1", "m2")])
    assert len(failures) == 1
    assert "cannot be told apart" in str(failures[0])
