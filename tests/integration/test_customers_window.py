"""What passers-by see, read once for many: honest within a second, and the same for everybody."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from werkzeug.datastructures import MultiDict

from customers.instance import instance_of
from customers.query_input import ProductsWanted, read_products
from customers.window import SHOWN_SECONDS, window
from distributor.database import transaction
from distributor.queries import Item, MonthStatus, Page
from distributor.queries.months import LATELY
from tests.conftest import wait_until
from tests.customers_world import Person, alert, make_app, make_runtime
from tests.distributor_world import World, add_same_good, cart, order_count, rows, sell_to_others, set_month

COUNTING_SECONDS = 0.1


@pytest.fixture
def app(database_url: str, world: World, tmp_path: Path) -> Iterator[Flask]:
    app = make_app(make_runtime(tmp_path / "state", database_url))
    yield app
    instance_of(app).close()


@pytest.fixture
def guest(app: Flask) -> FlaskClient:
    return app.test_client()


def sell(engine: Engine, stock_id: int, units: int) -> None:
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET sold = sold + :n WHERE id = :id"), {"n": units, "id": stock_id})


def test_open_pages_get_quantities(guest: FlaskClient, world: World) -> None:
    first = guest.get(f"/stock?ids={world.stock[0]},{world.stock[2]},999999")
    ids = [str(world.stock[0]), str(world.stock[2])]
    assert first.json == {"available": dict(zip(ids, [5, 0], strict=True)), "in_other_carts": dict.fromkeys(ids, 0)}
    assert first.headers["Cache-Control"] == "no-cache"
    assert "Set-Cookie" not in first.headers


def test_an_unchanged_quantity_has_no_body(guest: FlaskClient, engine: Engine, world: World) -> None:
    path = f"/stock?ids={world.stock[0]}"
    tag = guest.get(path).headers["ETag"]
    again = guest.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    sell(engine, world.stock[0], 2)
    changed = lambda: guest.get(path, headers={"If-None-Match": tag}).status_code == 200  # noqa: E731
    wait_until(changed, SHOWN_SECONDS + 2, "the sale is seen by open pages")
    fresh = guest.get(path)
    assert fresh.json is not None
    assert fresh.json["available"] == {str(world.stock[0]): 3}


@pytest.mark.parametrize("bad", ["", "x", "1,", "0", ",".join(["1"] * 101), "1%00", "%31%2c", "1&ids=x", "\uff19"])
def test_a_request_for_quantities_that_is_wrong_is_told_so(guest: FlaskClient, bad: str) -> None:
    """P7"""
    assert guest.get(f"/stock?ids={bad}").status_code == 422


def test_guests_see_a_sale_within_a_second_or_so(guest: FlaskClient, engine: Engine, world: World) -> None:
    """W2"""
    for path in ("/", f"/product/{world.stock[3]}"):
        assert "41 left" not in guest.get(path).text
    assert "40 left" in guest.get("/").text
    sell(engine, world.stock[3], 7)
    for path in ("/", f"/product/{world.stock[3]}"):
        wait_until(lambda path=path: "33 left" in guest.get(path).text, SHOWN_SECONDS + 2, "the sale is seen")  # type: ignore[misc]


def test_who_has_bought_sees_it_at_once_and_everybody_else_what_the_window_shows(
    database_url: str, engine: Engine, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W2; what is kept is kept for ever here. After a while the buyer sees what everybody sees."""
    monkeypatch.setattr(window, "SHOWN_SECONDS", 3_600.0)
    runtime = make_runtime(tmp_path / "kept", database_url)
    app, other = make_app(runtime), make_app(runtime)
    ada, bob = Person(app.test_client()).sign_up().with_card(), Person(app.test_client()).sign_up()
    pages = [f"/product/{world.stock[3]}", "/"]
    for reader in (ada, ada.window(other), bob):
        assert all("40 left" in reader.get(page).text for page in pages)
    ada.put_in_cart(world.stock[3], 7)
    assert ada.buy(ada.checkout(), pay="saved").status_code == 303
    for buyer in (ada, ada.window(other)):
        assert all("33 left" in buyer.get(page).text for page in pages)
    assert all("40 left" in bob.get(page).text for page in pages)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE orders SET created_at = created_at - :lately"), {"lately": LATELY})
    assert all("40 left" in ada.get(page).text for page in pages)
    for one in (app, other):
        instance_of(one).close()


def test_nothing_is_decided_by_what_the_window_shows(
    database_url: str, engine: Engine, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W3, and L1 and L2 of shop.py: what is kept is kept for ever here, and others have bought meanwhile."""
    monkeypatch.setattr(window, "SHOWN_SECONDS", 3_600.0)
    app = make_app(make_runtime(tmp_path / "kept", database_url))
    ada = Person(app.test_client()).sign_up().with_card()
    wanted, other = world.stock[3], world.stock[1]
    ada.put_in_cart(wanted, 30)
    ada.put_in_cart(other, 1)
    form = ada.checkout()
    assert "40 left" in ada.get(f"/product/{wanted}").text
    sell_to_others(engine, wanted, 18)
    assert "40 left" in ada.get(f"/product/{wanted}").text
    assert ada.post(f"/cart/{wanted}/add", "/account", quantity="1").status_code == 409
    refused = ada.buy(form, pay="saved")
    assert (refused.status_code, order_count(engine)) == (409, 0)
    assert "22 of 30 left" in alert(refused.text)
    assert ada.post("/cart/fit", "/account").status_code == 303
    assert cart(engine) == {wanted: 22, other: 1}
    instance_of(app).close()


def test_the_month_makers_and_lengths_are_asked_for_once_in_a_while(
    app: Flask, engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W1, with a clock of the test's own: a length that takes long to count is kept for longer."""
    kept, now, wanted = instance_of(app).shop.window, [1_000.0], read_products(MultiDict(), 1)
    for one in (kept._month, kept._makers, kept._totals):
        monkeypatch.setattr(one, "_now", lambda: now[0])

    def seen() -> tuple[MonthStatus | None, int, int]:
        return kept.month(), len(kept.makers()), kept.products_now(wanted).total

    before = seen()
    set_month(engine, "closing")
    add_same_good(engine, world.stock[0], "m9", 7)
    now[0] += SHOWN_SECONDS / 2
    assert seen() == before
    now[0] += SHOWN_SECONDS
    month, makers, total = seen()
    assert (month != before[0], makers, total) == (True, before[1] + 1, before[2] + 1)

    read = kept._read_products

    def count_slowly(wanted: ProductsWanted, reader: int | None, known: int | None) -> Page[Item]:
        now[0] += COUNTING_SECONDS if known is None else 0.0
        return read(wanted, reader, known)

    monkeypatch.setattr(kept, "_read_products", count_slowly)
    now[0] += 2 * SHOWN_SECONDS
    assert seen()[2] == total
    sell_to_others(engine, world.stock[1], 3)
    now[0] += COUNTING_SECONDS / window.COUNTING_SHARE - 1.0
    assert seen()[2] == total
    now[0] += 1.0
    assert seen()[2] == total - 1


def test_held_goods_are_in_others_carts_for_everybody_but_their_holder(
    database_url: str, world: World, tmp_path: Path
) -> None:
    app = make_app(make_runtime(tmp_path / "holding", database_url, cart={"hold_seconds": 60}))
    ada = Person(app.test_client()).sign_up()
    assert ada.post(f"/cart/{world.stock[0]}/add", "/account", quantity="4").status_code == 303
    guest, key = app.test_client(), str(world.stock[0])
    assert guest.get(f"/stock?ids={key}").json == {"available": {key: 1}, "in_other_carts": {key: 4}}
    shop = instance_of(app)
    wanted = read_products(MultiDict(), 24)
    mine = customer_id(shop.engine)
    assert [item.available for item in shop.shop.window.products(wanted).items] == [1, 3, 40]
    assert [item.available for item in shop.shop.products(wanted, mine).items] == [5, 3, 40]
    seen = [shop.shop.product(world.stock[0], reader) for reader in (None, mine)]
    assert [(one.item.available, one.item.in_other_carts) for one in seen if one] == [(1, 4), (5, 0)]


def customer_id(engine: Engine) -> int:
    return int(rows(engine, "SELECT max(id) FROM customer")[0][0])
