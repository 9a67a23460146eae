"""The statistics page in a browser: axe-core finds nothing in either theme, and nothing is cut off from a phone to a wall."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from load_balancer.balancing.servers import Admin, Sign
from load_balancer.stats.events import Event
from load_balancer.stats.page import stats_page
from tests.browser.test_customers_accessibility import violations
from tests.unit.test_load_balancer_stats import figures_of, server_figures

EVENT = Event(1_700_000_000.0, "web-3", "UP", "DOWN", "GET /readyz was not answered within 1.5 s", 2, 3)
FIGURES = figures_of(
    server_figures("web-1", [Sign.PASSED], weight=3, maxconn=20),
    server_figures("web-2", [Sign.PASSED, Sign.FAILED], backup=True),
    server_figures("a-server-with-a-rather-long-name.example", [Sign.PASSED] + [Sign.FAILED] * 2),
    server_figures("web-4", [Sign.NOT_READY]),
    server_figures("web-5", [Sign.PASSED], Admin.DRAIN),
    events=(EVENT, EVENT._replace(after="")),
)


@pytest.mark.parametrize("width", [320, 1440])
def test_the_statistics_page_is_for_everybody(browser: Browser, tmp_path: Path, width: int) -> None:
    """Judged standing still: axe-core cannot know that the page that loads itself anew offers that."""
    file = tmp_path / "stats.html"
    file.write_text(stats_page(FIGURES, still=True), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []
    context.close()
