"""How an open page asks for fresh quantities, in a browser whose clock the test winds. Numbers are stock.js's."""

from collections.abc import Callable

from playwright.sync_api import Page, Route

from tests.distributor_world import World

LONGEST_PAUSE_MS = 331  # of the test shop: 300, up to a tenth longer
REST_AFTER_MS = 30_001


class Shop:
    """Answers in place of the shop; ``asked``: how often it was."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked = 0
        self.status = 200
        self.available = 0
        page.clock.install()
        page.route("**/stock?*", self._answer)
        self.ids: list[str] = []
        page.goto("/")
        self.ids = page.evaluate("[...document.querySelectorAll('[data-stock]')].map((badge) => badge.dataset.stock)")

    def _answer(self, route: Route) -> None:
        self.asked += 1
        route.fulfill(
            status=self.status,
            headers={"Retry-After": "20"},
            json={"available": dict.fromkeys(self.ids, self.available), "in_other_carts": {}},
        )

    def after(self, milliseconds: int) -> int:
        """How often it was asked within this time of the page's clock; all its answers have been read."""
        before = self.asked
        self.page.clock.run_for(milliseconds)
        self.page.evaluate("fetch('/healthz').then((answer) => answer.text())")
        return self.asked - before

    def show_page(self, *, visible: bool) -> None:
        self.page.evaluate(
            "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
            " document.dispatchEvent(new Event('visibilitychange')); }",
            not visible,
        )


def test_open_pages_ask_while_they_are_seen_and_leave_a_shop_in_trouble_alone(
    new_page: Callable[..., Page], world: World
) -> None:
    shop = Shop(new_page())
    assert [shop.after(LONGEST_PAUSE_MS) for _ in range(3)] == [1, 1, 1]
    shop.show_page(visible=False)
    assert shop.after(60_000) == 0, "R1"
    before = shop.asked
    shop.show_page(visible=True)
    shop.after(0)
    assert shop.asked - before == 1, "R1: at once"
    shop.status = 503
    assert shop.after(LONGEST_PAUSE_MS) == 1
    assert shop.after(17_000) == 0, "R3: as long as the shop asks for"
    assert shop.after(5_100) == 1
    shop.status = 200
    assert shop.after(22_100) == 1
    assert shop.after(2 * LONGEST_PAUSE_MS) == 1, "all is well again, and the page at rest by now"


def test_a_page_at_rest_asks_half_as_often_until_it_is_touched_or_something_changes(
    new_page: Callable[..., Page], world: World
) -> None:
    shop = Shop(new_page())
    shop.after(LONGEST_PAUSE_MS)  # what was sold out meanwhile is a change
    shop.after(REST_AFTER_MS)
    assert [shop.after(LONGEST_PAUSE_MS) for _ in range(4)] == [0, 1, 0, 1], "R4"
    before = shop.asked
    shop.page.keyboard.press("Tab")
    shop.after(0)
    assert shop.asked - before == 1, "R4: at once"
    assert [shop.after(LONGEST_PAUSE_MS) for _ in range(3)] == [1, 1, 1]
    shop.after(REST_AFTER_MS)
    shop.available = 7
    assert shop.after(2 * LONGEST_PAUSE_MS) == 1
    assert [shop.after(LONGEST_PAUSE_MS) for _ in range(3)] == [1, 1, 1], "R4: what changes ends the rest"
