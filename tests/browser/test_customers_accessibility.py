"""axe-core finds nothing on any page, light or dark, on a large and a small screen, nor on paper;
and two windows race for the last unit.

``axe/axe.min.js`` is axe-core 4.14.1 as its package carries it (MPL-2.0, licence beside it); only tests use it.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, text

from customers.pages.views import CUSTOMER_VIEWS, GUEST_VIEWS
from distributor.database import transaction
from tests.browser_world import add_card, assert_fits, go_to_checkout, put_in_cart, sign_up, snapshot
from tests.distributor_world import World, discrepancies, rows, sell_to_others

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_COLOURS = {"type": "rule", "values": ["color-contrast"]}  # all that can differ between the themes
RUN = """async (wanted) => (await axe.run(document, {runOnly: wanted, resultTypes: ["violations"]})).violations
    .map((found) => `${found.id}: ${found.nodes.map((node) => node.html).join(" ")}`)"""
WIDE, SMALL = 1280, 320
NO_PAGES = {"static_file", "picture", "show_stock", "export_account"}  # files and data


def addresses(views: tuple[tuple[str, str, Any], ...], **known: int) -> list[str]:
    """Every page that the shop's own table has, so that a new one cannot be forgotten.

    ``known``: the arguments that an address may have; one that is not among them fails."""
    shown = [path for path, method, view in views if method == "GET" and view.__name__ not in NO_PAGES]
    return [re.sub(r"<id:([a-z_]+)>", lambda found: str(known[found[1]]), path) for path in shown]


def violations(page: Page) -> list[str]:
    """What axe-core finds on the page as it is, in both themes and on a large and a small screen; it fits on both."""
    page.evaluate(AXE)
    found: list[str] = []
    for width in (WIDE, SMALL):
        page.set_viewport_size({"width": width, "height": 800})
        for theme, wanted in (("light", STANDARDS), ("dark", OF_COLOURS)):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            snapshot(page, f"{re.sub('[^a-z0-9]+', '-', page.url.partition('//')[2].partition('/')[2])}-{theme}")
            found += [f"{width} {theme} {page.url} {violation}" for violation in page.evaluate(RUN, wanted)]
    assert_fits(page)
    return found


def on_paper(page: Page) -> list[str]:
    """What axe-core finds on the page as a reader of the dark theme prints it: dark on white, without what one presses."""
    page.evaluate(AXE)
    page.emulate_media(media="print", color_scheme="dark")
    colours = "() => { const of = getComputedStyle(document.body); return [of.backgroundColor, of.color]; }"
    found = [] if page.evaluate(colours) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"] else ["not black on white"]
    pressed = page.locator("nav, button, .button, .skip, footer")
    found += [f"printed: {one.text_content()}" for one in pressed.all() if one.is_visible()]
    found += page.evaluate(RUN, OF_COLOURS)
    snapshot(page, f"{re.sub('[^a-z0-9]+', '-', page.url.partition('//')[2].partition('/')[2])}-print")
    page.emulate_media(media="screen", color_scheme="light")
    return [f"paper {page.url} {violation}" for violation in found]


def visit(page: Page, *paths: str) -> list[str]:
    found: list[str] = []
    for path in paths:
        page.set_viewport_size({"width": WIDE, "height": 800})
        page.goto(path)
        found += violations(page)
    return found


def test_axe_finds_nothing_on_a_guests_pages(new_page: Callable[..., Page], world: World) -> None:
    page = new_page()
    every_page = addresses(GUEST_VIEWS, stock_id=world.stock[0])
    assert {"/", "/log-in", "/sign-up", "/api"} < set(every_page), "the control: they are found"
    assert visit(page, *every_page, "/?q=zebra", "/?q=chair&manufacturer=m1", "/nowhere") == []
    page.goto("/")
    assert on_paper(page) == []
    page.goto("/sign-up")
    page.get_by_label("First name").fill(" ")
    page.locator("form[action='/sign-up'], form:has(#email)").first.evaluate("form => form.noValidate = true")
    page.get_by_role("button", name="Open the account").click()
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()
    assert violations(page) == []


def test_axe_finds_nothing_on_a_customers_pages(new_page: Callable[..., Page], engine: Engine, world: World) -> None:
    page = new_page()
    sign_up(page)
    assert visit(page, "/cart", "/orders", "/account") == [], "nothing is in them yet"
    add_card(page)
    put_in_cart(page, world.stock[0])
    put_in_cart(page, world.stock[1], 2)
    go_to_checkout(page)
    assert violations(page) == []
    sell_to_others(engine, world.stock[1], 2)
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_role("alert").first).to_be_visible()
    assert violations(page) == []
    page.goto("/cart")
    assert on_paper(page) == []
    page.get_by_role("button", name=re.compile("Remove.*Walnut")).first.click()
    go_to_checkout(page)
    page.get_by_role("button", name="Buy now").click()
    expect(page).to_have_url(re.compile(r"/orders/\d+"))
    order = int(re.findall(r"/orders/(\d+)", page.url)[0])
    page.get_by_text("How this order was sold").click()
    assert violations(page) == []
    assert on_paper(page) == []
    expect(page.get_by_text("Total")).to_be_visible()
    put_in_cart(page, world.stock[3], 1_200)
    page.get_by_role("button", name="Polski").click()
    expect(page.locator("html")).to_have_attribute("lang", "pl")
    every_page = addresses(CUSTOMER_VIEWS, stock_id=world.stock[0], order_id=order)
    assert {"/cart", "/checkout", "/orders", f"/orders/{order}", "/account"} <= set(every_page), "the control"
    assert visit(page, *every_page, "/", f"/product/{world.stock[3]}") == []


def test_control_an_address_of_another_form_is_not_left_out() -> None:
    with pytest.raises(KeyError):
        addresses((("/gift/<id:gift_id>", "GET", test_control_an_address_of_another_form_is_not_left_out),))


def test_control_axe_sees_a_field_without_a_label(new_page: Callable[..., Page]) -> None:
    page = new_page()
    page.goto("/log-in")
    page.evaluate("document.querySelectorAll('label').forEach((label) => label.remove())")
    assert [found for found in violations(page) if " label: " in found and found.startswith("1280 light")]


def test_control_a_page_that_is_printed_as_on_the_screen_is_seen(new_page: Callable[..., Page]) -> None:
    page = new_page()
    page.goto("/log-in")
    page.evaluate("""for (const sheet of document.styleSheets) for (let at = sheet.cssRules.length; at--;)
                         if (sheet.cssRules[at].media?.mediaText === "print") sheet.deleteRule(at)""")
    found = on_paper(page)
    assert [one for one in found if "not black on white" in one]
    assert [one for one in found if "printed: " in one]


def test_two_windows_race_for_the_last_unit(new_page: Callable[..., Page], engine: Engine, world: World) -> None:
    """Both press at the same time; one order; the other one learns what was lost, and from whom it is still to be had."""
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET supplied = 1 WHERE id = :s"), {"s": world.stock[0]})
    windows: list[Page] = [new_page(), new_page()]
    for window in windows:
        sign_up(window)
        add_card(window)
        put_in_cart(window, world.stock[0])
        go_to_checkout(window)
    for window in windows:  # pressed, not waited for
        window.evaluate("setTimeout(() => document.querySelector('main form[data-once] button').click(), 50)")
    outcomes: dict[str, Any] = {}
    for window in windows:
        expect(window.get_by_text(re.compile("Your order is in|Other customers were faster")).first).to_be_visible()
        outcomes["won" if "/orders/" in window.url else "lost"] = window
    assert set(outcomes) == {"won", "lost"}
    expect(outcomes["lost"].get_by_role("alert").first).to_contain_text("Oak chair")
    expect(outcomes["lost"].get_by_text("Second Works").first).to_be_visible()
    assert len(rows(engine, "SELECT id FROM orders")) == 1
    assert rows(engine, "SELECT supplied - sold AS left FROM stock WHERE id = :s", s=world.stock[0])[0].left == 0
    assert not [row for row in discrepancies(engine) if row.id != world.stock[0] or row.ordered > 1]
