"""What must hold on every route, whoever adds one: headers, cookies, form tokens, no change by GET, no secret told."""

import re
import uuid
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from customers.instance import instance_of
from distributor.database import transaction
from tests.conftest import Server, fresh_database
from tests.customers_world import PASSWORD, Person, Shop, field_value, make_app, make_runtime, open_shop
from tests.distributor_world import rows

SECURITY_HEADERS = (
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Permissions-Policy",
)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
ROOMY = dict.fromkeys(("customer_account_changes_per_minute", "customer_card_changes_per_minute"), 100_000)


@pytest.fixture(scope="module")
def shop(postgres_server: Server, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with (
        fresh_database(postgres_server, template_database) as url,
        open_shop(url, tmp_path_factory.mktemp("shop"), rate_limits=ROOMY) as shop,
    ):
        yield shop


@pytest.fixture
def app(shop: Shop) -> Flask:
    return shop.apps[0]


@pytest.fixture
def ada(shop: Shop) -> Person:
    return shop.person().sign_up().with_card()


def paths_of(shop: Shop, method: str, *, api: bool | None = None) -> list[str]:
    """An address for every route that answers this method, with values that exist."""
    values = {
        "stock_id": shop.world.stock[0],
        "order_id": 1,
        "version": "000000000000",
        "name": "shop.css",
        "motif": "x",
    }
    adapter = shop.apps[0].url_map.bind("localhost")
    found = []
    for rule in shop.apps[0].url_map.iter_rules():
        if method in (rule.methods or ()) and (api is None or rule.endpoint.startswith("api.") == api):
            arguments = {name: values.get(name, 1) for name in rule.arguments}
            found.append(adapter.build(rule.endpoint, arguments, method=method))
    return sorted(found)


def contents(engine: Engine) -> dict[str, list[str]]:
    """Every row of every table, but when sessions were last used and how much of a quota is left."""
    tables = [row.tablename for row in rows(engine, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    return {
        name: sorted(str(row[0]) for row in rows(engine, f"SELECT to_jsonb(t) - 'seen_at' FROM \"{name}\" AS t"))
        for name in tables
        if name != "rate_limit"
    }


# -- headers ----------------------------------------------------------------------------------------------------------


def check_headers(answer: TestResponse, what: str) -> None:
    for name in SECURITY_HEADERS:
        assert name in answer.headers, (what, name)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; "), what
    for directive in ("base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"):
        assert directive in policy, what
    assert "unsafe" not in policy, what
    assert answer.headers["X-Content-Type-Options"] == "nosniff", what
    assert answer.headers["Cache-Control"], what
    assert "Access-Control-Allow-Origin" not in answer.headers, what
    assert "Server" not in answer.headers, what


@pytest.mark.asks_the_instance("all its routes, also those that a load balancer never passes on")
def test_every_route_forbids_what_it_does_not_need(shop: Shop, ada: Person) -> None:
    """X1, for readers and guests, also when the method is refused."""
    guest = shop.person()
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        for path in paths_of(shop, "GET"):
            for person in (guest, ada):
                if method != "GET" and path.startswith("/metrics"):
                    continue
                check_headers(person.client.open(path, method=method), f"{method} {path}")


def test_every_refusal_has_the_same_headers(shop: Shop, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """X1: 400, 401, 403, 404, 405, 413, 415, 422, 429 and 500."""
    client = ada.client
    found = {
        401: client.get("/api/v1/me"),
        403: client.post("/log-out"),
        404: client.get("/nothing-here"),
        405: client.delete("/cart"),
        413: client.post("/account/card", data={"number": "4" * 600_000}),
        415: client.post("/api/v1/session", data="x", content_type="text/plain"),
        400: client.post("/api/v1/session", data="{", content_type="application/json"),
        422: client.post("/api/v1/session", json={}),
    }
    shop_parts = instance_of(shop.apps[0])

    def broken(*_: object) -> None:
        message = "a secret of the inside"
        raise RuntimeError(message)

    monkeypatch.setattr(shop_parts.accounts, "sessions_of", broken)
    found[500] = client.get("/account")
    for status, answer in found.items():
        assert answer.status_code == status
        check_headers(answer, str(status))
        assert answer.headers["Cache-Control"] == "no-store"
    assert "secret of the inside" not in found[500].text
    assert "Traceback" not in found[500].text


def test_pages_and_answers_about_a_customer_are_kept_by_nobody(shop: Shop, ada: Person) -> None:
    """X3; ASVS 5.0 14.3.2."""
    for path in paths_of(shop, "GET", api=False):
        answer = ada.get(path)
        if "Ada" in answer.text or path.startswith(("/account", "/cart", "/orders")):
            assert answer.headers["Cache-Control"] in {"no-store", "private, no-store"}, path


@pytest.mark.asks_the_instance("all its routes, also /healthz, which a load balancer answers itself")
def test_behind_tls_transport_security_covers_subdomains(
    shop: Shop, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    runtime = make_runtime(tmp_path_factory.mktemp("tls"), database_url, customers={"secure_cookies": True})
    client = make_app(runtime).test_client()
    for path in ("/log-in", "/api/v1/openapi.json", "/nothing-here", "/healthz"):
        assert client.get(path).headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains", path
    assert "Strict-Transport-Security" not in shop.apps[0].test_client().get("/log-in").headers


def test_pages_hold_no_code_and_no_style_of_their_own(shop: Shop, ada: Person) -> None:
    """X2."""
    for path in paths_of(shop, "GET", api=False):
        answer = ada.get(path)
        if answer.mimetype != "text/html":
            continue
        for tag in re.findall(r"<script\b[^>]*>(?:[^<]*)", answer.text):
            assert " src=" in tag, (path, tag)
        assert "<style" not in answer.text, path
        assert not re.search(r"<[^>]+ (?:style|on[a-z]+)=", answer.text), path
        assert "javascript:" not in answer.text, path


def test_a_token_is_never_in_an_address(shop: Shop, ada: Person) -> None:
    """ASVS 5.0 14.2.1: no link and no redirect carries the session or a form's token."""
    cookie = ada.client.get_cookie("session")
    assert cookie is not None
    for path in paths_of(shop, "GET", api=False):
        answer = ada.get(path)
        addresses = [*re.findall(r'(?:href|action|src)="([^"]*)"', answer.text), answer.headers.get("Location", "")]
        for address in addresses:
            assert cookie.value not in address, (path, address)
            assert "form_token" not in address, (path, address)
        assert cookie.value not in answer.text, path


# -- methods ----------------------------------------------------------------------------------------------------------


def test_trace_and_unknown_methods_are_refused(shop: Shop, ada: Person) -> None:
    """ASVS 5.0 13.4.4; nothing is echoed."""
    for method in ("TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND"):
        for path in ("/", "/account", "/api/v1/me", "/healthz", "/nothing-here"):
            answer = ada.client.open(path, method=method, headers={"X-Echo": "echo-me"})
            by_balancer = answer.headers.get("X-Served-By", "load_balancer") == "load_balancer"
            assert answer.status_code in ({401, 404, 405} | ({400, 501} if by_balancer else set())), (method, path)
            assert "echo-me" not in answer.text


def test_nothing_for_developers_is_served(app: Flask) -> None:
    """ASVS 5.0 13.4.2."""
    assert not app.debug
    assert not app.testing
    assert app.config["PROPAGATE_EXCEPTIONS"] is not True
    client = app.test_client()
    for path in (
        "/console",
        "/.git/config",
        "/.env",
        "/config.yml",
        "/secrets.json",
        "/runtime.json",
        "/static/",
        "/server-status",
    ):
        assert client.get(path).status_code == 404, path


def test_get_never_changes_anything(shop: Shop, ada: Person) -> None:
    """ASVS 5.0 3.5.3: all rows before and after every GET of a customer and of a program."""
    ada.post(f"/cart/{shop.world.stock[0]}/add", "/account", quantity="1")
    before = contents(shop.engine)
    cookie = ada.client.get_cookie("session")
    assert cookie is not None
    for method in ("GET", "HEAD", "OPTIONS"):
        for path in paths_of(shop, "GET"):
            ada.client.open(path, method=method, headers={"Authorization": f"Bearer {cookie.value}"})
    for path in paths_of(shop, "POST", api=False):
        assert ada.get(path + "?quantity=2&form_token=x&language=pl&next=/").status_code in {200, 303, 404, 405}, path
    assert contents(shop.engine) == before


# -- forms ------------------------------------------------------------------------------------------------------------


def tokens_of_others(shop: Shop) -> dict[str, str]:
    """Tokens that were made for somebody else or for another time."""
    eve, guest = shop.person().sign_up(), shop.person()
    gone = shop.person().sign_up()
    after_logout = field_value(gone.get("/account").text, "form_token")
    gone.client.post("/log-out", data={"form_token": after_logout})
    return {
        "none": "",
        "not ours": "x" * 128,
        "another customer's": field_value(eve.get("/account").text, "form_token"),
        "a guest's": field_value(guest.get("/log-in").text, "form_token"),
        "of an ended session": after_logout,
    }


def test_every_form_needs_a_token_made_for_its_sender(shop: Shop, ada: Person) -> None:
    """F1, F2: each route that changes something, with the tokens of others, changes nothing."""
    tokens = tokens_of_others(shop)
    before_login = shop.person()
    tokens["from before signing in"] = field_value(before_login.get("/log-in").text, "form_token")
    sign_in(before_login, ada.email)
    before = contents(shop.engine)
    unsafe = {method for rule in shop.apps[0].url_map.iter_rules() for method in rule.methods or ()} - SAFE
    pages = [(method, path) for method in unsafe for path in paths_of(shop, method, api=False)]
    assert len(pages) > 12
    for method, path in pages:
        for what, token in tokens.items():
            for person in (ada, before_login):
                answer = person.client.open(
                    path, method=method, data={"form_token": token, "quantity": "1", "next": "/"}
                )
                assert answer.status_code == 403, (method, path, what)
    assert contents(shop.engine) == before


def sign_in(person: Person, email: str) -> TestResponse:
    token = field_value(person.get("/log-in").text, "form_token")
    return person.client.post("/log-in", data={"form_token": token, "email": email, "password": PASSWORD, "next": "/"})


def test_a_guests_forms_need_a_token_too(shop: Shop, ada: Person) -> None:
    """Log-in CSRF: nobody is signed in to a stranger's account by a foreign page."""
    guest = shop.person()
    guest.get("/log-in")
    fields = {"email": ada.email, "password": PASSWORD, "next": "/"}
    for path in ("/log-in", "/sign-up"):
        assert guest.client.post(path, data=fields).status_code == 403
    stranger = field_value(shop.person().get("/log-in").text, "form_token")
    assert guest.client.post("/log-in", data=fields | {"form_token": stranger}).status_code == 403
    assert guest.client.get_cookie("session") is None
    assert sign_in(guest, ada.email).status_code == 303, "the control"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_the_browser_calls_foreign_is_refused_even_with_its_token(
    shop: Shop, ada: Person, site: str
) -> None:
    """F3."""
    token = field_value(ada.get("/account").text, "form_token")
    fields = {"form_token": token, "first_name": "Eve", "last_name": "Eve"}
    for headers, status in (({"Sec-Fetch-Site": site}, 403), ({"Sec-Fetch-Site": "same-origin"}, 303)):
        assert ada.client.post("/account/details", data=fields, headers=headers).status_code == status


def test_the_api_takes_no_cookie(shop: Shop, ada: Person) -> None:
    """N1: without it no call needs a form's token."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        for path in paths_of(shop, method, api=True):
            answer = ada.client.open(path, method=method, json=None if method in ("GET", "DELETE") else {})
            assert answer.status_code in {200, 304, 401, 404, 422, 503}, (method, path)
            assert ada.email not in answer.text, (method, path)
    assert ada.get("/account").status_code == 200


# -- cookies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True])
def test_every_cookie_is_closed_to_scripts_and_foreign_forms(
    shop: Shop, secure: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """ASVS 5.0 3.3: on every answer that sets one; with TLS bound to the host."""
    url = shop.engine.url.render_as_string(hide_password=False)
    app = make_app(make_runtime(tmp_path_factory.mktemp("cookies"), url, customers={"secure_cookies": secure}))
    base = "https://localhost" if secure else "http://localhost"
    client = app.test_client()
    seen: dict[str, str] = {}

    def send(method: str, path: str, **fields: str) -> TestResponse:
        data = fields or None
        answer = client.open(path, method=method, data=data, base_url=base)
        seen.update({line.partition("=")[0]: line for line in answer.headers.getlist("Set-Cookie")})
        return answer

    email = f"{uuid.uuid4().hex[:12]}@example.org"
    token = field_value(send("GET", "/sign-up").text, "form_token")
    who = {"email": email, "password": PASSWORD, "first_name": "A", "last_name": "B", "next": "/"}
    assert send("POST", "/sign-up", form_token=token, **who).status_code == 303
    token = field_value(send("GET", "/account").text, "form_token")
    send("POST", "/language", form_token=token, language="pl", next="/")
    prefix = "__Host-" if secure else ""
    assert {prefix + "session", prefix + "visitor"} <= seen.keys()
    for name, line in seen.items():
        assert name.startswith(prefix), line
        assert "HttpOnly" in line, line
        assert "Path=/" in line, line
        assert re.search(r"SameSite=(Lax|Strict)", line), line
        assert "Domain" not in line, line
        assert "Max-Age=" in line, line
        assert ("Secure" in line) == secure, line


# -- names ------------------------------------------------------------------------------------------------------------


def test_addresses_that_look_alike_are_one_account_and_look_alike_letters_are_refused(shop: Shop) -> None:
    """D1: one canonical form, UNIQUE in the database; another alphabet's letters are no address."""
    name = uuid.uuid4().hex[:8]
    program = shop.program()
    body = {"password": PASSWORD, "first_name": "A", "last_name": "B"}

    def status(email: str) -> int:
        return program.call("POST", "/customers", body | {"email": email}).status_code

    assert status(f"fi{name}@example.org") == 201
    for same in (
        f"FI{name}@example.org",
        f" fi{name}@Example.ORG ",
        f"\ufb01{name}@example.org",
        f"\uff26i{name}@example.org",
    ):
        assert status(same) == 409, same
    for strange in (f"\u0444i{name}@example.org", f"fi{name}@ex\u0430mple.org", f"fi{name}@example.org\u200b"):
        assert status(strange) == 422, strange


def test_what_others_write_makes_no_header(shop: Shop) -> None:
    """Line ends in every place that a request has; for the log see tests/unit/test_settings_log_lines.py."""
    nasty = "x\r\nX-Evil: 1\x1b[2J"
    client = shop.apps[0].test_client()
    body = {"email": nasty, "password": PASSWORD, "first_name": nasty, "last_name": nasty}
    for answer in (
        client.get("/nothing%0d%0aX-Evil:%201"),
        client.get("/log-in?next=%0d%0aX-Evil:%201"),
        client.get("/?q=%0d%0aX-Evil:%201"),
        client.post("/api/v1/session", json={"email": nasty, "password": nasty}),
        client.post("/api/v1/customers", json=body),
    ):
        assert answer.status_code < 500
        assert "X-Evil" not in answer.headers
        assert "\r" not in "".join(value for _name, value in answer.headers)


@pytest.mark.asks_the_instance("a load balancer gives every request an id of its own")
def test_a_name_given_by_the_client_never_becomes_a_request_id_unchecked(shop: Shop) -> None:
    client = shop.apps[0].test_client()
    for given in ("x", "a" * 65, "a b c d e f", "<script>alert", "\u00e9" * 10):
        assert client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"] != given
    assert client.get("/healthz", headers={"X-Request-Id": "good-one-1"}).headers["X-Request-Id"] == "good-one-1"


def test_a_role_and_an_id_cannot_be_chosen(shop: Shop, ada: Person) -> None:
    """ASVS 5.0 15.3.3: fields that no form has change nothing."""
    with transaction(shop.engine) as connection:
        before = connection.execute(text("SELECT id, role FROM customer WHERE email = :e"), {"e": ada.email}).one()
    ada.post("/account/details", "/account", first_name="A", last_name="B", role="admin", id="1", customer_id="1")
    with transaction(shop.engine) as connection:
        after = connection.execute(text("SELECT id, role FROM customer WHERE email = :e"), {"e": ada.email}).one()
    assert after == before
