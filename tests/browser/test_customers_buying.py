"""Buying in a real browser: double clicks, slow answers, lost lines, new prices, another window."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import Engine, text

from distributor.database import transaction
from tests.browser_world import add_card, go_to_checkout, put_in_cart, sign_up, snapshot
from tests.conftest import wait_until
from tests.distributor_world import World, order_count, rows, sell_to_others


def test_a_double_click_orders_once(new_page: Callable[..., Page], engine: Engine, world: World) -> None:
    page = new_page()
    sign_up(page)
    add_card(page)
    put_in_cart(page, world.stock[0])
    go_to_checkout(page)
    page.get_by_role("button", name="Buy now").dblclick()
    expect(page).to_have_url(re.compile(r"/orders/\d+"))
    page.go_back()
    page.go_forward()
    assert order_count(engine) == 1


def test_the_catalogue_is_not_left_when_something_is_added(
    new_page: Callable[..., Page], engine: Engine, world: World
) -> None:
    page = new_page()
    sign_up(page)
    button = page.get_by_role("button", name="Add to cart: Linen cushion by Second Works")
    for units in (1, 2):
        button.click()
        expect(page.get_by_role("status").get_by_text("Linen cushion by Second Works is in your cart.")).to_be_visible()
        expect(page.get_by_role("link", name=f"Cart {units} unit")).to_be_visible()
    button.click()
    expect(page.get_by_role("alert")).to_contain_text("There are only 2 left")
    page.goto("/")
    page.route("**/cart/*/add", lambda route: route.abort())
    button.click()
    expect(page.get_by_text("It may be in your cart: look there before you add it again.")).to_be_visible()
    expect(button).to_have_text("Add to cart")
    assert [row.quantity for row in rows(engine, "SELECT quantity FROM cart_line")] == [2]


def test_a_slow_purchase_says_so_and_can_be_asked_again(
    new_page: Callable[..., Page], engine: Engine, world: World
) -> None:
    """The first answer never comes; the second one finds the order. The page's clock is wound on by hand."""
    page = new_page()
    sign_up(page)
    add_card(page)
    put_in_cart(page, world.stock[0])
    page.clock.install()
    go_to_checkout(page)
    page.route("**/checkout", lambda route: route.fetch() and None, times=1)  # it arrives, its answer is kept back
    page.get_by_role("button", name="Buy now").click()
    button = page.locator("form[action='/checkout'] button").first
    expect(button).to_have_text("Placing order…")
    button.click(force=True)  # takes no second click
    page.clock.run_for(1_100)
    expect(page.get_by_role("status").get_by_text("Placing order…")).to_be_visible()
    page.clock.run_for(10_000)
    expect(page.get_by_text("This takes longer than usual.")).to_be_visible()
    snapshot(page, "slow")
    wait_until(lambda: rows(engine, "SELECT * FROM orders"), what="the first purchase is done")
    page.get_by_role("button", name="Check my order").click()
    expect(page.get_by_text("You had bought this already")).to_be_visible()
    assert order_count(engine) == 1


def test_an_answer_that_is_cut_off_can_be_asked_for_again(
    new_page: Callable[..., Page], engine: Engine, world: World
) -> None:
    """Whether the purchase had arrived or not."""
    page = new_page()
    sign_up(page)
    add_card(page)
    for arrived, orders in ((True, 1), (False, 2)):
        put_in_cart(page, world.stock[0])
        go_to_checkout(page)
        page.route("**/checkout", cut_after_it_arrived if arrived else cut, times=1)
        page.get_by_role("button", name="Buy now").click()
        expect(page.get_by_text("The answer got lost. Your order may be in already.")).to_be_visible()
        assert order_count(engine) == 1
        page.get_by_role("button", name="Check my order").click()
        expect(page.get_by_text("You had bought this already" if arrived else "Your order is in")).to_be_visible()
        assert order_count(engine) == orders


def cut(route: Route) -> None:
    route.abort()


def cut_after_it_arrived(route: Route) -> None:
    route.fetch()
    route.abort()


def test_lost_lines_are_named_and_each_has_a_way_out(
    new_page: Callable[..., Page], engine: Engine, world: World
) -> None:
    page = new_page()
    sign_up(page)
    add_card(page)
    for stock_id, quantity in zip(world.stock[:3], (2, 3, 4), strict=True):
        put_in_cart(page, stock_id, quantity)
    go_to_checkout(page)
    sell_to_others(engine, world.stock[0], 4)
    sell_to_others(engine, world.stock[1], 3)
    page.get_by_role("button", name="Buy now").click()
    alert = page.get_by_role("alert")
    expect(alert).to_be_focused()
    expect(alert).to_contain_text("Oak chair, First Works: 1 of 2 left")
    expect(alert).to_contain_text("Walnut shelf & hook, Second Works: sold out")
    snapshot(page, "lost")
    page.get_by_role("button", name="Take 2 from Second Works at £24.99 each").click()
    expect(page.get_by_text("has it from the other manufacturer now")).to_be_visible()
    page.get_by_role("button", name="Order the rest without them for £129.94").click()
    expect(page.get_by_text("still in your cart")).to_be_visible()
    bought = rows(engine, "SELECT quantity FROM order_line ORDER BY stock_id")
    assert [line.quantity for line in bought] == [4, 2]
    kept = rows(engine, "SELECT stock_id, quantity FROM cart_line")
    assert [tuple(line) for line in kept] == [(world.stock[1], 3)]
    page.go_back()
    page.go_back()
    expect(page).to_have_url(re.compile(r"/checkout\?refused=not_enough_stock"))
    expect(page.get_by_role("heading", name="Checkout")).to_be_visible()  # not the browser's own page


def test_a_new_price_is_shown_and_agreed_to(new_page: Callable[..., Page], engine: Engine, world: World) -> None:
    page = new_page()
    sign_up(page)
    add_card(page)
    put_in_cart(page, world.stock[0])
    go_to_checkout(page)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET price_minor = 2199 WHERE id = :s"), {"s": world.stock[0]})
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_role("alert")).to_contain_text("£19.99 before, £21.99 now")
    page.get_by_role("button", name="Agree to the new prices and buy").click()
    expect(page).to_have_url(re.compile(r"/orders/\d+"))
    assert [row.total_minor for row in rows(engine, "SELECT total_minor FROM orders")] == [2_199]


def test_another_window_cannot_change_what_is_bought(
    new_page: Callable[..., Page], engine: Engine, world: World
) -> None:
    page = new_page()
    sign_up(page)
    add_card(page)
    put_in_cart(page, world.stock[0])
    go_to_checkout(page)
    other = page.context.new_page()
    put_in_cart(other, world.stock[2], 9)
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_role("alert")).to_contain_text("changed in another window")
    assert order_count(engine) == 0
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_text("Your order is in")).to_be_visible()


@pytest.mark.parametrize("web", [{"cart": {"hold_seconds": 100}}], indirect=True)
def test_what_is_held_counts_down_in_silence_and_says_when_it_ends(
    new_page: Callable[..., Page], engine: Engine, world: World
) -> None:
    """H2 of static/holds.js: the page's clock is wound on by hand."""
    page = new_page()
    sign_up(page)
    page.clock.install()
    put_in_cart(page, world.stock[0], 2)
    left = page.get_by_role("timer")
    expect(left).to_have_text(re.compile("1:[0-4][0-9]"))
    aloud = page.locator("[data-hold-aloud]")
    page.clock.run_for(30_000)
    expect(left).to_have_text(re.compile("1:0[0-9]|0:5[0-9]"))
    expect(aloud).to_be_empty()
    page.clock.run_for(31_000)
    expect(aloud).to_have_text("Oak chair: held for you, 1 min left.")
    page.clock.run_for(60_000)
    expect(left).to_have_count(0)
    expect(aloud).to_have_text("Oak chair: No longer held for you. You can still buy it while it is there.")
    snapshot(page, "hold-over")
    page.get_by_role("button", name="Hold it longer").click()
    expect(page.get_by_text("Held for you again, from now on.")).to_be_visible()
    expect(left).to_have_text(re.compile("1:[0-4][0-9]"))
