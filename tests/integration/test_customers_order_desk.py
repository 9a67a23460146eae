"""Purchases at the desk, on a real socket: the usual way's answers, header for header, and nothing sold or counted twice."""

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine

from customers.instance import Instance, instance_of
from customers.serving.order_desk import OrderDesk, gathering_seconds
from customers.serving.server import Server
from distributor.errors import Busy, DistributorError, OutcomeUnknown
from distributor.sales import Answer, Asked, Unsettled
from tests.conftest import free_port, wait_until
from tests.customers_world import Program, make_app, make_runtime
from tests.distributor_world import World, discrepancies, rows

Told = tuple[int, dict[str, str], Any]

pytestmark = pytest.mark.asks_the_instance("its server with and without the desk")


@dataclass
class Shop:
    """One instance, twice: with a desk, and as it answers without one."""

    app: Flask
    instance: Instance
    port: int
    desk: OrderDesk

    def order(self, customer: Program, body: object, key: str, **headers: str) -> Told:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Content-Type": "application/json", "Idempotency-Key": key, "X-Request-Id": "request-number-1"}
        sent |= {"Authorization": f"Bearer {customer.token}"} if customer.token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", "/api/v1/orders", json.dumps(body), sent)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        content = answer.read()
        connection.close()
        return answer.status, found, json.loads(content)

    def usual(self, customer: Program, body: object, key: str) -> Told:
        answer = customer.call("POST", "/orders", body, Idempotency_Key=key, X_Request_Id="request-number-1")
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.json

    def customer(self) -> Program:
        return Program(self.app.test_client()).sign_up().with_card()


@pytest.fixture(params=["group_commit", "row_lock"])
def shop(request: pytest.FixtureRequest, database_url: str, world: World, tmp_path: Path) -> Iterator[Shop]:
    app = make_app(make_runtime(tmp_path / "state", database_url, distributor={"strategy": request.param}))
    instance = instance_of(app)
    port, desk = free_port(), OrderDesk(instance)
    server = Server(app, host="127.0.0.1", port=port, threads=4, body_bytes_max=10_000, desk=desk)
    stop = threading.Event()
    thread = threading.Thread(target=server.serve, args=(stop.is_set,))
    thread.start()
    yield Shop(app, instance, port, desk)
    stop.set()
    thread.join(60)
    instance.close()


def wanted(*lines: tuple[int, int]) -> dict[str, object]:
    return {"lines": [{"stock_id": stock_id, "quantity": quantity} for stock_id, quantity in lines]}


def comparable(told: Told) -> Told:
    """Without what must differ: the clock's, the number of the order."""
    status, headers, body = told
    kept = {name: value for name, value in headers.items() if name not in {"date", "server-timing", "location"}}
    kept.pop("ratelimit", None)
    return status, kept, {name: value for name, value in body.items() if name not in {"id", "created_at"}}


def test_a_purchase_is_answered_as_it_is_without_the_desk(shop: Shop, world: World) -> None:
    """K1; also the answer of a repetition."""
    ada, bob = shop.customer(), shop.customer()
    body = wanted((world.stock[0], 1), (world.stock[3], 2))
    fast, usual = shop.order(ada, body, "k"), shop.usual(bob, body, "k")
    assert fast[0] == 201
    assert comparable(fast) == comparable(usual)
    assert fast[1]["location"] == f"/api/v1/orders/{fast[2]['id']}"
    assert fast[1]["ratelimit"] == usual[1]["ratelimit"]
    again = shop.order(ada, body, "k")
    assert (again[0], again[1]["idempotency-replayed"], again[2]) == (201, "true", fast[2])
    assert comparable(again) == comparable(shop.usual(ada, body, "k"))


def test_it_says_how_long_it_waited_and_with_whom_it_was_sold(shop: Shop, world: World) -> None:
    _status, headers, _body = shop.order(shop.customer(), wanted((world.stock[0], 1)), "k")
    timing = headers["server-timing"]
    assert 'strategy;desc="' in timing
    assert "lock;dur=" in timing
    assert 'group;desc="1"' in timing


def test_refusals_and_mistakes_are_told_in_the_usual_way(shop: Shop, world: World, engine: Engine) -> None:
    """K2: and stored, counted and sold once."""
    ada, bob = shop.customer(), shop.customer()
    short = wanted((world.stock[1], 9))
    refused = shop.order(ada, short, "k1", Accept_Language="pl")
    assert (refused[0], refused[2]["lines"]) == (409, [{"stock_id": world.stock[1], "wanted": 9, "available": 3}])
    assert refused[1]["content-language"] == "pl"
    assert "lock;dur=" in refused[1]["server-timing"]
    assert refused[1]["ratelimit"] == shop.usual(bob, short, "k1")[1]["ratelimit"], "counted once"
    assert shop.order(ada, wanted((world.stock[0], 1)), "k1")[0] == 422, "the same key, another request"
    wrong: list[Any] = [{"lines": [{"stock_id": 1}]}, {"lines": []}, [], {"x": 1}, wanted((world.stock[0], 10**9))]
    for body in wrong:
        assert shop.order(ada, body, "k2")[0] in {400, 422}
    assert shop.order(ada, wanted((world.stock[0], 1)), "\u00e4")[0] == 400
    guest = Program(shop.app.test_client())
    assert shop.order(guest, wanted((world.stock[0], 1)), "k3")[0] == 401
    assert rows(engine, "SELECT count(*) FROM orders") == [(0,)]
    assert shop.order(ada, {}, "k4")[2]["reason"] == "cart_empty"


def test_a_session_that_ended_buys_nothing_from_then_on(shop: Shop, world: World) -> None:
    """K3, P6"""
    ada = shop.customer()
    assert shop.order(ada, wanted((world.stock[0], 1)), "k1")[0] == 201
    assert ada.call("DELETE", "/session").status_code == 204
    assert shop.order(ada, wanted((world.stock[0], 1)), "k2")[0] == 401


@pytest.mark.parametrize(
    ("last", "waiting", "waits"), [(0, 1, False), (7, 1, False), (8, 1, True), (64, 63, True), (64, 64, False)]
)
def test_only_in_a_crowd_it_waits_for_others(last: int, waiting: int, waits: bool) -> None:
    assert (gathering_seconds(last, waiting, groups_max=64) > 0) == waits


def test_many_at_once_get_their_own_answers(shop: Shop, world: World, engine: Engine) -> None:
    """Five units for eight customers, each asking twice with one key."""
    people = [shop.customer() for _ in range(8)]
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda one: shop.order(one, wanted((world.stock[0], 1)), "k"), people * 2))
    assert sorted(status for status, _headers, _body in told) == [201] * 10 + [409] * 6
    assert len({body["id"] for status, _headers, body in told if status == 201}) == 5
    for place in range(8):
        assert told[place][2] == told[place + 8][2]
    assert not discrepancies(engine)


@pytest.mark.parametrize("told", [Unsettled(0.0), Unsettled(0.0, OutcomeUnknown()), Busy(), ZeroDivisionError()])
def test_what_the_desk_could_not_settle_is_settled_by_the_usual_way(
    shop: Shop, world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch, told: Exception | Unsettled
) -> None:
    """K4; Busy is an answer: nothing was sold, and it is for the client to come again."""
    ada = shop.customer()

    def place_group(asked: list[Asked]) -> list[Answer | DistributorError | Unsettled]:
        if isinstance(told, ZeroDivisionError):
            raise told
        return [told for _one in asked]  # type: ignore[misc]

    monkeypatch.setattr(shop.instance.sales, "place_group", place_group)
    status, _headers, _body = shop.order(ada, wanted((world.stock[0], 1)), "k")
    assert status == (503 if isinstance(told, Busy) else 201)
    assert rows(engine, "SELECT count(*) FROM orders") == [(int(status == 201),)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("shop", ["group_commit"], indirect=True)
def test_who_waits_for_a_thread_that_ends_goes_the_usual_way(
    shop: Shop, world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K5; SystemExit stands for what nobody catches. Also who had been let in before, and whoever comes later."""
    people = [shop.customer() for _ in range(3)]
    reached = threading.Event()
    release = threading.Event()

    def end_the_thread(_tickets: object) -> None:
        reached.set()
        release.wait(60)
        raise SystemExit

    monkeypatch.setattr(shop.desk, "_sell", end_the_thread)
    body = wanted((world.stock[0], 1))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(shop.order, people[0], body, "k")
        assert reached.wait(60)
        second = pool.submit(shop.order, people[1], body, "k")
        wait_until(lambda: shop.desk.waiting)
        release.set()
        assert (first.result()[0], second.result()[0]) == (201, 201)
    assert shop.order(people[2], body, "k")[0] == 201
    assert not discrepancies(engine)


def test_a_group_that_raises_is_counted_and_sold_once(
    shop: Shop, world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K2: the quota was spent at the desk."""
    ada, bob = shop.customer(), shop.customer()

    def place_group(_asked: object) -> None:
        raise ZeroDivisionError

    usual = shop.usual(bob, wanted((world.stock[0], 1)), "k")
    monkeypatch.setattr(shop.instance.sales, "place_group", place_group)
    told = shop.order(ada, wanted((world.stock[0], 1)), "k")
    assert (told[0], told[1]["ratelimit"]) == (201, usual[1]["ratelimit"])
    assert 'repeats;desc="group"' in told[1]["server-timing"]
    assert rows(engine, "SELECT count(*) FROM orders") == [(2,)]


def test_beyond_the_quota_it_is_refused_before_anything_is_sold(
    database_url: str, world: World, tmp_path: Path, engine: Engine
) -> None:
    limits = {"customer_orders_per_minute": 2}
    app = make_app(make_runtime(tmp_path / "state", database_url, rate_limits=limits))
    instance = instance_of(app)
    ada = Program(app.test_client()).sign_up().with_card()
    port = free_port()
    server = Server(app, host="127.0.0.1", port=port, threads=2, body_bytes_max=10_000, desk=OrderDesk(instance))
    stop = threading.Event()
    thread = threading.Thread(target=server.serve, args=(stop.is_set,))
    thread.start()
    try:
        served = Shop(app, instance, port, OrderDesk(instance))
        told = [served.order(ada, wanted((world.stock[0], 1)), f"k{number}")[0] for number in range(3)]
    finally:
        stop.set()
        thread.join(60)
    assert told == [201, 201, 429]
    assert rows(engine, "SELECT count(*) FROM orders") == [(2,)]
    instance.close()
