"""What all calls of the API have in common: HTTP's own rules, problems for every error, pages of lists, entity tags."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask

from customers.api.calls import CALLS
from customers.api.problems import BY_TYPE
from customers.errors import PROBLEM_PREFIX
from tests.conftest import Server, fresh_database
from tests.customers_world import Program, make_app, make_runtime
from tests.distributor_world import engine_for, make_world

PROBLEM = "application/problem+json"
CONDITIONAL = [call for call in CALLS if call.conditional]


@pytest.fixture(scope="module")
def app(postgres_server: Server, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with fresh_database(postgres_server, template_database) as database_url:
        engine = engine_for(database_url)
        make_world(engine, [1_000, 900, 800, 700, 600], customers=0)
        engine.dispose()
        yield make_app(make_runtime(tmp_path_factory.mktemp("web"), database_url))


@pytest.fixture(scope="module")
def ada(app: Flask) -> Program:
    program = Program(app.test_client()).sign_up().with_card()
    for number in (1, 2, 3):
        assert program.order([(number, 1)]).status_code == 201
    return program


def path_of(call: object) -> str:
    return str(getattr(call, "path", "")).replace("{stock_id}", "1").replace("{order_id}", "1")


@pytest.mark.parametrize("call", CONDITIONAL, ids=[call.name for call in CONDITIONAL])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_who_has_the_newest_state_gets_no_body(ada: Program, call: object, coding: str) -> None:
    first = ada.call("GET", path_of(call), Accept_Encoding=coding)
    tag = first.headers["ETag"]
    assert re.fullmatch(r'W/"[0-9a-f]{40}"', tag)
    for given in (tag, f'"other", {tag}', "*", tag.removeprefix("W/")):
        again = ada.call("GET", path_of(call), If_None_Match=given, Accept_Encoding=coding)
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
        assert {"X-Served-By", "X-Request-Id", "Cache-Control"} <= set(again.headers.keys())
    assert ada.call("GET", path_of(call), If_None_Match='W/"other"', Accept_Encoding=coding).status_code == 200
    is_public = getattr(call, "public", False)
    assert first.headers["Cache-Control"] == ("no-cache" if is_public else "private, no-cache")
    assert is_public or "Authorization" in first.headers["Vary"]


def test_a_change_changes_the_tag(ada: Program) -> None:
    for quantity, path in enumerate(("/cart", "/orders", "/products", "/products/4"), start=1):
        before = ada.call("GET", path).headers["ETag"]
        assert ada.call("PUT", "/cart/4", {"quantity": quantity}).status_code == 200
        assert path == "/cart" or ada.order(None).status_code == 201
        assert ada.call("GET", path, If_None_Match=before).status_code == 200, path


def test_what_is_personal_or_always_new_is_kept_by_nobody(ada: Program) -> None:
    for path in ("/me", "/me/export", "/month"):
        answer = ada.call("GET", path)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers


def test_a_list_links_its_pages_and_each_is_there(ada: Program) -> None:
    for path, total in (("/products?sort=price&q=product", 5), ("/orders?", 3)):
        seen: list[object] = []
        address = f"/api/v1{path}&per_page=2"
        while address:
            answer = ada.client.get(address, headers={"Authorization": f"Bearer {ada.token}"})
            assert answer.json is not None
            seen += [item.get("id", item.get("stock_id")) for item in answer.json["items"]]
            found = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers["Link"])
            links = {name: target for target, name in found}
            assert {"first", "last"} <= set(links)
            address = links.get("next", "")
        assert len(seen) == len(set(seen)) >= total
    beyond = ada.call("GET", "/products?page=90&per_page=2")
    assert beyond.json is not None
    assert (beyond.json["items"], beyond.status_code) == ([], 200)
    assert 'page=3&per_page=2>; rel="prev"' in beyond.headers["Link"]


def test_head_is_get_without_its_body(ada: Program) -> None:
    for call in CALLS:
        if call.method == "get" and call.name not in {"show_month", "export_me"}:
            head, get = ada.call("HEAD", path_of(call)), ada.call("GET", path_of(call))
            assert (head.status_code, head.data) == (200, b"")
            assert head.headers.get("ETag") == get.headers.get("ETag"), call.name
            assert head.headers["Content-Length"] == get.headers["Content-Length"]


def test_options_tells_the_methods_and_nothing_else(app: Flask) -> None:
    guest = Program(app.test_client())
    for path in {call.path for call in CALLS}:
        wanted = {call.method.upper() for call in CALLS if call.path == path} | {"OPTIONS"}
        wanted |= {"HEAD"} if "GET" in wanted else set()
        example = path.replace("{stock_id}", "1").replace("{order_id}", "1")
        answer = guest.call("OPTIONS", example)
        assert (answer.status_code, answer.data) == (200, b"")
        assert set(answer.headers["Allow"].split(", ")) == wanted
        for method in {"GET", "PUT", "POST", "PATCH", "DELETE"} - wanted:
            refused = guest.call(method, example)
            assert (refused.status_code, refused.content_type) == (405, PROBLEM)
            assert set(refused.headers["Allow"].split(", ")) == wanted


def test_a_condition_that_cannot_be_met_stops_a_change(ada: Program) -> None:
    tag = ada.call("GET", "/cart").headers["ETag"]
    refused = ada.call("PUT", "/cart/5", {"quantity": 3}, If_Match=tag)
    assert (refused.status_code, refused.content_type) == (412, PROBLEM)
    cart = ada.call("GET", "/cart").json
    assert cart is not None
    assert 5 not in [line["stock_id"] for line in cart["lines"]]
    assert ada.call("PUT", "/cart/5", {"quantity": 3}, If_Match="*").status_code == 200


@pytest.mark.parametrize(
    ("request_line", "body", "headers", "kind"),
    [
        ("GET /api/nothing", None, {}, "not-found"),
        ("GET /api/", None, {}, "not-found"),
        ("GET /api/v1", None, {}, "not-found"),
        ("GET /api/v1/", None, {}, "not-found"),
        ("GET /api/v2/products", None, {}, "not-found"),
        ("GET /api/v1/orders/77777", None, {}, "not-found"),
        ("POST /api/v1/products", None, {}, "method-not-allowed"),
        ("PATCH /api/v1/openapi.json", None, {}, "method-not-allowed"),
        ("GET /api/v1/cart", None, {"Authorization": "Bearer x"}, "not-signed-in"),
        ("GET /api/v1/cart", None, {"Authorization": "Basic eDp5"}, "not-signed-in"),
        ("GET /api/v1/products?page=x", None, {}, "invalid-input"),
        ("GET /api/v1/products?%ff=%fe", None, {}, "invalid-input"),
        ("PUT /api/v1/cart/1", b"", {}, "malformed-request"),
        ("PUT /api/v1/cart/1", b'{"quantity": 1.0}', {}, "invalid-input"),
        ("PUT /api/v1/cart/1", b'{"quantity": 1', {}, "malformed-request"),
        ("PUT /api/v1/cart/1", b"x" * 600_000, {}, "body-too-large"),
        ("PUT /api/v1/cart/1", b"<a/>", {"Content-Type": "application/xml"}, "unsupported-content-type"),
        ("PUT /api/v1/cart/1", b"{}", {"Content-Encoding": "gzip"}, "unsupported-content-type"),
        ("PUT /api/v1/cart/1", b'{"quantity": 99999}', {}, "not-enough-stock"),
        ("POST /api/v1/orders", b"{}", {}, "malformed-request"),
        ("PATCH /api/v1/me", b'{"password": "a new horse", "current_password": "wrong one"}', {}, "wrong-password"),
        ("POST /api/v1/session", b'{"email": "x@y.org", "password": "wrong one"}', {}, "wrong-credentials"),
    ],
)
def test_every_error_is_a_problem_of_the_registry(
    ada: Program, request_line: str, body: bytes | None, headers: dict[str, str], kind: str
) -> None:
    """A3 of app.py."""
    method, _, path = request_line.partition(" ")
    given = {"Authorization": f"Bearer {ada.token}", "Content-Type": "application/json"} | headers
    answer = ada.client.open(path, method=method, data=body, headers=given)
    assert answer.content_type == PROBLEM
    told = answer.json
    assert told is not None
    assert (told["type"], told["status"]) == (PROBLEM_PREFIX + kind, answer.status_code)
    assert answer.status_code == BY_TYPE[kind].status
    assert told["instance"] == path.partition("?")[0]
    assert told["request_id"] == answer.headers["X-Request-Id"]
    assert told["title"]
    assert told["detail"]
    assert ("WWW-Authenticate" in answer.headers) == (answer.status_code == 401)


def test_a_kept_refusal_is_told_byte_for_byte(ada: Program) -> None:
    """P3: the number of a request belongs to its header, not to an answer that is the key's."""
    first, again = (ada.order([(1, 99_999)], key="kept") for _ in range(2))
    assert (first.status_code, first.data) == (409, again.data)
    assert first.headers["X-Request-Id"] != again.headers["X-Request-Id"]
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")


def test_problems_speak_the_callers_language_and_keep_their_type(ada: Program) -> None:
    english, polish = (ada.call("GET", "/orders/77777", Accept_Language=code).json for code in ("en", "pl"))
    assert english is not None
    assert polish is not None
    assert english["type"] == polish["type"]
    assert english["title"] != polish["title"]
