"""A small shop in a process of its own, and a real browser in front of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import Engine, text

from distributor.database import transaction
from tests.conftest import require
from tests.customers_world import WebProcess, free_port_base, make_runtime, running_shop
from tests.distributor_world import World, make_world

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
]
WAIT_MS_MAX = 30_000  # the machine may be busy with other tests; only a failure takes that long
NAMES = ("Oak chair", "Walnut shelf & hook", "Brass lamp <large>", "Wool blanket", "Copper kettle", "Linen cushion")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Not for the whole session: while it is there an event loop runs in this thread, and other tests start one of theirs."""
    path = require("chromium-headless-shell", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        expect.set_options(timeout=WAIT_MS_MAX)
        yield browser
        browser.close()


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
def web(
    database_url: str, tmp_path: Path, world: World, balancer_engine: str, request: pytest.FixtureRequest
) -> Iterator[WebProcess]:
    """A parameter names sections of the settings, such as {"cart": {…}}."""
    sections = {"customers": {"stock_refresh_seconds": 0.3}} | getattr(request, "param", {})
    runtime = make_runtime(tmp_path, database_url, free_port_base(), **sections)
    with running_shop(runtime, balancer_engine) as process:
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
        page.set_default_timeout(WAIT_MS_MAX)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    # A browser also complains of every status above 399, which the tests ask for.
    assert [text for text in complaints if "Failed to load resource" not in text] == []
