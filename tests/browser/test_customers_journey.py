"""The shop as people meet it, in a real browser: the whole journey, without JavaScript, by keyboard."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from tests.browser_world import add_card, sign_up, tab_to
from tests.distributor_world import World, discrepancies, order_count, rows, sell_to_others


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_whole_journey(new_page: Callable[..., Page], engine: Engine, world: World, javascript: bool) -> None:
    page = new_page(java_script_enabled=javascript)
    sign_up(page)
    page.get_by_label("Search").fill("chair")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("2 products")).to_be_visible()
    page.get_by_role("link", name="Oak chair", exact=True).click()
    expect(page.get_by_role("heading", name="Compare manufacturers")).to_be_visible()
    expect(page.get_by_text("Second Works")).to_be_visible()
    page.get_by_label("Quantity").fill("6")
    page.get_by_role("button", name="Add to cart", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("only 5 left")
    page.get_by_label("Quantity").fill("2")
    page.get_by_role("button", name="Add to cart", exact=True).click()
    expect(page).to_have_url(re.compile("/cart"))
    page.get_by_role("link", name="Go to the checkout").click()
    page.get_by_label("Card number").fill("4242 4242 4242 4242")
    page.get_by_label("Expiry").fill("12/39")
    page.get_by_label("Name on the card").fill("Ada Lovelace")
    page.get_by_role("button", name="Buy now for £39.98").click()
    expect(page).to_have_url(re.compile(r"/orders/\d+"))
    expect(page.get_by_text("Your order is in")).to_be_visible()
    expect(page.get_by_text("£39.98").first).to_be_visible()
    page.reload()
    page.get_by_role("link", name="Your orders").click()
    expect(page.get_by_role("link", name=re.compile("Order "))).to_have_count(1)
    page.get_by_role("button", name="I am done for this month").click()
    expect(page.get_by_text("You are done for this month.").first).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    page.goto("/orders")
    expect(page).to_have_url(re.compile(r"/log-in\?next=/orders"))
    assert order_count(engine) == 1
    assert len(rows(engine, "SELECT * FROM charge")) == 1
    assert not discrepancies(engine)


def test_the_whole_purchase_by_keyboard(new_page: Callable[..., Page], engine: Engine, world: World) -> None:
    page = new_page()
    sign_up(page)
    add_card(page)
    page.goto(f"/product/{world.stock[0]}")
    tab_to(page, "quantity")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/cart"))
    tab_to(page, "Go to the checkout")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/checkout"))
    tab_to(page, "Buy now for £19.99")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/orders/\d+"))
    assert order_count(engine) == 1


def test_quantities_refresh_by_themselves(new_page: Callable[..., Page], engine: Engine, world: World) -> None:
    page = new_page()
    page.goto("/")
    badge = page.locator(f"[data-stock='{world.stock[0]}']")
    expect(badge).to_have_text("5 left")
    sell_to_others(engine, world.stock[0], 3)
    expect(badge).to_have_text("2 left")
    sell_to_others(engine, world.stock[0], 2)
    expect(badge).to_have_text("sold out")


def test_mistakes_are_shown_beside_the_fields(new_page: Callable[..., Page], world: World) -> None:
    page = new_page()
    email = sign_up(page)
    page.goto("/account")
    page.get_by_label("Card number").fill("4242 4242 4242 4241")
    page.get_by_label("Expiry").fill("13/39")
    page.get_by_label("Name on the card").fill("Ada")
    page.get_by_role("button", name="Save the card").click()
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.locator("#number-error")).to_contain_text("mistyped")
    expect(page.get_by_label("Card number")).to_have_value("")
    expect(page.get_by_label("Expiry")).to_have_value("13/39")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    page.goto("/log-in")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill("wrong password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    expect(page.get_by_label("E-mail")).to_have_value(email)
