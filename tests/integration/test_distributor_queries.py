"""What people ask of the shop, on a real database."""

import datetime as dt
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from sqlalchemy import Connection, Engine, text

from distributor import queries
from distributor.database import reading, transaction
from distributor.errors import InvalidBasket, NotEnoughStock, ShopClosed, ShortLine, UnknownCustomer, UnknownStock
from distributor.queries import Maker, Page
from distributor.sales import Line, Sales
from distributor.strategies import load
from settings import Settings
from settings.model import Cart as Limits
from tests.conftest import wait_until
from tests.distributor_races import at_once
from tests.distributor_world import World, make_world, set_month

T = TypeVar("T")


@pytest.fixture
def world(engine: Engine) -> World:
    """Rows 1..5 hold 5, 3, 0, 40 and 1 units; the odd ones are m1's."""
    return make_world(engine, [5, 3, 0, 40, 1])


def ask(engine: Engine, question: Callable[[Connection], T]) -> T:
    with transaction(engine) as connection:
        return question(connection)


def change(engine: Engine, statement: str, **parameters: object) -> None:
    with transaction(engine) as connection:
        connection.execute(text(statement), parameters)


def names(page: Page[queries.Item]) -> list[str]:
    return [item.name for item in page.items]


def buy(engine: Engine, customer: int, key: str, *lines: Line) -> int:
    sales = Sales(engine, load("row_lock"), Settings())
    answer = sales.place(customer, key, lines, hashlib.sha256(repr(lines).encode()).hexdigest())
    assert answer.status == 201
    return int(answer.body["id"])


def test_the_catalogue_shows_what_is_in_stock_by_name(engine: Engine, world: World) -> None:
    page = ask(engine, queries.catalogue)
    assert names(page) == ["Product 1", "Product 2", "Product 4", "Product 5"]
    assert (page.page, page.per_page, page.total, page.pages) == (1, 50, 4, 1)
    first = page.items[0]
    assert (first.sku, first.available, first.price_minor, first.currency) == ("P001", 5, 250, "GBP")
    assert first.manufacturer == Maker("m1", "First Works")


def test_pages_follow_each_other_and_know_the_total(engine: Engine, world: World) -> None:
    pages = [ask(engine, lambda c, n=n: queries.catalogue(c, page=n, per_page=3)) for n in (1, 2, 3)]  # type: ignore[misc]
    assert [len(page.items) for page in pages] == [3, 1, 0]
    assert {page.total for page in pages} == {4}
    assert pages[0].pages == 2


@pytest.mark.parametrize(("page", "per_page"), [(0, 10), (1, 0), (1, 101), (10**9, 10)])
def test_pages_out_of_bounds_are_refused(engine: Engine, world: World, page: int, per_page: int) -> None:
    with pytest.raises(ValueError, match="must be from 1"):
        ask(engine, lambda c: queries.catalogue(c, page=page, per_page=per_page))


def test_the_catalogue_of_one_manufacturer(engine: Engine, world: World) -> None:
    page = ask(engine, lambda c: queries.catalogue(c, manufacturer="m2", per_page=1))
    assert (names(page), page.total) == (["Product 2"], 2)
    assert ask(engine, lambda c: queries.catalogue(c, manufacturer="m9")).total == 0


@pytest.mark.parametrize(("sort", "expected"), [("price", [5, 1, 2, 4]), ("-price", [4, 1, 2, 5])])
def test_the_catalogue_by_price(engine: Engine, world: World, sort: str, expected: list[int]) -> None:
    change(engine, "UPDATE stock SET price_minor = 900 WHERE id = :id", id=world.stock[3])
    change(engine, "UPDATE stock SET price_minor = 1 WHERE id = :id", id=world.stock[4])
    page = ask(engine, lambda c: queries.catalogue(c, sort=sort))  # type: ignore[arg-type]
    assert names(page) == [f"Product {number}" for number in expected]
    with pytest.raises(ValueError, match="sort must be one of"):
        ask(engine, lambda c: queries.catalogue(c, sort="colour"))  # type: ignore[arg-type]


def test_a_product_names_who_else_makes_it_cheapest_first(engine: Engine, world: World) -> None:
    first = world.stock[0]
    for name, price, supplied in (("m3", 300, 4), ("m4", 100, 4), ("m5", 50, 0)):
        change(
            engine,
            """WITH maker AS (INSERT INTO manufacturer (code, name) VALUES (:name, :name) RETURNING id)
               INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied)
               SELECT product_id, maker.id, name, :price, currency, :supplied FROM stock, maker WHERE stock.id = :id""",
            name=name,
            price=price,
            supplied=supplied,
            id=first,
        )
    found = ask(engine, lambda c: queries.product(c, first))
    assert found is not None
    assert found.item.stock_id == first
    assert [other.manufacturer.code for other in found.others] == ["m4", "m3"]


def test_a_sold_out_product_is_still_shown_and_an_unknown_one_is_not(engine: Engine, world: World) -> None:
    sold_out = ask(engine, lambda c: queries.product(c, world.stock[2]))
    assert sold_out is not None
    assert sold_out.item.available == 0
    assert ask(engine, lambda c: queries.product(c, 10**9)) is None


def test_quantities_can_be_refreshed(engine: Engine, world: World) -> None:
    wanted = [world.stock[3], world.stock[2], 10**9, world.stock[3]]
    found = ask(engine, lambda c: queries.quantities(c, wanted))
    assert found == {world.stock[2]: queries.Quantity(0), world.stock[3]: queries.Quantity(40)}
    assert ask(engine, lambda c: queries.quantities(c, [])) == {}


def test_quantities_that_have_changed_are_told_since_a_moment(engine: Engine, world: World) -> None:
    """quantities.C1: also what a transaction wrote that was under way at that moment, and was committed after it."""
    first, second, *_ = world.stock
    wanted = queries.IdList(world.stock)
    sell = text("UPDATE stock SET sold = sold + 1 WHERE id = :id")

    def read(since: str | None) -> queries.Reading:
        with reading(engine) as connection:
            return queries.quantities_since(connection, wanted, since)

    before = read(None)
    units = {stock_id: found.available for stock_id, found in before.found.items()}
    assert sorted(units) == sorted(world.stock)
    with engine.begin() as slow:
        slow.execute(sell, {"id": first})
        with engine.begin() as quick:
            quick.execute(sell, {"id": second})
        between = read(before.moment)
        assert between.found[second].available == units[second] - 1
        assert between.found.get(first, before.found[first]) == before.found[first]
    after = read(between.moment)
    assert after.found[first].available == units[first] - 1
    wait_until(lambda: read(read(None).moment).found == {})  # transactions of other tests count, too, while they last


def test_only_manufacturers_with_goods_are_offered_as_a_choice(engine: Engine, world: World) -> None:
    assert ask(engine, queries.manufacturers) == [Maker("m1", "First Works"), Maker("m2", "Second Works")]
    change(
        engine,
        "UPDATE stock SET sold = supplied WHERE manufacturer_id = (SELECT id FROM manufacturer WHERE code = 'm2')",
    )
    assert ask(engine, queries.manufacturers) == [Maker("m1", "First Works")]


def put(engine: Engine, customer: int, stock_id: int, quantity: int, limits: Limits | None = None) -> None:
    ask(engine, lambda c: queries.put_in_cart(c, customer, stock_id, quantity, limits or Limits()))


def test_a_line_is_put_changed_and_taken_out(engine: Engine, world: World) -> None:
    customer = world.customers[0]
    put(engine, customer, world.stock[1], 1)
    put(engine, customer, world.stock[0], 2)
    put(engine, customer, world.stock[1], 3)
    cart = ask(engine, lambda c: queries.cart(c, customer))
    assert [(line.item.stock_id, line.quantity) for line in cart.lines] == [(world.stock[1], 3), (world.stock[0], 2)]
    assert (cart.units, cart.totals_minor, cart.can_be_bought) == (5, {"GBP": 1_250}, True)
    assert ask(engine, lambda c: queries.take_out_of_cart(c, customer, world.stock[1])) is True
    assert ask(engine, lambda c: queries.take_out_of_cart(c, customer, world.stock[1])) is False
    assert ask(engine, lambda c: queries.cart(c, world.customers[1])).lines == ()


def test_no_more_is_put_than_there_is_and_the_line_stays_as_it_was(engine: Engine, world: World) -> None:
    """N1"""
    customer = world.customers[0]
    put(engine, customer, world.stock[0], 2)
    with pytest.raises(NotEnoughStock) as caught:
        put(engine, customer, world.stock[0], 6)
    assert caught.value.lines == (ShortLine(world.stock[0], 6, 5),)
    assert ask(engine, lambda c: queries.cart(c, customer)).lines[0].quantity == 2
    with pytest.raises(NotEnoughStock):
        put(engine, customer, world.stock[2], 1)


def test_adding_counts_on_top_of_what_the_line_holds(engine: Engine, world: World) -> None:
    customer, stock_id = world.customers[0], world.stock[0]
    for _time in range(2):
        ask(engine, lambda c: queries.add_to_cart(c, customer, stock_id, 2, Limits()))
    with pytest.raises(NotEnoughStock) as caught:
        ask(engine, lambda c: queries.add_to_cart(c, customer, stock_id, 2, Limits()))
    assert caught.value.lines == (ShortLine(stock_id, 6, 5),)
    with pytest.raises(InvalidBasket, match="at most 5 units"):
        ask(engine, lambda c: queries.add_to_cart(c, customer, stock_id, 2, Limits(quantity_max=5)))
    assert ask(engine, lambda c: queries.cart(c, customer)).lines[0].quantity == 4


def test_two_windows_that_add_at_once_both_count(engine: Engine, world: World) -> None:
    """N2"""
    customer, stock_id = world.customers[0], world.stock[3]

    def add() -> None:
        ask(engine, lambda c: queries.add_to_cart(c, customer, stock_id, 2, Limits()))

    assert at_once([add] * 8) == [None] * 8
    assert ask(engine, lambda c: queries.cart(c, customer)).lines[0].quantity == 16


@pytest.mark.parametrize("quantity", [0, -5, 11])
def test_a_quantity_out_of_bounds_is_named(engine: Engine, world: World, quantity: int) -> None:
    with pytest.raises(InvalidBasket) as caught:
        put(engine, world.customers[0], world.stock[3], quantity, Limits(quantity_max=10))
    assert caught.value.field == "quantity"


def test_a_cart_has_a_most_of_lines(engine: Engine, world: World) -> None:
    limits = Limits(lines_max=2)
    for stock_id in (world.stock[0], world.stock[1], world.stock[0]):
        put(engine, world.customers[0], stock_id, 1, limits)
    with pytest.raises(InvalidBasket, match="at most 2 lines"):
        put(engine, world.customers[0], world.stock[3], 1, limits)


@pytest.mark.parametrize("stock_id", [0, 10**9, 2**70])
def test_what_does_not_exist_cannot_be_put(engine: Engine, world: World, stock_id: int) -> None:
    with pytest.raises(UnknownStock):
        put(engine, world.customers[0], stock_id, 1)


def test_an_account_that_does_not_exist_has_no_cart(engine: Engine, world: World) -> None:
    with pytest.raises(UnknownCustomer):
        put(engine, 10**9, world.stock[0], 1)


def test_what_is_put_in_while_the_account_is_deleted_is_not_kept(engine: Engine, world: World) -> None:
    """N5: it waits for the deletion, then finds no account."""
    customer = world.customers[0]
    with ThreadPoolExecutor(1) as others, transaction(engine) as connection:
        gone = "UPDATE customer SET email_canonical = NULL, deleted_at = now() WHERE id = :id"
        connection.execute(text(gone), {"id": customer})
        late = others.submit(put, engine, customer, world.stock[0], 1)
        wait_until(lambda: late.done() or ask(engine, waits_for_a_row))
        connection.commit()
        assert isinstance(late.exception(60), UnknownCustomer)
    assert not ask(engine, lambda c: queries.cart(c, customer)).lines


def waits_for_a_row(connection: Connection) -> bool:
    statement = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return connection.execute(text(statement)).first() is not None


def test_a_cart_shows_what_changed_since_it_was_filled(engine: Engine, world: World) -> None:
    """N3"""
    customer = world.customers[0]
    put(engine, customer, world.stock[0], 5)
    put(engine, customer, world.stock[1], 1)
    buy(engine, world.customers[1], "k", Line(world.stock[0], 5))
    change(engine, "UPDATE stock SET price_minor = 260 WHERE id = :id", id=world.stock[1])
    cart = ask(engine, lambda c: queries.cart(c, customer))
    assert [(line.is_short, line.is_gone, line.price_changed) for line in cart.lines] == [
        (True, True, False),
        (False, False, True),
    ]
    assert not cart.can_be_bought
    put(engine, customer, world.stock[1], 2)  # by whoever looked at an old page
    ask(engine, lambda c: queries.add_to_cart(c, customer, world.stock[1], 1, Limits()))
    assert ask(engine, lambda c: queries.cart(c, customer)).lines[1].price_changed
    ask(engine, lambda c: queries.put_in_cart(c, customer, world.stock[1], 1, Limits(), accepts_price=True))
    assert not ask(engine, lambda c: queries.cart(c, customer)).lines[1].price_changed


def test_orders_are_the_customers_own_newest_first(engine: Engine, world: World) -> None:
    mine, other = world.customers
    first = buy(engine, mine, "k1", Line(world.stock[0], 1), Line(world.stock[1], 2))
    second = buy(engine, mine, "k2", Line(world.stock[3], 4))
    third = buy(engine, other, "k1", Line(world.stock[3], 1))
    change(engine, "UPDATE stock SET price_minor = 999")
    page = ask(engine, lambda c: queries.orders(c, mine))
    assert ([order.id for order in page.items], page.total) == ([second, first], 2)
    assert [(line.quantity, line.price_minor) for line in page.items[1].lines] == [(1, 250), (2, 250)]
    assert [order.id for order in ask(engine, lambda c: queries.orders(c, mine, 2, 1)).items] == [first]
    shown = ask(engine, lambda c: queries.order(c, mine, first))
    assert shown == page.items[1]
    assert ask(engine, lambda c: queries.order(c, mine, third)) is None
    assert ask(engine, lambda c: queries.order(c, mine, 10**9)) is None


def test_a_customer_without_orders_has_an_empty_history(engine: Engine, world: World) -> None:
    assert ask(engine, lambda c: queries.orders(c, world.customers[0])) == Page((), 1, 50, 0)


def test_the_current_month_says_when_it_ends_and_when_the_next_begins(engine: Engine, world: World) -> None:
    month = ask(engine, queries.current_month)
    assert month is not None
    assert (month.number, month.state, month.is_open) == (1, "open", True)
    assert month.now < month.ends_at
    assert month.next_at - month.ends_at < dt.timedelta(seconds=1)
    set_month(engine, "closed")
    month = ask(engine, queries.current_month)
    assert month is not None
    assert (month.is_open, month.reason) == (False, "by_hand")


def test_before_the_first_month_there_is_none(engine: Engine) -> None:
    assert ask(engine, queries.current_month) is None


def test_a_customer_finishes_the_month_once_and_may_go_on(engine: Engine, world: World) -> None:
    customer = world.customers[0]
    put(engine, customer, world.stock[0], 2)
    put(engine, customer, world.stock[1], 1)
    assert ask(engine, lambda c: queries.finish(c, customer)) == 1
    assert ask(engine, lambda c: queries.finish(c, customer)) == 1
    assert ask(engine, lambda c: queries.customer_status(c, customer)) == queries.CustomerStatus(
        1, True, 2, 3, bought_lately=False
    )
    assert ask(engine, lambda c: queries.customer_status(c, world.customers[1])) == queries.CustomerStatus(
        1, False, 0, 0, bought_lately=False
    )
    assert ask(engine, lambda c: queries.unfinish(c, customer)) == 1
    assert not ask(engine, lambda c: queries.customer_status(c, customer)).finished


def test_nobody_finishes_a_month_that_is_not_open(engine: Engine, world: World) -> None:
    set_month(engine, "closing")
    with pytest.raises(ShopClosed):
        ask(engine, lambda c: queries.finish(c, world.customers[0]))
    status = ask(engine, lambda c: queries.customer_status(c, world.customers[0]))
    assert (status.month, status.finished) == (None, False)


def test_an_account_that_does_not_exist_cannot_finish(engine: Engine, world: World) -> None:
    with pytest.raises(UnknownCustomer):
        ask(engine, lambda c: queries.finish(c, 10**9))
