"""What the catalogue, a product and an error show in each of their states, and what a first visit costs in bytes."""

import re
import zlib
from itertools import pairwise
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from customers.instance import instance_of
from customers.pages import pictures
from distributor.database import transaction
from distributor.errors import DatabaseUnavailable, OutcomeUnknown, ShopClosed
from tests.customers_world import Person, make_app, make_runtime
from tests.distributor_world import World, make_world, set_month

FIRST_VISIT_BYTES_MAX = 60_000  # all that a browser loads for the first page, without pictures; the promise is 100 KB
PART = {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.fixture
def world(engine: Engine) -> World:
    """Thirty goods, so two pages of them; the first is made by both manufacturers, under two names."""
    world = make_world(engine, [5, 3, 0, *[40] * 27], customers=0, price_minor=1_999)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET name = 'Oak chair' WHERE id = :s"), {"s": world.stock[0]})
        connection.execute(
            text("""INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied)
                    SELECT product_id, (SELECT id FROM manufacturer WHERE code = 'm2'), 'Kitchen bench', 1499, 'GBP', 9
                    FROM stock WHERE id = :s"""),
            {"s": world.stock[0]},
        )
    return world


@pytest.fixture
def guest(app: Flask, world: World) -> Person:
    return Person(app.test_client())


def pictures_on(page: str) -> list[str]:
    return re.findall(r'<img class="picture[^>]*? src="([^"]+)"', page)


def test_a_first_visit_is_light(guest: Person) -> None:
    addresses = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', guest.get("/").text))
    answers = [guest.client.get(address, headers={"Accept-Encoding": "gzip"}) for address in ["/", *addresses]]
    assert len(addresses) >= 6
    assert sum(len(answer.data) for answer in answers) < FIRST_VISIT_BYTES_MAX


def test_files_are_coded_once_and_only_for_who_can_read_it(guest: Person) -> None:
    (path,) = re.findall(r'href="([^"]+shop\.css)"', guest.get("/").text)
    plain, coded = guest.get(path), guest.client.get(path, headers={"Accept-Encoding": "gzip"})
    assert ("Content-Encoding" in plain.headers, coded.headers["Content-Encoding"]) == (False, "gzip")
    assert zlib.decompress(coded.data, 31) == plain.data
    assert plain.headers["Vary"] == coded.headers["Vary"] == "Accept-Encoding"
    again = guest.client.get(path, headers={"If-None-Match": plain.headers["ETag"], "Accept-Encoding": "gzip"})
    assert (again.status_code, again.data) == (304, b"")


def test_pictures_are_kept_for_ever_and_only_asked_for_when_seen(guest: Person) -> None:
    """G3 of pages/pictures."""
    page = guest.get("/").text
    addresses = pictures_on(page)
    assert len(addresses) == 24
    assert page.count('loading="lazy"') == 24
    answer = guest.get(addresses[0])
    assert answer.content_type == "image/svg+xml; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Security-Policy"]
    of_another_version = guest.get(addresses[0].replace(pictures.VERSION, "000000000000"))
    assert (of_another_version.data, of_another_version.headers["Cache-Control"]) == (answer.data, "no-cache")
    for bad in ("x", "kettle-copper-1234567", "kettle-copper-1234567%0a", "..%2fviews"):
        assert guest.get(f"/picture/{pictures.VERSION}/{bad}.svg").status_code == 404


def test_the_same_good_has_the_same_picture_whoever_makes_it(guest: Person, world: World) -> None:
    """Although one calls it a chair and the other a bench."""
    chair, bench = (pictures_on(guest.get(f"/?q={name}").text) for name in ("chair", "bench"))
    assert chair == bench
    assert "chair-oak" in chair[0]


def test_the_same_good_stands_side_by_side_with_the_cheapest_marked(guest: Person, world: World) -> None:
    assert "also from 1 other" in guest.get("/?q=chair").text
    page = guest.get(f"/product/{world.stock[0]}").text
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)[1:]
    assert [("Kitchen bench" in row, "lowest price" in row) for row in rows] == [(True, True), (False, False)]
    assert "Add to cart" not in page
    ada = guest.sign_up()
    page = ada.get(f"/product/{world.stock[0]}").text
    assert len(re.findall(r'form="add" formaction="/cart/\d+/add"', page)) == 2


def test_cards_are_the_same_for_every_customer(app: Flask, guest: Person) -> None:
    """So that they can be kept: their buttons belong to one form, which alone has the customer's token."""

    def grid_of(person: Person) -> str:
        page = person.get("/").text
        assert page.count('name="form_token"') == page.count("<form") - page.count('<form class="filters"')
        return page[page.index('<ul class="grid"') : page.index("</section>")]

    ada, eve = guest.sign_up(), Person(app.test_client()).sign_up()
    assert grid_of(ada) == grid_of(eve)
    assert "form_token" not in grid_of(ada)


def test_a_script_gets_only_what_changes_while_somebody_types(guest: Person) -> None:
    whole, part = guest.get("/?q=chair"), guest.client.get("/?q=chair", headers=PART)
    assert part.text.startswith("<title>Results for “chair” · Central Distribution</title>")
    assert "<form" not in part.text
    assert "<nav" not in part.text
    for answer in (whole, part):
        assert "1 product<" in answer.text
        assert "HX-Request-Type" in answer.headers["Vary"]


def test_what_is_chosen_can_be_taken_away_and_stays_from_page_to_page(guest: Person) -> None:
    page = guest.get("/?q=Product&manufacturer=m1&sort=price").text
    chips = re.findall(r'<a class="chip[^"]*" href="([^"]+)"', page)
    assert chips == ["/?manufacturer=m1&amp;sort=price", "/?q=Product&amp;sort=price", "/?sort=price"]
    page = guest.get("/?sort=-price").text
    assert re.findall(r'rel="next" href="([^"]+)"', page) == ["/?sort=-price&amp;page=2"]
    assert "Remove the filter" not in page


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/?q=zebra", ["Nothing in stock matches", "Show everything in stock", "In stock now"]),
        ("/?q=zebra&manufacturer=m1", ["Search all manufacturers", "Remove all filters", "First Works"]),
        ("/?manufacturer=nobody", ["Nothing in stock matches", "<option selected>nobody</option>"]),
        ("/?page=99", ["There is no page 99", "To the first page"]),
    ],
)
def test_an_empty_list_says_why_and_what_now(guest: Person, path: str, words: list[str]) -> None:
    page = guest.get(path).text
    assert [word for word in words if word not in page] == []


def test_sold_out_and_between_months_are_told_apart(
    guest: Person, engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET sold = supplied"))
    page = guest.get("/").text
    assert "Everything is sold out" in page
    assert "The next month begins in" in page
    set_month(engine, "closed")
    other_instance = make_app(make_runtime(tmp_path, database_url)).test_client()
    assert "The shop is between two months" in other_instance.get("/").text


def test_a_sold_out_product_says_so(guest: Person, world: World) -> None:
    page = guest.get(f"/product/{world.stock[2]}").text
    assert "sold out" in page
    assert "See what else is in stock" in page
    assert "Log in to buy" not in page


def test_what_others_hold_in_their_carts_is_not_called_sold_out(
    world: World, database_url: str, tmp_path: Path
) -> None:
    app = make_app(make_runtime(tmp_path, database_url, cart={"hold_seconds": 600}))
    ada, eve = (Person(app.test_client()).sign_up() for _ in range(2))
    held = world.stock[1]
    assert ada.post(f"/cart/{held}/add", f"/product/{held}", quantity="3").status_code == 303
    page = eve.get(f"/product/{held}").text
    assert f'<span class="left held" data-stock="{held}">in others\u2019 carts</span>' in page
    assert "What they do not buy can be had again" in page
    assert f'data-stock="{held}">in others\u2019 carts' in eve.get("/?q=Product+2").text
    assert f'formaction="/cart/{held}/add"' not in page + eve.get("/").text
    assert "it is held for you for 10 min" in eve.get(f"/product/{world.stock[3]}").text


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (DatabaseUnavailable, 503, ["Nothing is lost", "Try again"]),
        (ShopClosed, 503, ["Between two months", "Try again"]),
        (OutcomeUnknown, 503, ["it may have been done, or not", "To the catalogue"]),
        (RuntimeError, 500, ["It is our mistake, not yours", "Try again"]),
    ],
)
def test_errors_say_what_to_do_and_which_request_it_was(
    guest: Person, monkeypatch: pytest.MonkeyPatch, error: type[Exception], status: int, words: list[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    shop = instance_of(guest.client.application)
    monkeypatch.setattr(shop.shop.window, "products", fail)
    answer = guest.get("/")
    assert answer.status_code == status
    assert [word for word in words if word not in answer.text] == []
    assert f"Request {answer.headers['X-Request-Id']}" in answer.text
    assert "RuntimeError" not in answer.text


def test_other_errors_are_designed_too(guest: Person) -> None:
    for answer, status, words in (
        (guest.get("/nowhere"), 404, "Search the catalogue"),
        (guest.get("/log-out"), 405, "To the catalogue"),
        (guest.get("/?page=x"), 422, "Page: "),
        (guest.client.post("/log-in", data={"email": "x"}), 403, "reload the page"),
        (guest.client.post("/log-in", data={"email": "x" * 600_000}), 413, "To the catalogue"),
    ):
        assert answer.status_code == status
        assert words in answer.text
        assert "<h1>" in answer.text
        assert len(pictures_on(answer.text)) == 1


def test_headings_are_in_order_and_landmarks_are_there(guest: Person, world: World) -> None:
    for path in ("/", f"/product/{world.stock[0]}", "/log-in", "/sign-up", "/nowhere", "/?q=zebra"):
        page = guest.get(path).text
        levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert page.index('class="skip" href="#main"') < page.index("<header") < page.index('<main id="main"')
        assert "<footer" in page
