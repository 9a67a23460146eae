"""The shop as people meet it, in a real browser: the whole journey, without JavaScript, by keyboard, on a small screen."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import Engine, text

from distributor.database import transaction
from tests.conftest import require
from tests.customers_world import PASSWORD, WebProcess, free_port_base, make_runtime, new_email, running_web
from tests.distributor_world import World, discrepancies, engine_for, make_world, rows

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
]
NAMES = ("Oak chair", "Walnut shelf & hook", "Brass lamp <large>", "Wool blanket", "Copper kettle", "Linen cushion")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def world(engine: Engine) -> World:
    world = make_world(engine, [5, 3, 40, 1200, 7, 2], customers=0, price_minor=1_999)
    with transaction(engine) as connection:
        for stock_id, name in zip(world.stock, NAMES, strict=True):
            connection.execute(text("UPDATE stock SET name = :n WHERE id = :s"), {"n": name, "s": stock_id})
        # The same chair from the other maker, too.
        connection.execute(
            text("""INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied)
                    SELECT product_id, (SELECT id FROM manufacturer WHERE code = 'm2'), 'Oak chair, oiled', 2499, 'GBP', 9
                    FROM stock WHERE id = :s"""),
            {"s": world.stock[0]},
        )
    return world


@pytest.fixture
def web(database_url: str, tmp_path: Path, world: World) -> Iterator[WebProcess]:
    runtime = make_runtime(tmp_path, database_url, free_port_base(), customers={"stock_refresh_seconds": 0.3})
    with running_web(runtime) as process:
        yield process


@pytest.fixture
def new_page(browser: Browser, web: WebProcess) -> Iterator[Callable[..., Page]]:
    """Pages in contexts of their own; whatever a page complains of in its console fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def make(**options: object) -> Page:
        context = browser.new_context(base_url=web.url, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    # A browser also complains of every status above 399, which the tests ask for.
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def sign_up(page: Page) -> str:
    email = new_email()
    page.goto("/sign-up")
    page.get_by_label("First name").fill("Ada")
    page.get_by_label("Last name").fill("Lovelace")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Open the account").click()
    expect(page.get_by_role("link", name="Account")).to_be_visible()
    return email


def add_card(page: Page) -> None:
    page.goto("/account")
    page.get_by_label("Card number").fill("4242 4242 4242 4242")
    page.get_by_label("Expiry").fill("12/39")
    page.get_by_label("Name on the card").fill("Ada Lovelace")
    page.get_by_role("button", name="Save the card").click()
    expect(page.get_by_text("•••• 4242")).to_be_visible()


def snapshot(page: Page, name: str) -> None:
    """A picture for people, if SHOP_PICTURES names a folder."""
    folder = os.environ.get("SHOP_PICTURES")
    if folder:
        size = page.viewport_size or {"width": 0}
        page.screenshot(path=str(Path(folder) / f"{name}-{size['width']}.png"), full_page=True)


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


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until the focus is on the element with this id or text."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("[document.activeElement.id, document.activeElement.textContent.trim()]").count(wanted):
            return
    raise AssertionError(f"{wanted} cannot be reached by Tab")


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
    assert len(rows(engine, "SELECT * FROM orders")) == 1


def put_in_cart(page: Page, stock_id: int, quantity: int = 1) -> None:
    page.goto(f"/product/{stock_id}")
    page.get_by_label("Quantity").fill(str(quantity))
    page.get_by_role("button", name="Add to cart", exact=True).click()
    expect(page).to_have_url(re.compile("/cart"))


def go_to_checkout(page: Page) -> None:
    page.goto("/cart")
    page.get_by_role("link", name="Go to the checkout").click()
    expect(page).to_have_url(re.compile("/checkout"))


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


def sell_to_others(engine: Engine, stock_id: int, quantity: int) -> None:
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET sold = sold + :n WHERE id = :s"), {"n": quantity, "s": stock_id})


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
    expect(page.get_by_text("£21.99").first).to_be_visible()
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
    assert not rows(engine, "SELECT * FROM orders")
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_text("Your order is in")).to_be_visible()


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
    assert_fits(page)
    put_in_cart(page, world.stock[3], 1200)
    for path in customer_pages:
        page.goto(path)
        assert_fits(page)


def assert_fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, page.url
    small = page.evaluate("""
        [...document.querySelectorAll("a, button, input, select, summary")]
          .filter((node) => node.checkVisibility() && !node.closest(".skip, .hidden, p, li") && node.type !== "hidden")
          .map((node) => [node.outerHTML.slice(0, 80), node.getBoundingClientRect()])
          .filter(([, box]) => box.width < 24 || box.height < 24).map(([html]) => html)
    """)
    assert small == [], page.url


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
