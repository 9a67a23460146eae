"""Pages as their readers have set them: scheme, size of letters, language, a narrow screen; what a picture shows at night."""

import base64
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser_world import assert_fits, put_in_cart, sign_up
from tests.conftest import wait_until
from tests.distributor_world import World

LETTERS = "(size) => { document.documentElement.style.fontSize = size; }"
PIXEL = """async (png) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
    canvas.drawImage(image, 0, 0);
    return [...canvas.getImageData(12, image.height / 2, 1, 1).data].slice(0, 3);
}"""
NIGHT_BRIGHTNESS_MAX, DAY_BRIGHTNESS_MIN = 120, 150  # mean of a wall's red, green and blue, of 255
NAME_WIDTH_MIN = 300  # pixels; with letters of twice their size it was one letter wide once


def brightness(picture: Locator) -> float:
    """Of the wall, near the picture's left edge."""
    red, green, blue = picture.page.evaluate(PIXEL, base64.b64encode(picture.screenshot()).decode())
    return float(red + green + blue) / 3


@pytest.mark.parametrize("web", [{"cart": {"hold_seconds": 120}}], indirect=True)
def test_pages_suit_their_readers(new_page: Callable[..., Page], world: World) -> None:
    page = new_page()
    page.set_viewport_size({"width": 1280, "height": 800})
    sign_up(page)
    put_in_cart(page, world.stock[5], 2)
    for path in ("/cart", "/checkout"):
        page.goto(path)
        page.evaluate(LETTERS, "200%")
        box = page.locator(".cart-line .grow").bounding_box()
        assert box is not None
        assert box["width"] >= NAME_WIDTH_MIN, path
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280, path

    reader = new_page(locale="pl-PL", viewport={"width": 320, "height": 800})
    reader.goto("/")
    expect(reader.get_by_text("w innych koszykach")).to_be_visible()  # what stands in a list is the longest that can
    assert_fits(reader)

    reader.goto(f"/product/{world.stock[0]}")
    picture = reader.locator(".product .picture")
    reader.emulate_media(color_scheme="light")
    wait_until(lambda: brightness(picture) >= DAY_BRIGHTNESS_MIN, what="the picture is there, by day")
    reader.emulate_media(color_scheme="dark")
    wait_until(lambda: brightness(picture) <= NIGHT_BRIGHTNESS_MAX, what="it is drawn anew, by night")
    reader.emulate_media(media="print", color_scheme="dark")
    wait_until(lambda: brightness(picture) >= DAY_BRIGHTNESS_MIN, what="on paper it is day")
