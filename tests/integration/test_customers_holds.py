"""Carts that hold goods, as customers see them over the API and on pages."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from customers.instance import instance_of
from distributor.database import transaction
from tests.customers_world import Person, Program, make_app, make_runtime
from tests.distributor_world import World, make_world, rows

HOLD_SECONDS = 300


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [1, 3], customers=0)


@pytest.fixture
def app(database_url: str, world: World, tmp_path: Path) -> Iterator[Flask]:
    app = make_app(make_runtime(tmp_path / "state", database_url, cart={"hold_seconds": HOLD_SECONDS}))
    yield app
    instance_of(app).close()


@pytest.fixture
def ada(app: Flask) -> Program:
    return Program(app.test_client()).sign_up().with_card()


@pytest.fixture
def bob(app: Flask) -> Program:
    return Program(app.test_client()).sign_up().with_card()


def line(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    (found,) = answer.json["lines"]
    return dict(found)


def test_a_cart_tells_until_when_it_holds(ada: Program, engine: Engine, world: World) -> None:
    put = line(ada.call("PUT", f"/cart/{world.stock[1]}", {"quantity": 2}))
    shown = line(ada.call("GET", "/cart"))
    assert (shown["held"], shown["available"], shown["in_other_carts"], shown["can_hold_again"]) == (2, 3, 0, True)
    assert shown["held_until"] == put["held_until"]
    (now,) = rows(engine, "SELECT clock_timestamp() AS now")
    left = dt.datetime.fromisoformat(shown["held_until"]) - now.now
    assert HOLD_SECONDS - 30 < left.total_seconds() < HOLD_SECONDS
    assert 0 <= shown["hold_seconds_left"] - left.total_seconds() < 30


def test_others_are_told_what_is_in_other_carts(ada: Program, bob: Program, world: World) -> None:
    stock_id = world.stock[1]
    ada.call("PUT", f"/cart/{stock_id}", {"quantity": 2})
    seen = {who.id: who.call("GET", f"/products/{stock_id}").json or {} for who in (ada, bob)}
    assert [(item["available"], item["in_other_carts"]) for item in seen.values()] == [(3, 0), (1, 2)]
    refused = bob.call("PUT", f"/cart/{stock_id}", {"quantity": 2})
    assert refused.json is not None
    short = {"stock_id": stock_id, "wanted": 2, "available": 1, "in_other_carts": 2, "held": 0}
    assert (refused.status_code, refused.json["lines"]) == (409, [short])
    order = bob.order([(stock_id, 2)])
    assert order.json is not None
    assert (order.status_code, order.json["reason"], order.json["lines"]) == (409, "not_enough_stock", [short])
    assert ada.order(None).status_code == 201


def test_an_answer_for_one_reader_is_not_kept_for_another(ada: Program, world: World) -> None:
    assert ada.call("GET", f"/products/{world.stock[1]}").headers["Cache-Control"] == "private, no-cache"
    ada.token = ""
    assert ada.call("GET", f"/products/{world.stock[1]}").headers["Cache-Control"] == "no-cache"


def test_holding_again_by_program(ada: Program, world: World) -> None:
    path = f"/cart/{world.stock[0]}"
    assert ada.call("POST", f"{path}/hold").status_code == 404
    first = line(ada.call("PUT", path, {"quantity": 1}))
    again = line(ada.call("POST", f"{path}/hold"))
    assert again["held_until"] > first["held_until"]
    assert not again["can_hold_again"]
    refused = ada.call("POST", f"{path}/hold")
    assert refused.json is not None
    assert (refused.status_code, refused.json["type"], refused.json["reason"]) == (
        409,
        "urn:cds:problem:hold-refused",
        "extensions",
    )


def test_open_pages_of_a_holder_count_the_own_hold_as_there(app: Flask, world: World) -> None:
    holder = Person(app.test_client()).sign_up()
    assert holder.post(f"/cart/{world.stock[1]}/add", "/", quantity="2").status_code == 303
    address = f"/stock?ids={world.stock[1]}"
    row = str(world.stock[1])
    assert holder.get(address).json == {"available": {row: 3}, "in_other_carts": {row: 0}}
    assert app.test_client().get(address).json == {"available": {row: 1}, "in_other_carts": {row: 2}}


def test_holding_again_by_page(app: Flask, engine: Engine, world: World) -> None:
    person = Person(app.test_client()).sign_up()
    person.post(f"/cart/{world.stock[0]}/add", "/", quantity="1")
    with transaction(engine) as connection:
        connection.execute(text("UPDATE cart_line SET held_until = clock_timestamp()"))
    answer = person.post(f"/cart/{world.stock[0]}/hold", "/account")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/cart?done=held")
    assert rows(engine, "SELECT held_until > clock_timestamp() AS live, holds_begun FROM cart_line") == [(True, 2)]
    refused = person.post(f"/cart/{world.stock[0]}/hold", "/account")
    assert refused.status_code == 409
    assert "cannot be held any longer" in refused.text
    removed = person.post(f"/cart/{world.stock[1]}/hold", "/account")
    assert (removed.status_code, "not in your cart any more" in removed.text) == (404, True)


@pytest.mark.parametrize(("limit", "words"), [("hold_units_max", "units"), ("hold_lines_max", "products")])
def test_what_is_not_held_says_so_and_which_limit_it_was(
    database_url: str, world: World, tmp_path: Path, limit: str, words: str
) -> None:
    app = make_app(make_runtime(tmp_path / "state", database_url, cart={"hold_seconds": HOLD_SECONDS, limit: 1}))
    person = Person(app.test_client()).sign_up()
    for stock_id in world.stock:
        person.put_in_cart(stock_id)
    page = person.get("/cart").text
    assert page.count("Not held for you. You can still buy it while it is there.") == 1
    assert f'action="/cart/{world.stock[1]}/hold"' in page
    assert "Hold it<" in page
    refused = person.post(f"/cart/{world.stock[1]}/hold", "/cart")
    assert (refused.status_code, f"as many {words} as one customer may: 1." in refused.text) == (409, True)
    instance_of(app).close()


def test_a_page_tells_who_was_faster_with_an_ended_hold(app: Flask, bob: Program, engine: Engine, world: World) -> None:
    person = Person(app.test_client()).sign_up()
    person.post(f"/cart/{world.stock[0]}/add", "/", quantity="1")
    with transaction(engine) as connection:
        connection.execute(text("UPDATE cart_line SET held_until = clock_timestamp()"))
    assert bob.call("PUT", f"/cart/{world.stock[0]}", {"quantity": 1}).status_code == 200
    assert person.get("/cart").status_code == 200
    refused = person.post(f"/cart/{world.stock[0]}/hold", "/account")
    assert refused.status_code == 409
