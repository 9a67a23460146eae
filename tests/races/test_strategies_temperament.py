"""How each strategy shows contention, and where each control fails: what their files say, seen on a real database."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from sqlalchemy import Engine, text

from distributor.database import Retries, transaction
from distributor.errors import Busy, TransactionConflict
from distributor.sales import Answer, Line, Sales
from distributor.strategies import NAMES, advisory_lock, load
from distributor.strategies.contract import Strategy, Taken
from tests.conftest import wait_until
from tests.distributor_races import (
    PATIENCE_SECONDS,
    Meeting,
    Pause,
    at_once,
    buy,
    in_background,
    tally,
    wait_for_waiters,
)
from tests.distributor_world import (
    World,
    assert_stored_as_told,
    discrepancies,
    engine_for,
    make_world,
    patient_settings,
    rows,
)

BUYERS = 12


@pytest.fixture
def engine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr("distributor.strategies.process_mutex.WAIT_SECONDS", PATIENCE_SECONDS)
    engine = engine_for(database_url, pool_size=BUYERS + 2)
    yield engine
    engine.dispose()


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [1, 50, 50], customers=BUYERS)


def take(engine: Engine, strategy: Strategy, *lines: Line) -> object:
    with transaction(engine, strategy.isolation) as connection:
        return strategy.take(connection, [lines])[0]


def last_unit(world: World, shops: list[Sales]) -> dict[object, int]:
    """Every customer wants the last unit, in one of the shops in turn."""
    line = Line(world.stock[0], 1)
    return tally(
        at_once([lambda c=c, n=n: buy(shops[n % len(shops)], c, "k", line) for n, c in enumerate(world.customers)])  # type: ignore[misc]
    )


def test_process_mutex_is_right_in_one_process(engine: Engine, world: World) -> None:
    """All who are to meet after their look at the stock cannot: only one is inside."""
    Meeting(engine, "FROM stock", 2, seconds=0.3)
    assert last_unit(world, [Sales(engine, load("process_mutex"), patient_settings())]) == {201: 1, 409: BUYERS - 1}
    assert not discrepancies(engine)


def test_control_process_mutex_sells_the_last_unit_once_in_each_of_two_processes(engine: Engine, world: World) -> None:
    """Two strategy objects share no mutex, as two instances behind the load balancer do not."""
    Meeting(engine, "FROM stock", 2, seconds=PATIENCE_SECONDS)
    shops = [Sales(engine, load("process_mutex"), patient_settings()) for _instance in range(2)]
    assert last_unit(world, shops) == {201: 2, 409: BUYERS - 2}
    (stock,) = discrepancies(engine)
    assert (stock.supplied, stock.sold, stock.ordered) == (1, 1, 2)


def test_process_mutex_does_not_wait_for_ever(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distributor.strategies.process_mutex.WAIT_SECONDS", 0.05)
    strategy = load("process_mutex")
    with strategy.whole_transaction(), pytest.raises(Busy), strategy.whole_transaction():  # type: ignore[attr-defined]
        pytest.fail("two are inside")


def test_control_row_lock_unordered_deadlocks_and_still_sells_right(engine: Engine, world: World) -> None:
    """Two carts with the same two goods, each stopped after its first lock; PostgreSQL picks the victim."""
    causes: list[str] = []
    strategy = load("row_lock_unordered")
    sales = Sales(engine, strategy, patient_settings(), Retries(6, on_retry=causes.append))
    Meeting(engine, "FROM stock", 2, seconds=PATIENCE_SECONDS)
    basket = [Line(stock_id, 1) for stock_id in world.stock[1:]]
    orders = iter([basket, basket[::-1]] * BUYERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random, "sample", lambda _lines, _count: next(orders))
        results = tally(at_once([lambda c=c: buy(sales, c, "k", *basket) for c in world.customers[:2]]))  # type: ignore[misc]
    assert results == {201: 2}
    assert set(causes) == {"40P01"}  # the victim's second attempt may meet the other one again
    assert not discrepancies(engine)


class TellsWhoComes:
    """A lock that is held, and tells when somebody comes to it."""

    def __init__(self, lock: "threading.Lock", came: threading.Event) -> None:
        self._lock = lock
        self._came = came

    def acquire(self, timeout: float) -> bool:
        self._came.set()
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        self._lock.release()


HELD_SECONDS = 0.1
REPEATED = {"nowait": "55P03", "optimistic": "version", "serializable": "40001"}
"""Whose waiting ends with a repetition, and why; the others go on."""


@pytest.mark.parametrize("name", NAMES)
def test_a_purchase_tells_how_long_a_rival_held_it_up_and_why_it_was_repeated(
    engine: Engine, world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rival takes the same goods by the same strategy and commits when the other has waited for it."""
    strategy, causes = load(name), list[str]()
    sales = Sales(engine, strategy, patient_settings(), Retries(50, strategy.retry_on, on_retry=causes.append))
    line = Line(world.stock[1], 1)
    mutex = strategy.whole_transaction() if name == "process_mutex" else nullcontext()  # type: ignore[attr-defined]
    with mutex, transaction(engine, strategy.isolation) as rival:
        strategy.take(rival, [[line]])
        came = threading.Event()
        if name == "process_mutex":
            monkeypatch.setattr(strategy, "_mutex", TellsWhoComes(strategy._mutex, came))  # type: ignore[attr-defined]
        began = time.monotonic()
        thread, result = in_background(lambda: sales.place(world.customers[0], "k", [line], "0" * 64))
        if name == "process_mutex":
            assert came.wait(PATIENCE_SECONDS)
        elif name == "nowait":
            wait_until(lambda: causes, what="it was turned away")
        else:
            wait_for_waiters(engine)
        held_from = time.monotonic()
        wait_until(lambda: time.monotonic() - held_from > 2 * HELD_SECONDS, what="it has waited that long")
    thread.join(PATIENCE_SECONDS)
    took = time.monotonic() - began
    answer = result[0]
    assert isinstance(answer, Answer)
    met = answer.contention
    assert met is not None
    assert (met.strategy, set(met.repeats)) == (name, {REPEATED[name]} if name in REPEATED else set())
    waited = met.queued_seconds if name == "process_mutex" else met.lock_seconds
    if name != "nowait":
        assert HELD_SECONDS < waited < took
    assert_stored_as_told(engine, answer)


def test_a_purchase_that_gives_up_tells_what_it_met(engine: Engine, world: World) -> None:
    line = Line(world.stock[1], 1)
    with transaction(engine) as rival:
        load("nowait").take(rival, [[line]])
        with pytest.raises(Busy) as busy:
            Sales(engine, load("nowait"), patient_settings(), Retries(3)).place(
                world.customers[0], "k", [line], "0" * 64
            )
    assert busy.value.contention is not None
    assert busy.value.contention.repeats == ("55P03", "55P03")


def test_nowait_refuses_at_once_where_row_lock_waits(engine: Engine, world: World) -> None:
    with engine.connect() as stranger:
        stranger.execute(text("SELECT 1 FROM stock WHERE id = :id FOR UPDATE"), {"id": world.stock[0]})
        with pytest.raises(TransactionConflict) as conflict:
            take(engine, load("nowait"), Line(world.stock[0], 1))
        assert conflict.value.sqlstate == "55P03"
        thread, result = in_background(lambda: take(engine, load("row_lock"), Line(world.stock[0], 1)))
        wait_for_waiters(engine)
        assert thread.is_alive()
        stranger.rollback()
        thread.join(PATIENCE_SECONDS)
    assert isinstance(result[0], Taken)


@pytest.mark.parametrize(
    ("name", "cause"), [("optimistic", "version"), ("serializable", "40001"), ("naive", None)], ids=str
)
def test_a_row_that_changed_since_it_was_read_is_a_conflict_for_all_but_naive(
    engine: Engine, world: World, name: str, cause: str | None
) -> None:
    stock_id = world.stock[1]
    pause = Pause(engine, "FROM stock")
    thread, result = in_background(lambda: take(engine, load(name), Line(stock_id, 1)))
    assert pause.reached.wait(PATIENCE_SECONDS)
    take(engine, load("conditional_update"), Line(stock_id, 5))
    pause.release.set()
    thread.join(PATIENCE_SECONDS)
    sold = rows(engine, "SELECT sold FROM stock WHERE id = :id", id=stock_id)[0].sold
    if cause is None:
        assert (type(result[0]), sold) == (Taken, 1)  # five sold units forgotten
    else:
        assert isinstance(result[0], TransactionConflict)
        assert (result[0].sqlstate, sold) == (cause, 5)


def test_conflicts_are_repeated_until_the_attempts_are_used_up_and_then_the_shop_is_busy(
    engine: Engine, world: World
) -> None:
    causes: list[str] = []
    sales = Sales(engine, load("nowait"), patient_settings(), Retries(3, on_retry=causes.append, sleep=lambda _s: None))
    with engine.connect() as stranger:
        stranger.execute(text("SELECT 1 FROM stock WHERE id = :id FOR UPDATE"), {"id": world.stock[0]})
        with pytest.raises(Busy):
            buy(sales, world.customers[0], "k", Line(world.stock[0], 1))
    assert causes == ["55P03"] * 2
    assert buy(sales, world.customers[0], "k", Line(world.stock[0], 1)).status == 201


def test_rows_that_share_an_advisory_key_only_wait_for_each_other(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advisory_lock, "KEYS", 1)
    strategy = load("advisory_lock")
    result = take(engine, strategy, *[Line(stock_id, 1) for stock_id in world.stock])
    assert isinstance(result, Taken)
    assert [row.sold for row in rows(engine, "SELECT sold FROM stock ORDER BY id")] == [1, 1, 1]


def test_a_large_basket_locks_the_whole_space_and_waits_for_the_small_ones(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advisory_lock, "LINES_LOCKED_MAX", 1)
    strategy = load("advisory_lock")
    with transaction(engine) as connection:
        strategy.take(connection, [[Line(world.stock[0], 1)]])
        thread, result = in_background(lambda: take(engine, strategy, Line(world.stock[1], 1), Line(world.stock[2], 1)))
        wait_for_waiters(engine)
        assert thread.is_alive()
    thread.join(PATIENCE_SECONDS)
    assert isinstance(result[0], Taken)
