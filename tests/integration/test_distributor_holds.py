"""Timed holds on a real database. Numbers (H1 …) are those of distributor/holds, (A1 …) of its arithmetic."""

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from customers.accounts import store
from distributor import queries
from distributor.database import transaction
from distributor.errors import HoldRefused, NotEnoughStock, UnknownCustomer, UnknownStock
from distributor.gather.booking import withdraw
from distributor.holds.sweeper import Sweeper
from distributor.months.decisions import Rules
from distributor.months.transitions import look_closely
from distributor.sales import Line
from distributor.strategies import CONTROLS, NAMES, load
from settings.model import Cart as Limits
from tests.distributor_world import discrepancies, make_world, rows
from tests.holds_world import HOLD_SECONDS, HoldingShop, overheld

ADA, BOB, CLEO = range(3)
LAST, FEW, MANY = range(3)


@pytest.fixture
def shop(engine: Engine) -> HoldingShop:
    """Rows of 1, 3 and 40 units; three customers."""
    return HoldingShop(engine, make_world(engine, [1, 3, 40], customers=3))


def test_what_one_holds_another_cannot_put_in_a_cart(shop: HoldingShop) -> None:
    shop.put(ADA, FEW, 2)
    assert shop.line(ADA, FEW).held == 2
    assert (shop.left_for(ADA, FEW), shop.left_for(BOB, FEW), shop.left_for(None, FEW)) == (3, 1, 1)
    with pytest.raises(NotEnoughStock) as caught:
        shop.put(BOB, FEW, 2)
    assert shop.short(caught.value) == ((FEW, 1, 2),)
    assert shop.cart(BOB).lines == ()  # the transaction took the line back
    shop.put(BOB, FEW, 1)
    assert not overheld(shop.engine)


def test_a_hold_tells_its_end_by_the_databases_clock(shop: HoldingShop) -> None:
    (before,) = rows(shop.engine, "SELECT clock_timestamp() AS now")
    shop.put(ADA, LAST, 1)
    line = shop.line(ADA, LAST)
    assert line.held_until is not None
    assert before.now < line.held_until - dt.timedelta(seconds=HOLD_SECONDS) < before.now + dt.timedelta(seconds=30)
    assert HOLD_SECONDS - 30 < line.hold_seconds_left <= HOLD_SECONDS
    assert shop.cart(ADA).hold_seconds == HOLD_SECONDS


@pytest.mark.parametrize("tidied", [False, True], ids=["by its time alone", "tidied, too"])
def test_a_hold_ends_by_its_time_with_or_without_a_sweeper(shop: HoldingShop, tidied: bool) -> None:
    """H1"""
    shop.put(ADA, LAST, 1)
    shop.expire(ADA, LAST)
    assert not tidied or shop.tidy() == 1
    line = shop.line(ADA, LAST)
    assert (line.held, line.held_until, line.hold_ended, line.can_hold_again) == (0, None, True, True)
    assert shop.left_for(BOB, LAST) == 1
    shop.put(BOB, LAST, 1)
    assert shop.line(ADA, LAST).item.in_other_carts == 1


def test_the_sweeper_leaves_live_holds_alone(shop: HoldingShop) -> None:
    shop.put(ADA, LAST, 1)
    assert shop.tidy() == 0
    assert shop.line(ADA, LAST).held == 1


def test_the_sweepers_thread_tidies_and_stops(shop: HoldingShop, wait_until: Callable[..., None]) -> None:
    shop.put(ADA, LAST, 1)
    shop.expire(ADA, LAST)
    stop = threading.Event()
    thread = threading.Thread(target=Sweeper(shop.engine, 2, stop).run, daemon=True)
    thread.start()
    wait_until(lambda: rows(shop.engine, "SELECT held FROM cart_line") == [(0,)], what="the hold is tidied")
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


def test_a_purchase_leaves_to_others_what_they_hold(shop: HoldingShop) -> None:
    """H4: beside the cart, and of the cart whose own hold has ended."""
    shop.put(BOB, FEW, 3)
    shop.expire(BOB, FEW)
    shop.put(ADA, FEW, 2)
    assert shop.refused(shop.buy(BOB)) == [(FEW, 1, 2)]
    assert shop.refused(shop.buy(CLEO, (FEW, 2), (MANY, 1))) == [(FEW, 1, 2)]
    assert shop.buy(CLEO, (FEW, 1)).status == 201
    assert shop.buy(ADA).status == 201
    assert not discrepancies(shop.engine)


def test_a_refusal_names_every_short_line_whoever_is_the_reason(shop: HoldingShop) -> None:
    """Sold out in one line, in others' carts in the next: both are said at once."""
    shop.put(ADA, FEW, 3)
    assert shop.buy(CLEO, (LAST, 1)).status == 201
    assert shop.refused(shop.buy(BOB, (LAST, 1), (FEW, 1), (MANY, 1))) == [(LAST, 0, 0), (FEW, 0, 3)]


def test_own_holds_never_stand_in_ones_own_way(shop: HoldingShop) -> None:
    """H5: quantity up and down in two tabs, buying the cart, buying beside the cart."""
    shop.put(ADA, FEW, 3)
    shop.put(ADA, FEW, 1)
    shop.add(ADA, FEW, 2)
    assert shop.line(ADA, FEW).held == 3
    assert shop.buy(ADA, (FEW, 3)).status == 201
    assert shop.line(ADA, FEW).held == 0


def test_less_of_a_line_frees_the_rest_at_once(shop: HoldingShop) -> None:
    shop.put(ADA, FEW, 3)
    ends = shop.line(ADA, FEW).held_until
    shop.put(ADA, FEW, 1)
    assert (shop.line(ADA, FEW).held, shop.line(ADA, FEW).held_until) == (1, ends)
    shop.put(BOB, FEW, 2)
    with pytest.raises(NotEnoughStock):
        shop.add(ADA, FEW, 1)


def test_leaving_the_cart_and_the_shop_frees_at_once(shop: HoldingShop) -> None:
    shop.put(ADA, LAST, 1)
    shop.take_out(ADA, LAST)
    shop.put(BOB, LAST, 1)
    with transaction(shop.engine) as connection:
        store.anonymise(connection, shop.world.customers[BOB])
    assert shop.left_for(CLEO, LAST) == 1
    with pytest.raises(UnknownCustomer):  # a request that was under way when the account was deleted holds nothing
        shop.put(BOB, LAST, 1)


def test_changed_quantities_do_not_hold_for_longer(shop: HoldingShop) -> None:
    """A3"""
    shop.put(ADA, FEW, 1)
    ends = shop.line(ADA, FEW).held_until
    shop.add(ADA, FEW, 1)
    assert (shop.line(ADA, FEW).held, shop.line(ADA, FEW).held_until) == (2, ends)
    shop.expire(ADA, FEW)
    shop.add(ADA, FEW, 1)
    assert (shop.line(ADA, FEW).quantity, shop.line(ADA, FEW).held) == (3, 0)


def test_holding_again_is_limited(shop: HoldingShop) -> None:
    """A3: once more by default, before or after the end; the second time is refused, and the hold goes on."""
    shop.put(ADA, LAST, 1)
    first = shop.line(ADA, LAST).held_until
    shop.again(ADA, LAST)
    second = shop.line(ADA, LAST)
    assert first is not None
    assert second.held_until is not None
    assert second.held_until > first
    assert not second.can_hold_again
    with pytest.raises(HoldRefused) as caught:
        shop.again(ADA, LAST)
    assert caught.value.reason == "extensions"
    assert shop.line(ADA, LAST).held_until == second.held_until


def test_an_ended_hold_comes_back_if_the_goods_are_there(shop: HoldingShop) -> None:
    shop.put(ADA, LAST, 1)
    shop.put(ADA, FEW, 1)
    shop.expire(ADA, LAST)
    shop.expire(ADA, FEW)
    shop.put(BOB, LAST, 1)
    shop.again(ADA, FEW)
    assert shop.line(ADA, FEW).held == 1
    with pytest.raises(NotEnoughStock) as caught:
        shop.again(ADA, LAST)
    assert shop.short(caught.value) == ((LAST, 0, 1),)
    assert shop.line(ADA, LAST).can_hold_again  # what was refused does not count


def test_holding_again_needs_a_line_and_holds(shop: HoldingShop) -> None:
    with pytest.raises(UnknownStock):
        shop.again(ADA, LAST)
    with transaction(shop.engine) as connection, pytest.raises(HoldRefused) as caught:
        queries.hold_again(connection, shop.world.customers[ADA], shop.world.stock[LAST], Limits())
    assert caught.value.reason == "off"


@pytest.mark.parametrize(
    ("limits", "held"),
    [
        (Limits(hold_seconds=60, hold_lines_max=1), [3, 0]),
        (Limits(hold_seconds=60, hold_units_max=5), [3, 2]),
        (Limits(hold_seconds=60, hold_units_max=3), [3, 0]),
        (Limits(hold_seconds=60, hold_units_max=2), [2, 0]),
    ],
    ids=["lines", "part of a line", "units", "the first line already"],
)
def test_what_is_beyond_a_customers_limits_goes_in_the_cart_unheld(
    engine: Engine, limits: Limits, held: list[int]
) -> None:
    """A2"""
    shop = HoldingShop(engine, make_world(engine, [1, 3, 40]), limits=limits)
    shop.put(ADA, FEW, 3)
    shop.put(ADA, MANY, 10)
    assert [(line.quantity, line.held) for line in shop.cart(ADA).lines] == [(3, held[0]), (10, held[1])]
    assert shop.left_for(BOB, MANY) == 40 - held[1]
    if not held[1]:
        with pytest.raises(HoldRefused) as caught:
            shop.again(ADA, MANY)
        assert caught.value.reason == ("lines" if limits.hold_lines_max == 1 else "units")
    assert shop.buy(ADA).status == 201


def test_a_line_beyond_the_limits_is_held_once_there_is_room(engine: Engine) -> None:
    shop = HoldingShop(engine, make_world(engine, [1, 3, 40]), limits=Limits(hold_seconds=60, hold_lines_max=1))
    shop.put(ADA, FEW, 1)
    shop.put(ADA, MANY, 1)
    shop.take_out(ADA, FEW)
    shop.put(ADA, MANY, 2)
    assert shop.line(ADA, MANY).held == 2


def test_an_ended_hold_can_be_bought_while_the_goods_are_there(shop: HoldingShop) -> None:
    shop.put(ADA, LAST, 1)
    shop.expire(ADA, LAST)
    assert shop.buy(ADA).status == 201
    shop.put(ADA, FEW, 2)
    shop.expire(ADA, FEW)
    shop.put(BOB, FEW, 2)
    assert shop.refused(shop.buy(ADA)) == [(FEW, 1, 2)]
    assert shop.buy(BOB).status == 201
    assert shop.refused(shop.buy(ADA)) == [(FEW, 1, 0)]  # sold now, no longer in anybody's cart


def test_buying_beside_the_cart_uses_up_the_hold(shop: HoldingShop) -> None:
    shop.put(ADA, FEW, 3)
    assert shop.buy(ADA, (FEW, 2)).status == 201
    assert (shop.line(ADA, FEW).quantity, shop.line(ADA, FEW).held) == (3, 1)
    assert not overheld(shop.engine)
    assert shop.refused(shop.buy(BOB, (FEW, 1))) == [(FEW, 0, 1)]


def test_a_refusal_records_what_its_customer_held(shop: HoldingShop) -> None:
    shop.put(ADA, FEW, 1)
    shop.put(BOB, FEW, 2)
    answer = shop.buy(ADA, (FEW, 2))
    assert answer.body["lines"] == [
        {"stock_id": shop.world.stock[FEW], "wanted": 2, "available": 1, "in_other_carts": 2, "held": 1}
    ]


def test_held_goods_do_not_end_the_month(shop: HoldingShop) -> None:
    """Held is not sold: neither depleted, nor told to the manufacturer as such."""
    shop.put(ADA, LAST, 1)
    shop.put(ADA, FEW, 3)
    assert shop.buy(BOB, (MANY, 40)).status == 201
    with transaction(shop.engine) as connection:
        facts = look_closely(connection, Rules(dt.timedelta(0), dt.timedelta(seconds=1), 0), None)
    assert not facts.depleted
    told = rows(shop.engine, "SELECT body ->> 'sku' AS sku FROM outbox WHERE type = 'stock.depleted'")
    assert [row.sku for row in told] == ["P003"]


def refuse_supplies(shop: HoldingShop) -> None:
    with transaction(shop.engine) as connection:
        connection.execute(text("UPDATE supply SET accepted_at = NULL"))
        for supply_id in connection.scalars(text("SELECT id FROM supply ORDER BY id")).all():
            assert withdraw(connection, supply_id, carts_hold=True)


def test_a_withdrawal_cuts_the_holds_that_end_last(shop: HoldingShop) -> None:
    """Of 6 units 4 go; the first holder keeps one, the second one of two, the third none: the rest can be bought at once."""
    with transaction(shop.engine) as connection:
        stock_id = shop.world.stock[MANY]
        connection.execute(text("UPDATE stock SET supplied = 6 WHERE id = :id"), {"id": stock_id})
        connection.execute(text("UPDATE supply_line SET quantity = 4 WHERE stock_id = :id"), {"id": stock_id})
    shop.put(ADA, MANY, 1)
    shop.put(BOB, MANY, 2)
    shop.put(CLEO, MANY, 1)
    refuse_supplies(shop)
    assert [shop.line(who, MANY).held for who in (ADA, BOB, CLEO)] == [1, 1, 0]
    assert not overheld(shop.engine)
    assert shop.buy(ADA).status == 201
    assert shop.refused(shop.buy(BOB)) == [(MANY, 1, 0)]
    assert shop.refused(shop.buy(CLEO)) == [(MANY, 0, 1)]


def test_a_withdrawal_takes_free_units_before_held_ones(shop: HoldingShop) -> None:
    with transaction(shop.engine) as connection:
        connection.execute(text("UPDATE stock SET supplied = 50 WHERE id = :id"), {"id": shop.world.stock[MANY]})
    shop.put(ADA, MANY, 10)
    refuse_supplies(shop)  # of 50 units 40 are taken back: the ten that remain are the held ones
    assert shop.line(ADA, MANY).held == 10
    assert shop.buy(ADA).status == 201


@pytest.mark.parametrize("name", [name for name in NAMES if name not in CONTROLS])
def test_every_strategy_leaves_holds_alone(engine: Engine, name: str) -> None:
    shop = HoldingShop(engine, make_world(engine, [1, 3, 40], customers=3), load(name))
    shop.put(ADA, FEW, 2)
    assert shop.refused(shop.buy(BOB, (FEW, 2), (MANY, 1))) == [(FEW, 1, 2)]
    assert rows(engine, "SELECT sum(sold) FROM stock") == [(0,)]
    assert shop.buy(BOB, (FEW, 1), (MANY, 2)).status == 201
    assert shop.buy(ADA).status == 201
    assert not discrepancies(engine)
    assert rows(engine, "SELECT count(*) FROM cart_line") == [(0,)]


def statements(engine: Engine, act: Callable[[], object]) -> list[str]:
    """All SQL that ``act`` sends."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        sent.append(sql)

    event.listen(engine, "after_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(engine, "after_cursor_execute", note)
    return sent


def test_without_holds_there_is_no_statement_and_no_lock_more(engine: Engine) -> None:
    """H8: nothing names the columns of holds but the cart's own statements, and none is more than before."""
    shop = HoldingShop(engine, make_world(engine, [1, 3, 40]), limits=Limits())
    assert len(statements(engine, lambda: shop.put(ADA, FEW, 2))) == 3  # account, line, and the change of it
    assert len(statements(engine, lambda: shop.cart(ADA))) == 1
    bought = statements(engine, lambda: shop.buy(ADA))
    beside = statements(engine, lambda: shop.buy(BOB, (MANY, 1)))
    assert (len(bought), len(beside)) == (7, 6)  # the first says how the others are planned; it travels with BEGIN
    assert not [sql for sql in bought + beside if "held" in sql]
    shop.put(ADA, LAST, 1)
    line = shop.line(ADA, LAST)
    assert (line.held, line.held_until, line.hold_ended, line.can_hold_again) == (0, None, False, False)
    assert shop.buy(BOB, (LAST, 1)).status == 201  # a cart holds nothing back
    refusal = shop.buy(ADA)
    assert refusal.body["lines"] == [{"stock_id": shop.world.stock[LAST], "wanted": 1, "available": 0}]


def test_holds_switched_off_leave_nothing_in_the_way(engine: Engine) -> None:
    world = make_world(engine, [1, 3, 40])
    HoldingShop(engine, world).put(ADA, FEW, 3)
    off = HoldingShop(engine, world, limits=Limits())
    assert off.line(ADA, FEW).held_until is None
    off.put(ADA, FEW, 1)
    assert off.buy(BOB, (FEW, 3)).status == 201


def test_items_are_seen_as_their_reader_can_buy_them(shop: HoldingShop) -> None:
    shop.put(ADA, LAST, 1)
    shop.put(ADA, FEW, 1)
    with transaction(shop.engine) as connection:
        items = queries.catalogue(connection).items
        seen = {
            reader: [
                (item.available, item.in_other_carts)
                for item in queries.as_seen_by(
                    connection, items, None if reader is None else shop.world.customers[reader]
                )
            ]
            for reader in (None, ADA, BOB)
        }
    assert seen == {None: [(0, 1), (2, 1), (40, 0)], ADA: [(1, 0), (3, 0), (40, 0)], BOB: [(0, 1), (2, 1), (40, 0)]}


def test_a_batch_uses_up_each_baskets_own_hold(engine: Engine) -> None:
    """In one transaction: the holders' purchases go, the stranger's is judged by what they leave."""
    shop = HoldingShop(engine, make_world(engine, [1, 3, 40], customers=3), load("group_commit"))
    shop.put(ADA, FEW, 1)
    shop.put(BOB, FEW, 1)
    committer = shop.sales._single
    wanted = {ADA: 1, BOB: 1, CLEO: 1}
    purchases = [
        shop.sales._purchase(shop.world.customers[who], "k", [Line(shop.world.stock[FEW], units)], "0" * 64, None)
        for who, units in wanted.items()
    ]
    assert [getattr(answer, "status", answer) for answer in committer.commit_all(purchases)] == [201, 201, 201]
    assert not discrepancies(engine)
    assert not overheld(engine)
