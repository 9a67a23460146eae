"""axe-core finds nothing on any page, light or dark; and two people race for the last unit in two windows.

``axe/axe.min.js`` is axe-core 4.14.1 as its package carries it (MPL-2.0, licence beside it); only tests use it.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect
from sqlalchemy import Engine, text

from distributor.database import transaction
from tests.browser_world import add_card, go_to_checkout, put_in_cart, sign_up
from tests.distributor_world import World, discrepancies, rows, sell_to_others

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
RUN = """async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa",
    "best-practice"]})).violations.map((found) => `${found.id}: ${found.nodes.map((node) => node.html).join(" ")}`)"""


def violations(page: Page) -> list[str]:
    """What axe-core finds on the page as it is, in both themes."""
    page.evaluate(AXE)
    found: list[str] = []
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        found += [f"{theme} {page.url} {violation}" for violation in page.evaluate(RUN)]
    return found


def visit(page: Page, *paths: str) -> list[str]:
    found: list[str] = []
    for path in paths:
        page.goto(path)
        found += violations(page)
    return found


def test_axe_finds_nothing_on_a_guests_pages(new_page: Callable[..., Page], world: World) -> None:
    page = new_page()
    chair = f"/product/{world.stock[0]}"
    assert visit(page, "/", "/?q=zebra", "/?q=chair&manufacturer=m1", chair, "/log-in", "/nowhere", "/api") == []
    page.goto("/sign-up")
    page.get_by_label("First name").fill(" ")
    page.locator("form[action='/sign-up'], form:has(#email)").first.evaluate("form => form.noValidate = true")
    page.get_by_role("button", name="Open the account").click()
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()
    assert violations(page) == []


def test_axe_finds_nothing_on_a_customers_pages(new_page: Callable[..., Page], engine: Engine, world: World) -> None:
    page = new_page()
    sign_up(page)
    assert visit(page, "/", "/cart", "/orders", "/account") == []
    add_card(page)
    put_in_cart(page, world.stock[0])
    put_in_cart(page, world.stock[1], 2)
    assert visit(page, "/cart", "/checkout") == []
    sell_to_others(engine, world.stock[1], 2)
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_role("alert").first).to_be_visible()
    assert violations(page) == []
    page.goto("/cart")
    page.get_by_role("button", name=re.compile("Remove.*Walnut")).first.click()
    go_to_checkout(page)
    page.get_by_role("button", name="Buy now").click()
    expect(page).to_have_url(re.compile(r"/orders/\d+"))
    assert violations(page) == []
    page.get_by_role("button", name="Polski").click()
    expect(page.locator("html")).to_have_attribute("lang", "pl")
    assert visit(page, "/", "/orders", f"/product/{world.stock[0]}") == []


def test_control_axe_sees_a_field_without_a_label(new_page: Callable[..., Page]) -> None:
    page = new_page()
    page.goto("/log-in")
    page.evaluate("document.querySelectorAll('label').forEach((label) => label.remove())")
    assert [found for found in violations(page) if " label: " in found]


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
