"""Races for what carts hold. Each protection has its control: the same race with the protection removed goes wrong.

Numbers (H1 …) are those of distributor/holds.
"""

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from distributor.database import Retries, transaction
from distributor.errors import NotEnoughStock, TransactionConflict
from distributor.holds import taking
from distributor.sales import Answer
from distributor.strategies import CONTROLS, NAMES, load
from distributor.strategies.contract import DEADLOCK_DETECTED, SERIALIZATION_FAILURE, IsolationLevel, Strategy
from distributor.strategies.row_lock import RowLock
from settings.model import Cart as Limits
from tests.distributor_races import PATIENCE_SECONDS, Meeting, Pause, at_once, in_background, tally
from tests.distributor_world import discrepancies, engine_for, make_world, rows
from tests.holds_world import HOLD_SECONDS, HoldingShop, overheld

CROWD = 12
ADA, BOB, CLEO = range(3)
CORRECT = [name for name in NAMES if name not in CONTROLS]
HOLDS_ARE_READ = "LEFT JOIN cart_line AS hold"
STOCK_IS_WRITTEN = "UPDATE stock SET holds_made"


class OneSnapshot(RowLock):
    """REPEATABLE READ: a snapshot from before everything that happens while it is on its way."""

    name = "one_snapshot"
    isolation: IsolationLevel = "REPEATABLE READ"
    retry_on = frozenset({SERIALIZATION_FAILURE, DEADLOCK_DETECTED})


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url, pool_size=CROWD + 2)
    yield engine
    engine.dispose()


def shop_of(engine: Engine, units: int, customers: int = CROWD, strategy: Strategy | None = None) -> HoldingShop:
    return HoldingShop(engine, make_world(engine, [units], customers=customers), strategy or load("row_lock"))


def waits_for_a_lock(engine: Engine) -> bool:
    return bool(
        rows(
            engine,
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
    )


def outcomes(results: list[Any]) -> dict[str, int]:
    held = sum(result is None for result in results)
    refused = sum(isinstance(result, NotEnoughStock) for result in results)
    assert held + refused == len(results), results
    return {"held": held, "refused": refused}


def everybody_holds(shop: HoldingShop) -> list[Any]:
    return at_once([lambda c=c: shop.put(c, 0, 1) for c in range(CROWD)])  # type: ignore[misc]


@pytest.mark.parametrize("units", [1, 5])
def test_the_last_units_are_held_once_each(engine: Engine, units: int) -> None:
    """H2: all have their line in the cart before the first one reaches the stock row."""
    shop = shop_of(engine, units)
    meeting = Meeting(engine, "INSERT INTO cart_line", CROWD, seconds=PATIENCE_SECONDS)
    assert outcomes(everybody_holds(shop)) == {"held": units, "refused": CROWD - units}
    assert meeting.all_met
    assert rows(engine, "SELECT sum(held) AS held FROM cart_line") == [(units,)]


def test_control_without_the_write_of_the_stock_row_the_last_unit_is_held_many_times(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "_WRITE_STOCK", text("SELECT FROM stock WHERE id = :stock_id"))
    shop = shop_of(engine, 1)
    Meeting(engine, HOLDS_ARE_READ, CROWD, seconds=PATIENCE_SECONDS)
    assert outcomes(everybody_holds(shop)) == {"held": CROWD, "refused": 0}
    assert overheld(engine)


HOLD_BY_SUBQUERY = text("""
    UPDATE stock SET holds_made = holds_made + 1
    WHERE id = :stock_id AND supplied - withdrawn - sold - (
        SELECT coalesce(sum(held), 0) FROM cart_line
        WHERE cart_line.stock_id = stock.id AND held > 0 AND held_until > statement_timestamp()
    ) >= 1
    RETURNING id
""")


def test_control_a_subquery_in_the_update_is_judged_by_an_old_snapshot(
    engine: Engine, wait_until: Callable[..., None]
) -> None:
    """Why a hold is judged by a statement of its own (H3): the row is read again after the wait, the carts are not."""
    shop = shop_of(engine, 1)
    stock_id = shop.world.stock[0]
    pause = Pause(engine, STOCK_IS_WRITTEN)
    first, held = in_background(lambda: shop.put(ADA, 0, 1))
    assert pause.reached.wait(60)

    def by_subquery() -> object:
        with transaction(engine) as connection:
            return connection.execute(HOLD_BY_SUBQUERY, {"stock_id": stock_id}).first()

    second, found = in_background(by_subquery)
    wait_until(lambda: waits_for_a_lock(engine), what="the second one waits for the row")
    pause.release.set()
    first.join(60)
    second.join(60)
    assert held == [None]
    assert rows(engine, "SELECT held FROM cart_line") == [(1,)]
    assert found == [(stock_id,)]  # it was let through, although the only unit is held
    assert by_subquery() is None  # begun later, the very same statement sees the hold


@pytest.mark.parametrize("name", [*CORRECT, "one_snapshot"])
def test_a_purchase_that_waits_for_a_hold_leaves_it_alone(
    engine: Engine, name: str, wait_until: Callable[..., None]
) -> None:
    """H4: the hold has written the stock row and is not committed yet."""
    shop = shop_of(engine, 1, strategy=OneSnapshot() if name == "one_snapshot" else load(name))
    pause = Pause(engine, STOCK_IS_WRITTEN)
    holding, held = in_background(lambda: shop.put(ADA, 0, 1))
    assert pause.reached.wait(60)
    buying, bought = in_background(lambda: shop.buy(BOB, (0, 1)))
    wait_until(lambda: waits_for_a_lock(engine) or not buying.is_alive(), what="the purchase waits or has given up")
    pause.release.set()
    holding.join(60)
    buying.join(60)
    assert held == [None]
    assert not overheld(engine)
    assert rows(engine, "SELECT sold FROM stock") == [(0,)]
    assert tally(bought) == {"Busy": 1} if name == "nowait" else shop.refused(bought[0]) == [(0, 0, 1)]


@pytest.mark.parametrize("name", CORRECT)
def test_a_hold_that_waits_for_a_purchase_finds_nothing_left(
    engine: Engine, name: str, wait_until: Callable[..., None]
) -> None:
    """H3: the purchase has been compared with holds and is not committed yet."""
    shop = shop_of(engine, 1, strategy=load(name))
    pause = Pause(engine, HOLDS_ARE_READ)
    buying, bought = in_background(lambda: shop.buy(BOB, (0, 1)))
    assert pause.reached.wait(60)
    holding, held = in_background(lambda: shop.put(ADA, 0, 1))
    wait_until(lambda: waits_for_a_lock(engine), what="the hold waits for the row")
    pause.release.set()
    buying.join(60)
    holding.join(60)
    assert tally(bought) == {201: 1}
    assert shop.short(held[0]) == ((0, 0, 0),)
    assert not overheld(engine)


def hold_behind_a_snapshot(shop: HoldingShop) -> Answer:
    """A purchase whose snapshot is older than a hold that is committed before it takes the goods."""
    pause = Pause(shop.engine, "FOR SHARE")  # records.hold_month: the first thing after the snapshot
    buying, bought = in_background(lambda: shop.buy(BOB, (0, 1)))
    assert pause.reached.wait(60)
    shop.put(ADA, 0, 1)
    pause.release.set()
    buying.join(60)
    answer = bought[0]
    assert isinstance(answer, Answer), answer
    return answer


@pytest.mark.parametrize("strategy", [OneSnapshot(), load("serializable")], ids=lambda strategy: strategy.name)
def test_an_old_snapshot_does_not_hide_a_hold(engine: Engine, strategy: Strategy) -> None:
    """H3: the hold's write of the stock row is a conflict for it, so the purchase begins anew and sees the hold."""
    shop = shop_of(engine, 1, strategy=strategy)
    assert shop.refused(hold_behind_a_snapshot(shop)) == [(0, 0, 1)]
    assert not overheld(engine)


@pytest.mark.parametrize("strategy", [OneSnapshot(), load("serializable")], ids=lambda strategy: strategy.name)
def test_control_a_lock_in_place_of_the_write_lets_an_old_snapshot_sell_what_is_held(
    engine: Engine, strategy: Strategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_locked = text("SELECT FROM stock WHERE id = :stock_id FOR NO KEY UPDATE")
    monkeypatch.setattr(taking, "_WRITE_STOCK", only_locked)
    shop = shop_of(engine, 1, strategy=strategy)
    assert hold_behind_a_snapshot(shop).status == 201
    assert overheld(engine)


@pytest.mark.parametrize("name", CORRECT)
def test_holders_and_buyers_share_what_is_there(engine: Engine, name: str) -> None:
    """Half of a crowd holds, half buys, for fewer units than customers; then the holders buy what they hold."""
    shop = shop_of(engine, 5, strategy=load(name))
    retry(shop, attempts_max=200)
    half = CROWD // 2

    holding: list[Callable[[], object]] = [lambda c=c: shop.put(c, 0, 1) for c in range(half)]  # type: ignore[misc]
    buyers: list[Callable[[], object]] = [lambda c=c: shop.buy(c, (0, 1)) for c in range(half, CROWD)]  # type: ignore[misc]
    results = at_once(holding + buyers)
    holders = [customer for customer in range(half) if results[customer] is None]
    sold = sum(isinstance(result, Answer) and result.status == 201 for result in results)
    assert not overheld(engine)
    if name != "nowait":  # which may turn everybody away for a moment
        assert sold + len(holders) == 5
    assert [shop.buy(customer).status for customer in holders] == [201] * len(holders)
    assert not discrepancies(engine)
    assert rows(engine, "SELECT sold FROM stock") == [(sold + len(holders),)]


def retry(shop: HoldingShop, attempts_max: int) -> None:
    """How often a purchase is repeated: until it has an answer, or so that every conflict is seen."""
    shop.sales._single._retries = Retries(attempts_max, shop.strategy.retry_on, sleep=lambda _seconds: None)


def test_control_naive_sells_what_others_hold(engine: Engine) -> None:
    """Three units, two of them held; two buyers want one each, and both read the counter before either writes it."""
    shop = shop_of(engine, 3, strategy=load("naive"))
    shop.put(ADA, 0, 2)
    Meeting(engine, "FROM stock JOIN product", 2, seconds=PATIENCE_SECONDS)
    results = at_once([lambda c=c: shop.buy(c, (0, 1)) for c in (BOB, CLEO)])  # type: ignore[misc]
    assert tally(results) == {201: 2}
    assert shop.buy(ADA).status == 201  # four sold of three
    assert discrepancies(engine)


def test_an_ended_hold_is_taken_again_or_lost_to_another_but_never_both(engine: Engine) -> None:
    shop = shop_of(engine, 1)
    shop.put(ADA, 0, 1)
    shop.expire(ADA, 0)
    Meeting(engine, "FROM customer WHERE id", 2, seconds=PATIENCE_SECONDS)
    assert outcomes(at_once([lambda: shop.again(ADA, 0), lambda: shop.put(BOB, 0, 1)])) == {"held": 1, "refused": 1}
    assert not overheld(engine)


def test_control_an_ended_hold_is_lengthened_beside_anothers_without_the_write(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "_WRITE_STOCK", text("SELECT FROM stock WHERE id = :stock_id"))
    shop = shop_of(engine, 1)
    shop.put(ADA, 0, 1)
    shop.expire(ADA, 0)
    Meeting(engine, HOLDS_ARE_READ, 2, seconds=PATIENCE_SECONDS)
    assert outcomes(at_once([lambda: shop.again(ADA, 0), lambda: shop.put(BOB, 0, 1)])) == {"held": 2, "refused": 0}
    assert overheld(engine)


def in_two_tabs(engine: Engine, seconds: float) -> int:
    """Lines that are held of one customer whose limit is one line, when two are put in at once.

    ``seconds``: how long the first one waits for the other to have looked, too."""
    limits = Limits(hold_seconds=HOLD_SECONDS, hold_lines_max=1)
    shop = HoldingShop(engine, make_world(engine, [5, 5]), limits=limits)
    Meeting(engine, "LEFT JOIN cart_line AS other", 2, seconds=seconds)
    assert at_once([lambda: shop.put(ADA, 0, 1), lambda: shop.put(ADA, 1, 1)]) == [None, None]
    return sum(line.held > 0 for line in shop.cart(ADA).lines)


def test_two_tabs_together_keep_to_the_limit(engine: Engine) -> None:
    assert in_two_tabs(engine, seconds=0.5) == 1


def test_control_without_the_lock_of_the_customer_two_tabs_pass_the_limit(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "_LOCK_CUSTOMER", text("SELECT FROM customer WHERE id = :customer_id"))
    assert in_two_tabs(engine, PATIENCE_SECONDS) == 2


@pytest.mark.parametrize("act", ["buys", "holds again"])
def test_the_sweeper_neither_waits_for_nor_disturbs_a_customer(engine: Engine, act: str) -> None:
    shop = shop_of(engine, 1)
    shop.put(ADA, 0, 1)
    shop.expire(ADA, 0)
    pause = Pause(engine, "FOR UPDATE" if act == "buys" else STOCK_IS_WRITTEN)  # the cart line is locked by then
    working, result = in_background(lambda: shop.buy(ADA) if act == "buys" else shop.again(ADA, 0))
    assert pause.reached.wait(60)
    assert shop.tidy() == 0
    pause.release.set()
    working.join(60)
    assert not isinstance(result[0], Exception)
    assert shop.tidy() == 0
    assert rows(engine, "SELECT held FROM cart_line") == ([] if act == "buys" else [(1,)])


@pytest.mark.parametrize("name", ["row_lock", "conditional_update", "group_commit"])
def test_customers_who_do_everything_at_once_never_deadlock(engine: Engine, name: str) -> None:
    """H7: two tabs each of three customers, five rows, every act; with waiting strategies nothing may conflict."""
    shop = HoldingShop(engine, make_world(engine, [40] * 5, customers=3), load(name))
    retry(shop, attempts_max=1)
    together = threading.Barrier(6)

    def tab(number: int) -> list[Exception]:
        chance = random.Random(number)
        raised = []
        together.wait(60)
        for _ in range(25):
            try:
                act_at_random(shop, number % 3, chance)
            except NotEnoughStock:
                continue
            except Exception as error:  # noqa: BLE001 - shown by the test
                raised.append(error)
        return raised

    results = at_once([lambda n=n: tab(n) for n in range(6)])  # type: ignore[misc]
    unexpected = [error for result in results for error in result if not expected(error)]
    assert unexpected == []
    assert not overheld(engine)
    assert not discrepancies(engine)


def act_at_random(shop: HoldingShop, customer: int, chance: random.Random) -> None:
    stock, units = chance.randrange(5), chance.randint(1, 3)
    choice = chance.randrange(6)
    if choice <= 1:
        shop.add(customer, stock, units)
    elif choice == 2:
        shop.put(customer, stock, units)
    elif choice == 3:
        shop.again(customer, stock)
    elif choice == 4:
        shop.buy(customer)
    else:
        shop.buy(customer, (stock, 1), ((stock + 2) % 5, 1))


def expected(error: Exception) -> bool:
    """The limits of holds, and lines that are not in the cart, are part of the play; conflicts are not."""
    return type(error).__name__ in {"HoldRefused", "UnknownStock"} and not isinstance(error, TransactionConflict)
