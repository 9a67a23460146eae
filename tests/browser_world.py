"""What people do in a browser, step by step, and what is looked at on every page."""

import os
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.customers_world import PASSWORD, new_email


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


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until the focus is on the element with this id or text."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("[document.activeElement.id, document.activeElement.textContent.trim()]").count(wanted):
            return
    raise AssertionError(f"{wanted} cannot be reached by Tab")


def put_in_cart(page: Page, stock_id: int, quantity: int = 1) -> None:
    page.goto(f"/product/{stock_id}")
    page.get_by_label("Quantity").fill(str(quantity))
    page.get_by_role("button", name="Add to cart", exact=True).click()
    expect(page).to_have_url(re.compile("/cart"))


def go_to_checkout(page: Page) -> None:
    page.goto("/cart")
    page.get_by_role("link", name="Go to the checkout").click()
    expect(page).to_have_url(re.compile("/checkout"))


def assert_fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, page.url
    small = page.evaluate("""
        [...document.querySelectorAll("a, button, input, select, summary")]
          .filter((node) => node.checkVisibility() && node.type !== "hidden")
          .filter((node) => !node.closest(".skip, .hidden, p, li, dd, td[data-label=Type]"))
          .map((node) => [node.outerHTML.slice(0, 80), node.getBoundingClientRect()])
          .filter(([, box]) => box.width < 24 || box.height < 24).map(([html]) => html)
    """)
    assert small == [], page.url
    assert_focusable(page)


def assert_focusable(page: Page) -> None:
    """Whatever of a link or a button is seen can be reached by keyboard; an element of which only its parts have boxes cannot."""
    lost = page.evaluate("""
        () => {
          const before = document.activeElement;
          const lost = [...document.querySelectorAll("a[href], button")]
            .filter((node) => [node, ...node.querySelectorAll("*")].some((part) => part.checkVisibility()) && !node.disabled)
            .filter((node) => { node.focus({ preventScroll: true }); return document.activeElement !== node; })
            .map((node) => node.outerHTML.slice(0, 80));
          before?.focus?.({ preventScroll: true });
          return lost;
        }
    """)
    assert lost == [], page.url
