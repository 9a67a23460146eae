"""The shop as people meet it, in a real browser: the whole journey, without JavaScript, by keyboard, on a small screen."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from tests.browser_world import add_card, assert_fits, go_to_checkout, put_in_cart, sign_up, snapshot, tab_to
from tests.distributor_world import World, discrepancies, rows, sell_to_others


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_whole_journey(new_page: Callable[..., Page], engine: Engine, world: World, javascript: bool) -> None:
    page = new_page(java_script_enabled=javascript)
    sign_up(page)
    page.get_by_label("Search").fill("chair")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("2 products")).to_be_visible()
    page.get_by_role("link", name="Oak chair", exact=True).click()
    expect(page.get_by_role("heading", name="The same from other manufacturers")).to_be_visible()
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
    assert len(rows(engine, "SELECT * FROM orders")) == 1
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
    assert len(rows(engine, "SELECT * FROM orders")) == 1


def test_quantities_refresh_by_themselves(new_page: Callable[..., Page], engine: Engine, world: World) -> None:
    page = new_page()
    page.goto("/")
    badge = page.locator(f"[data-stock='{world.stock[0]}']")
    expect(badge).to_have_text("5 left")
    sell_to_others(engine, world.stock[0], 3)
    expect(badge).to_have_text("2 left")
    sell_to_others(engine, world.stock[0], 2)
    expect(badge).to_have_text("sold out")


def test_nothing_is_wider_than_a_small_screen(new_page: Callable[..., Page], engine: Engine, world: World) -> None:
    """320 px: no page scrolls sideways, no control is smaller than 24 px."""
    page = new_page(viewport={"width": 320, "height": 640})
    guest_pages = ["/", f"/product/{world.stock[0]}", "/sign-up", "/log-in", "/nowhere"]
    customer_pages = ["/", f"/product/{world.stock[3]}", "/cart", "/checkout", "/account", "/orders"]
    for path in guest_pages:
        page.goto(path)
        assert_fits(page)
    sign_up(page)
    add_card(page)
    put_in_cart(page, world.stock[1])
    go_to_checkout(page)
    assert_fits(page)
    page.get_by_role("button", name="Buy now").click()
    expect(page).to_have_url(re.compile("/orders/"))
    assert_fits(page)
    put_in_cart(page, world.stock[3], 1200)
    for path in customer_pages:
        page.goto(path)
        assert_fits(page)


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
    page.goto("/log-in")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill("wrong password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    expect(page.get_by_label("E-mail")).to_have_value(email)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_pictures_of_every_page(
    new_page: Callable[..., Page], engine: Engine, world: World, scheme: str, width: int
) -> None:
    """Every page renders in both schemes and both sizes; pictures are kept where SHOP_PICTURES says."""
    page = new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    for path, name in (("/", "guest"), ("/sign-up", "sign-up"), ("/log-in", "log-in"), ("/nowhere", "404")):
        page.goto(path)
        snapshot(page, f"{name}-{scheme}")
    sign_up(page)
    page.goto("/account")
    snapshot(page, f"account-empty-{scheme}")
    add_card(page)
    snapshot(page, f"account-{scheme}")
    page.goto(f"/product/{world.stock[0]}")
    snapshot(page, f"product-{scheme}")
    put_in_cart(page, world.stock[0], 2)
    put_in_cart(page, world.stock[2], 4)
    snapshot(page, f"cart-{scheme}")
    go_to_checkout(page)
    snapshot(page, f"checkout-{scheme}")
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_text("Your order is in")).to_be_visible()
    snapshot(page, f"order-{scheme}")
    for path, name in (
        ("/", "catalogue"),
        ("/orders", "orders"),
        ("/cart", "cart-empty"),
        ("/?q=nothing", "no-results"),
    ):
        page.goto(path)
        snapshot(page, f"{name}-{scheme}")
