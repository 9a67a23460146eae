"""The JSON API on a real database: every call of the table, with its refusals."""

import re
import uuid
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from distributor.database import transaction
from tests.customers_world import Program
from tests.distributor_world import World, discrepancies, order_count, rows, set_month

PROBLEM = "application/problem+json"


@pytest.fixture
def ada(app: Flask, world: World) -> Program:
    return Program(app.test_client()).sign_up().with_card()


@pytest.fixture
def eve(app: Flask, world: World) -> Program:
    return Program(app.test_client()).sign_up().with_card()


def set_price(engine: Engine, stock_id: int, price_minor: int) -> None:
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET price_minor = :p WHERE id = :s"), {"p": price_minor, "s": stock_id})


def test_products_in_stock_are_listed_in_pages(ada: Program, world: World) -> None:
    answer = ada.call("GET", "/products?per_page=2&page=1")
    assert answer.json is not None
    assert (answer.json["total"], answer.json["page"], answer.json["per_page"]) == (3, 1, 2)
    assert answer.json["items"][0] == {
        "stock_id": world.stock[0],
        "sku": "P001",
        "name": "Product 1",
        "manufacturer": {"code": "m1", "name": "First Works"},
        "price": {"amount": 250, "currency": "GBP"},
        "available": 5,
        "in_other_carts": 0,
    }
    again = ada.call("GET", "/products?per_page=2&page=1", If_None_Match=answer.headers["ETag"])
    assert (again.status_code, again.data) == (304, b"")


def test_guests_see_products_and_the_month(app: Flask, world: World) -> None:
    guest = Program(app.test_client())
    found = guest.call("GET", "/products?q=product+2&manufacturer=m2").json
    assert found is not None
    assert [item["sku"] for item in found["items"]] == ["P002"]
    month = guest.call("GET", "/month").json
    assert month is not None
    assert (month["number"], month["state"]) == (1, "open")
    assert guest.call("GET", f"/products/{world.stock[2]}").json == {
        "stock_id": world.stock[2],
        "sku": "P003",
        "name": "Product 3",
        "manufacturer": {"code": "m1", "name": "First Works"},
        "price": {"amount": 250, "currency": "GBP"},
        "available": 0,
        "in_other_carts": 0,
        "others": [],
    }


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=", "page"),
        ("sort=", "sort"),
        ("pages=2", "pages"),
        ("page=1.0", "page"),
        ("page=%EF%BC%95", "page"),
        ("page=" + "9" * 5_000, "page"),
        ("per_page=101", "per_page"),
        ("per_page=1&per_page=2", "per_page"),
        ("q=" + "x" * 101, "q"),
        ("q=%00", "q"),
        ("sort=id", "sort"),
        ("manufacturer=" + "m" * 33, "manufacturer"),
    ],
)
def test_a_wrong_query_names_its_parameter(app: Flask, world: World, query: str, field: str) -> None:
    answer = Program(app.test_client()).call("GET", f"/products?{query}")
    assert answer.status_code == 422
    assert answer.json is not None
    assert [error["field"] for error in answer.json["errors"]] == [field]


def test_a_cart_never_has_more_than_there_is(ada: Program, world: World) -> None:
    stock_id = world.stock[0]
    cart = ada.call("PUT", f"/cart/{stock_id}", {"quantity": 5}).json
    assert cart is not None
    assert [(line["stock_id"], line["quantity"], line["subtotal"]["amount"]) for line in cart["lines"]] == [
        (stock_id, 5, 1_250)
    ]
    refused = ada.call("PUT", f"/cart/{stock_id}", {"quantity": 6})
    assert (refused.status_code, refused.content_type) == (409, PROBLEM)
    assert refused.json is not None
    assert refused.json["lines"] == [{"stock_id": stock_id, "wanted": 6, "available": 5}]
    assert ada.call("GET", "/cart").json == cart
    emptied = ada.call("DELETE", f"/cart/{stock_id}")
    assert emptied.json == {"lines": [], "total": None, "can_be_bought": False}
    assert ada.call("PUT", "/cart/999999", {"quantity": 1}).status_code == 404


def test_an_order_is_placed_and_seen_by_its_customer_only(ada: Program, eve: Program, world: World) -> None:
    answer = ada.order([(world.stock[1], 2), (world.stock[0], 1)])
    assert answer.status_code == 201
    order = answer.json
    assert order is not None
    assert order["total"] == {"amount": 750, "currency": "GBP"}
    assert [line["stock_id"] for line in order["lines"]] == [world.stock[0], world.stock[1]]
    assert ada.client.get(answer.headers["Location"], headers={"Authorization": f"Bearer {ada.token}"}).json == order
    listed = ada.call("GET", "/orders").json
    assert listed is not None
    assert (listed["items"], listed["total"]) == ([order], 1)
    assert eve.call("GET", f"/orders/{order['id']}").status_code == 404
    assert eve.call("GET", "/orders").json == {"items": [], "page": 1, "per_page": 50, "total": 0}


def test_every_short_line_is_named(ada: Program, world: World, engine: Engine) -> None:
    refused = ada.order([(world.stock[0], 6), (world.stock[2], 1), (world.stock[3], 1), (999_999, 2)])
    assert (refused.status_code, refused.content_type) == (409, PROBLEM)
    assert refused.json is not None
    assert refused.json["lines"] == [
        {"stock_id": world.stock[0], "wanted": 6, "available": 5},
        {"stock_id": world.stock[2], "wanted": 1, "available": 0},
        {"stock_id": 999_999, "wanted": 2, "available": 0},
    ]
    assert order_count(engine) == 0
    assert not discrepancies(engine)


def test_the_same_key_gets_the_same_answer(ada: Program, eve: Program, world: World, engine: Engine) -> None:
    """P3: also refusals, also for another spelling of the same request; another customer's key is another key."""
    first = ada.order([(world.stock[0], 1)], key="k1")
    again = ada.order([(world.stock[0], 1)], key="k1")
    assert (first.status_code, again.status_code, again.json) == (201, 201, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert ada.order([(world.stock[0], 2)], key="k1").status_code == 422
    assert eve.order([(world.stock[0], 1)], key="k1").status_code == 201
    refused = ada.order([(world.stock[1], 4)], key="k2")
    set_stock(engine, world.stock[1], 40)
    replayed = ada.order([(world.stock[1], 4)], key="k2")
    assert (refused.status_code, replayed.status_code) == (409, 409)
    assert {**(replayed.json or {}), "request_id": ""} == {**(refused.json or {}), "request_id": ""}
    spelled = ada.client.post(
        "/api/v1/orders",
        data=f'{{ "lines":[ {{"quantity":1 , "stock_id":{world.stock[0]}}} ] }}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {ada.token}", "Idempotency-Key": "k1"},
    )
    assert spelled.json == first.json


def set_stock(engine: Engine, stock_id: int, supplied: int) -> None:
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET supplied = :n WHERE id = :s"), {"n": supplied, "s": stock_id})


@pytest.mark.parametrize("key", [None, "", " ", "two words", "k" * 201, "\u00e9", "tab\tkey"])
def test_a_purchase_needs_a_usable_key(ada: Program, world: World, engine: Engine, key: str | None) -> None:
    headers = {} if key is None else {"Idempotency_Key": key}
    answer = ada.call("POST", "/orders", {"lines": [{"stock_id": world.stock[0], "quantity": 1}]}, **headers)
    assert (answer.status_code, answer.content_type) == (400, PROBLEM)
    assert order_count(engine) == 0


def test_the_cart_is_bought_by_an_empty_order(ada: Program, world: World) -> None:
    assert ada.order(None).status_code == 409
    ada.call("PUT", f"/cart/{world.stock[0]}", {"quantity": 2})
    answer = ada.order(None, key="k1")
    assert answer.status_code == 201
    assert ada.call("GET", "/cart").json == {"lines": [], "total": None, "can_be_bought": False}
    assert ada.order(None, key="k1").json == answer.json


def test_a_changed_price_is_not_charged(ada: Program, world: World, engine: Engine) -> None:
    ada.call("PUT", f"/cart/{world.stock[0]}", {"quantity": 2})
    set_price(engine, world.stock[0], 300)
    refused = ada.order(None)
    assert refused.status_code == 409
    assert refused.json is not None
    assert refused.json["type"].endswith(":price-changed")
    assert refused.json["lines"][0]["price"] == {"amount": 300, "currency": "GBP"}
    ada.call("PUT", f"/cart/{world.stock[0]}", {"quantity": 2})
    assert ada.order(None).status_code == 201


def test_without_a_card_nothing_is_bought(app: Flask, world: World) -> None:
    poor = Program(app.test_client()).sign_up()
    refused = poor.order([(world.stock[0], 1)])
    assert (refused.status_code, refused.content_type) == (402, PROBLEM)
    poor.with_card()
    assert poor.order([(world.stock[0], 1)]).status_code == 201
    assert poor.call("DELETE", "/me/card").status_code == 204
    assert poor.order([(world.stock[0], 1)]).status_code == 402


def test_between_two_months_the_shop_says_when_to_come_again(ada: Program, world: World, engine: Engine) -> None:
    set_month(engine, "closing")
    for answer in (ada.order([(world.stock[0], 1)]), ada.call("POST", "/me/finished")):
        assert (answer.status_code, answer.content_type) == (503, PROBLEM)
        assert int(answer.headers["Retry-After"]) >= 1


def test_a_customer_is_done_for_the_month(ada: Program, engine: Engine) -> None:
    for _ in range(2):
        answer = ada.call("POST", "/me/finished")
        assert (answer.status_code, answer.json) == (200, {"month": 1})
    assert [(row.month, row.customer_id) for row in rows(engine, "SELECT * FROM finished_customer")] == [(1, ada.id)]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "//products", 404),
        ("GET", "/Products", 404),
        ("GET", "/products/", 404),
        ("GET", "/products/0", 404),
        ("GET", "/products/01", 404),
        ("GET", "/products/%D9%A3", 404),
        ("GET", "/products/9999999999999999999", 404),
        ("GET", "/products/1%00", 404),
        ("GET", "/..;/products", 404),
        ("PUT", "/products", 405),
        ("DELETE", "/products", 405),
        ("TRACE", "/products", 405),
        ("GET", "/session", 405),
    ],
)
def test_what_is_not_there_is_a_problem_too(ada: Program, method: str, path: str, status: int) -> None:
    answer = ada.call(method, path)
    assert (answer.status_code, answer.content_type) == (status, PROBLEM)
    if status == 405:
        assert answer.headers["Allow"]


def test_head_and_options_are_answered(app: Flask, world: World) -> None:
    client = app.test_client()
    head = client.head("/api/v1/products")
    assert (head.status_code, head.data) == (200, b"")
    assert "GET" in client.options("/api/v1/products").headers["Allow"]


def test_a_large_body_is_refused(ada: Program) -> None:
    answer = ada.call("POST", "/orders", {"lines": "x" * 600_000}, Idempotency_Key="k")
    assert (answer.status_code, answer.content_type) == (413, PROBLEM)


@pytest.mark.asks_the_instance("a load balancer gives every request an id of its own, and answers /healthz itself")
def test_every_answer_names_instance_and_request(app: Flask, world: World) -> None:
    """A1."""
    client = app.test_client()
    for path in ("/api/v1/products", "/api/v1/nothing", "/", "/nothing", "/healthz"):
        given = uuid.uuid4().hex
        answer = client.get(path, headers={"X-Request-Id": given})
        assert (answer.headers["X-Served-By"], answer.headers["X-Request-Id"]) == ("web-1", given)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for bad in ("x", "a b", "x" * 65, "abcdefgh\u00e9"):
        answer = client.get("/healthz", headers={"X-Request-Id": bad.encode().decode("latin-1")})
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-Id"])


def test_a_fault_of_ours_says_nothing_of_the_inside(app: Flask, ada: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("customers.shop.queries.cart", fail)
    answer = ada.call("GET", "/cart")
    assert (answer.status_code, answer.content_type) == (500, PROBLEM)
    assert "secret" not in answer.text
