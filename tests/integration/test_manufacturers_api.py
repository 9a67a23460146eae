"""The API over a real socket: what it promises to the distributor, and what it makes of bad input (P7)."""

import hashlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port
from tests.manufacturers_world import Answer, Factory, assert_conserved, make_runtime, rows, sign

NOTHING_IS_MADE = {
    "count": 2,
    "manufacturers_per_process": 2,
    "products_per_manufacturer": 3,
    "initial_units_per_product": 5,
    "units_per_month": 0,
}


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("manufacturers")


@pytest.fixture(scope="module")
def idle(shared_folder: Path, request: pytest.FixtureRequest) -> Iterator[Factory]:
    """Two manufacturers in one process that make nothing; for requests that change nothing."""
    from tests.conftest import wait_until

    factory = Factory(make_runtime(shared_folder, free_port(), manufacturers=NOTHING_IS_MADE), "manufacturers-1")
    factory.start_ready(wait_until)
    yield factory
    factory.kill()


@pytest.fixture
def fresh(tmp_path: Path, wait_until: Callable[..., None]) -> Iterator[Factory]:
    """The same, for one test alone."""
    factory = Factory(make_runtime(tmp_path, free_port(), manufacturers=NOTHING_IS_MADE), "manufacturers-1")
    factory.start_ready(wait_until)
    yield factory
    factory.kill()


def assert_problem(answer: Answer, status: int) -> None:
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["detail"]


def test_the_stock_is_shown_with_names_and_prices(idle: Factory) -> None:
    answer = idle.signed("GET", "/api/v1/stock")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert body["manufacturer"]["code"] == "m1"
    assert [item["quantity"] for item in body["items"]] == [5, 5, 5]
    for item in body["items"]:
        assert item.keys() == {"sku", "name", "quantity", "price"}
        assert item["price"]["currency"] == "GBP"
        assert isinstance(item["price"]["amount"], int)


def test_who_is_asked_is_said_by_the_signature(idle: Factory) -> None:
    assert [idle.signed("GET", "/api/v1/stock", code=code).json()["manufacturer"]["code"] for code in ("m1", "m2")] == [
        "m1",
        "m2",
    ]


def test_an_offer_is_frozen_accepted_and_then_in_nobodys_stock(fresh: Factory) -> None:
    first = fresh.signed("GET", "/api/v1/offers/1")
    assert first.status == 200
    assert first.headers["Content-Type"].startswith("application/json")
    assert [item["quantity"] for item in first.json()["items"]] == [5, 5, 5]
    assert fresh.signed("GET", "/api/v1/offers/1").body == first.body
    assert fresh.signed("GET", "/api/v1/stock").json()["items"] == []
    for _ in range(2):  # idempotent
        answer = fresh.accept(1, first.body)
        assert (answer.status, answer.json()) == (200, {"month": 1, "state": "accepted"})
    assert fresh.signed("GET", "/api/v1/offers/1").body == first.body
    assert_conserved(fresh.ledger())


def test_an_offer_without_goods_is_an_offer(fresh: Factory) -> None:
    fresh.accept(1, fresh.signed("GET", "/api/v1/offers/1").body)
    empty = fresh.signed("GET", "/api/v1/offers/2")
    assert (empty.status, empty.json()["items"]) == (200, [])
    assert fresh.accept(2, empty.body).status == 200


def test_an_offer_that_was_not_accepted_is_released_when_a_later_month_is_asked_for(fresh: Factory) -> None:
    old = fresh.signed("GET", "/api/v1/offers/1").body
    new = fresh.signed("GET", "/api/v1/offers/3").body
    assert json.loads(old)["items"] == json.loads(new)["items"]
    assert_problem(fresh.accept(1, old), 409)
    assert_problem(fresh.signed("GET", "/api/v1/offers/1"), 409)
    assert_problem(fresh.signed("GET", "/api/v1/offers/2"), 409)
    assert fresh.accept(3, new).status == 200
    assert rows(fresh.ledger(), "SELECT month, state FROM offer") == [(1, "released"), (3, "accepted")]
    assert_conserved(fresh.ledger())


def test_what_was_not_offered_or_reads_otherwise_cannot_be_accepted(fresh: Factory) -> None:
    assert_problem(fresh.accept(1, b"anything"), 409)
    offer = fresh.signed("GET", "/api/v1/offers/1").body
    assert_problem(fresh.accept(1, offer + b" "), 409)
    assert rows(fresh.ledger(), "SELECT state FROM offer") == [("offered",)]


def test_the_ledger_page_counts_all_and_one_month(fresh: Factory) -> None:
    fresh.accept(1, fresh.signed("GET", "/api/v1/offers/1").body)
    fresh.signed("GET", "/api/v1/offers/2")
    everything = fresh.signed("GET", "/api/v1/ledger").json()
    assert everything["manufacturer"]["code"] == "m1"
    assert everything["events_applied"] == 0
    product = everything["products"][0]
    assert {key: product[key] for key in ("produced", "offered", "accepted", "sold", "returned", "in_stock")} == {
        "produced": 5,
        "offered": 0,
        "accepted": 5,
        "sold": 0,
        "returned": 0,
        "in_stock": 0,
    }
    assert [(month["month"], month["closed"], month["sold_units"]) for month in everything["months"]] == [
        (1, False, 0),
        (2, False, 0),
    ]
    second = fresh.signed("GET", "/api/v1/ledger?month=2").json()
    assert [product["accepted"] for product in second["products"]] == [0, 0, 0]
    assert [month["month"] for month in second["months"]] == [2]


@pytest.mark.parametrize(
    "month", ["0", "-1", "1.0", "01", "1000000", "x", "%31%30%30x", "٣", "1e3", "+1", "NaN", "%20"]
)
def test_a_month_is_a_number_of_up_to_six_digits(idle: Factory, month: str) -> None:
    raw = month.encode().decode("ascii", "ignore") or "%D9%A3"
    assert_problem(idle.signed("GET", f"/api/v1/offers/{raw}"), 422)
    assert_problem(idle.signed("POST", f"/api/v1/offers/{raw}/accept", b"{}"), 422)


@pytest.mark.parametrize("query", ["month=", "month=0", "month=1&month=2", "month=1.5", "month=%00", "month=1;2"])
def test_a_bad_month_in_the_query_is_refused(idle: Factory, query: str) -> None:
    assert_problem(idle.signed("GET", f"/api/v1/ledger?{query}"), 422)


GOOD_HASH = json.dumps({"content_sha256": "0" * 64}).encode()
BAD_BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"null", 400),
    (b"[]", 400),
    (b'"x"', 400),
    (b"1", 400),
    (b"{}", 400),
    (b"\xef\xbb\xbf" + GOOD_HASH, 400),
    (GOOD_HASH + b"x", 400),
    (GOOD_HASH.decode().encode("utf-16"), 400),
    (GOOD_HASH.decode().encode("utf-16-le"), 400),
    (b'{"content_sha256": "\xff"}', 400),
    (b'{"content_sha256": NaN}', 400),
    (b'{"content_sha256": 1e400}', 400),
    (b'{"content_sha256": ' + b"9" * 3_000 + b"}", 400),
    (b'{"content_sha256": ' + b"[" * 4_000, 400),
    (b'{"content_sha256": "a", "content_sha256": "b"}', 400),
    (b'{"content_sha256": null}', 400),
    (b'{"content_sha256": true}', 400),
    (b'{"content_sha256": 5}', 400),
    (b'{"content_sha256": ["' + b"0" * 64 + b'"]}', 400),
    (b'{"content_sha256": "' + b"0" * 63 + b'"}', 400),
    (b'{"content_sha256": "' + b"A" * 64 + b'"}', 400),
    (b'{"content_sha256": "' + b"0" * 64 + b'\\n"}', 400),
    (b'{"content_sha256": "\\ud800"}', 400),
    (GOOD_HASH[:-1] + b', "more": 1}', 400),
    (b" " * 5_000, 413),
    (b"x" * 1_000_000, 413),
]


@pytest.mark.parametrize(("body", "status"), BAD_BODIES, ids=lambda value: str(value)[:40])
def test_a_bad_body_gets_a_clear_answer_and_changes_nothing(idle: Factory, body: bytes, status: int) -> None:
    try:
        answer = idle.signed("POST", "/api/v1/offers/1/accept", body)
    except (BrokenPipeError, ConnectionResetError):
        assert status == 413  # refused before all of it was sent
        return
    assert_problem(answer, status)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/v1", 404),
        ("GET", "/api/v1/STOCK", 404),
        ("GET", "/api/v1/stock/", 404),
        ("GET", "//api/v1/stock", 404),
        ("GET", "/api/v1/offers/", 404),
        ("GET", "/api/v1/offers/1/2", 404),
        ("GET", "/api/v1/offers/%2e%2e/stock", 404),
        ("GET", "/api/v2/stock", 404),
        ("POST", "/api/v1/stock", 405),
        ("HEAD", "/api/v1/offers/1", 405),
        ("DELETE", "/api/v1/offers/1", 405),
        ("GET", "/api/v1/offers/1/accept", 405),
        ("PUT", "/api/v1/ledger", 405),
    ],
)
def test_unknown_addresses_and_methods(idle: Factory, method: str, target: str, status: int) -> None:
    answer = idle.signed(method, target)
    assert answer.status == status
    if method != "HEAD":
        assert_problem(answer, status)
    assert ("Allow" in answer.headers) == (status == 405)


def test_every_failed_authentication_gets_the_same_answer(idle: Factory) -> None:
    """A1 of manufacturers/authentication.py, over the wire."""
    keys = idle.runtime.secrets.manufacturer_keys
    target = "/api/v1/stock"
    good = sign(keys["m1"], "m1", "GET", target)
    now = int(time.time())
    attempts = [
        {},
        {key: value for key, value in good.items() if key != "X-Nonce"},
        sign("wrong", "m1", "GET", target),
        sign(keys["m2"], "m1", "GET", target),
        sign("", "m9", "GET", target),
        sign(keys["m1"], "m1", "GET", target, b"other body"),
        sign(keys["m1"], "m1", "GET", target + "?x=1"),
        sign(keys["m1"], "m1", "GET", target, timestamp=str(now - 400)),
        sign(keys["m1"], "m1", "GET", target, timestamp=str(now + 400)),
        good | {"X-Signature": good["X-Signature"].upper()},
        good | {"X-Manufacturer": "m1, m2"},
    ]
    answers = [idle.request("GET", target, headers=headers) for headers in attempts]
    assert idle.request("GET", target, headers=good).status == 200
    answers.append(idle.request("GET", target, headers=good))  # replayed
    for answer in answers:
        assert_problem(answer, 401)
        assert "WWW-Authenticate" in answer.headers
    assert len({answer.body for answer in answers}) == 1


def test_a_header_given_twice_proves_nothing(idle: Factory) -> None:
    headers = sign(idle.runtime.secrets.manufacturer_keys["m1"], "m1", "GET", "/api/v1/stock")
    connection = http.client.HTTPConnection("127.0.0.1", idle.port, timeout=60)
    connection.putrequest("GET", "/api/v1/stock")
    for name, value in [*headers.items(), ("X-Nonce", "0123456789abcdef")]:
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_health_readiness_and_metrics_need_no_signature(idle: Factory) -> None:
    assert idle.request("GET", "/healthz").status == 200
    assert idle.request("GET", "/readyz").json() == {"ready": True, "reason": None}
    metrics = idle.request("GET", "/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain")
    text = metrics.body.decode()
    assert 'manufacturer_units_produced_total{code="m1"} 15.0' in text
    assert 'manufacturer_units_in_stock{code="m2"} 15.0' in text
    assert 'manufacturer_lines{code="m1",state="idle"} 2.0' in text


def test_a_body_that_does_not_come_is_not_waited_for_without_end(idle: Factory) -> None:
    with socket.create_connection(("127.0.0.1", idle.port), timeout=60) as client:
        client.sendall(b"POST /api/v1/offers/1/accept HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


def test_production_fills_the_stock_up_to_the_capacity_and_again_after_an_offer(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """Lines that waited for room go on when an offer took the goods away (N2, N4)."""
    made: dict[str, Any] = {
        "count": 1,
        "products_per_manufacturer": 4,
        "initial_units_per_product": 0,
        "units_per_month": 6_000,
        "capacity_units_per_product": 7,
        "lead_time_seconds": 0.05,
        "breakdown_probability": 0.0,
    }
    runtime = make_runtime(tmp_path, free_port(), manufacturers=made, simulation={"month_seconds": 30.0})
    factory = Factory(runtime)

    def stock() -> list[int]:
        return [item["quantity"] for item in factory.signed("GET", "/api/v1/stock").json()["items"]]

    try:
        factory.start_ready(wait_until)
        wait_until(lambda: stock() == [7, 7, 7, 7], 10, "the store is full")
        wait_until(lambda: b'state="full"} 2.0' in factory.request("GET", "/metrics").body, 5, "both lines wait")
        offer = factory.signed("GET", "/api/v1/offers/1")
        assert [item["quantity"] for item in offer.json()["items"]] == [7, 7, 7, 7]
        wait_until(lambda: stock() == [7, 7, 7, 7], 10, "the store is full again")
        assert (
            hashlib.sha256(offer.body).hexdigest() == rows(factory.ledger(), "SELECT content_sha256 FROM offer")[0][0]
        )
        assert_conserved(factory.ledger())
    finally:
        factory.kill()
