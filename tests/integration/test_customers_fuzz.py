"""Whatever is sent to the shop, no answer is a fault of ours, and nothing that was sent becomes code of a page.

Seeded, so that what was found can be had again: SHOP_FUZZ_SEED, and SHOP_FUZZ_CASES for more requests than a run of all
tests has time for. A failure names both.
"""

import os
import random
import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from settings.model import RateLimits
from tests.conftest import Server, fresh_database
from tests.customers_world import CARD_NUMBER, PASSWORD, Person, Program, field_value, make_app, make_runtime
from tests.distributor_world import engine_for, make_world

SEED = int(os.environ.get("SHOP_FUZZ_SEED", "1"))
CASES = int(os.environ.get("SHOP_FUZZ_CASES", "500"))
MARK = "<img src=x onerror=alert(9)>"

# The rows of bad input, as text that any field, parameter or header may hold.
TEXTS = [
    *(
        "",
        "0",
        "-1",
        "-0",
        "1.5",
        "1e3",
        " 5 ",
        "+5",
        "1_000",
        "\uff15",
        "\u0663",
        "\u00b2",
        "0x10",
        "5\n",
        "5\0",
        "007",
    ),
    *("NaN", str(2**31), str(2**63), "9" * 5_000, "true", "null", "1,2,x", ",", "1," * 300, "..", "%", "%00", "%zz"),
    *("//evil", "/\\evil", "\\\\evil", "https:///evil", "/%09/evil", "\0//evil", "https://127.0.0.1@evil", "/cart"),
    *(
        "'; DROP TABLE orders; --",
        MARK,
        f'">{MARK}',
        "%0d%0aSet-Cookie: a=b",
        "a\r\nX: y",
        "=cmd()",
        "{{7*7}}",
        "${7*7}",
    ),
    *(
        "\u202e",
        "\u200b",
        "\ufeff",
        "a" + "\u0301" * 500,
        "\ud800",
        "\udfff\ud800",
        "\U0001f468\u200d\U0001f469",
        "\ufb01",
    ),
    *(
        "x@",
        "@x",
        "a@b@c",
        "a" * 320 + "@x.org",
        "a@b\nBcc: c@d",
        "a" * 10_000,
        "ADMIN",
        "\u0430dmin",
        "ada@example.org",
    ),
    *("13/30", "00/30", "2/30", "02/2030", "12/39", "4242 4242 4242 4241", CARD_NUMBER, PASSWORD, "Ada"),
    *("name", "price", "-price", "m1", "pl", "xx", "1", "2", "3", "17"),
]
JSON = [
    *(b"", b"null", b"[]", b'"x"', b"1", b"{", b"{}", b"\xef\xbb\xbf{}", b"{} x", b"\xff\xfe", b'{"\\ud800": 1}'),
    *(b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5_000, '{"quantity": 1}'.encode("utf-16")),
    b'{"quantity": 1, "quantity": 2}',
]
VALUES = [
    *(b"NaN", b"Infinity", b"1e400", b"-0.0", b"1.0", b"true", b'"5"', b"null", b"[5]", b"{}", b"0", b"-1", b"1", b"3"),
    *(b"9223372036854775808", b"9" * 4_000, b'"\\ud800"', b'"\\u0000"', b'"ada@example.org"', b'"12/39"'),
    *(b'[{"stock_id": 1, "quantity": 1}]', b'[{"stock_id": 1}]'),
]
FIELDS = [
    *("quantity", "lines", "email", "password", "current_password", "first_name", "last_name"),
    *("number", "expiry", "holder", "security_code", "x"),
]
FORM = "application/x-www-form-urlencoded"
TYPES = [
    *(FORM, f"{FORM}; charset=utf-7", "multipart/form-data; boundary=b", "multipart/form-data", "text/plain"),
    *("application/json", "application/json; charset=utf-16", "", "\xff"),
]
HEADERS = [
    *(
        "Accept",
        "Accept-Language",
        "Accept-Encoding",
        "If-None-Match",
        "If-Match",
        "If-Modified-Since",
        "Range",
        "Cookie",
    ),
    *("Content-Encoding", "HX-Request", "HX-Request-Type", "User-Agent", "Idempotency-Key", "Authorization", "Origin"),
    *("Sec-Fetch-Site", "Referer", "X-Forwarded-For", "X-Forwarded-Host", "X-Request-Id"),
]
ENDING = {("POST", "/log-out"), ("POST", "/account/delete"), ("DELETE", "/api/v1/me"), ("DELETE", "/api/v1/session")}
"""A new customer has to be made then, so they are asked more rarely."""


class Fuzzer:
    """Makes requests by chance, from one seed; a signed-in person and a program to make them with."""

    def __init__(self, app: Flask, seed: int) -> None:
        self.chance = random.Random(seed)
        self.app = app
        self.routes = [
            (method, re.sub(r"<(?:id:)?\w+>", "{}", rule.rule))
            for rule in app.url_map.iter_rules()
            for method in sorted((rule.methods or set()) - {"OPTIONS"})
        ]
        self.sign_in()

    def sign_in(self) -> None:
        self.person = Person(self.app.test_client()).sign_up().with_card()
        self.person.put_in_cart(1)
        page = self.person.get("/account").text + self.person.get("/cart").text
        self.token = field_value(page, "form_token")
        self.names = sorted(
            set(re.findall(r' name="(\w+)"', page)) | {"q", "page", "sort", "ids", "next", "key", "cart"}
        )
        self.program = Program(self.app.test_client()).sign_up().with_card()

    def text(self) -> str:
        if self.chance.random() < 0.2:
            return "".join(chr(self.chance.randrange(0x11000)) for _ in range(self.chance.randrange(12)))
        return self.chance.choice(TEXTS)

    def request(self) -> tuple[str, str, TestResponse]:
        method, rule = self.chance.choice(self.routes)
        if (method, rule) in ENDING and self.chance.random() < 0.9:
            method, rule = "GET", "/account"
        if self.chance.random() < 0.05:
            method = self.chance.choice(["PUT", "PATCH", "DELETE", "TRACE", "BREW", "POST", "GET"])
        path = rule
        while "{}" in path:
            wild = quote(self.text().encode(errors="surrogatepass"), safe="")
            path = path.replace("{}", self.chance.choice(["1", "2", "999999", "9" * 18, wild[:500]]), 1)
        sender = self.program.client if path.startswith("/api/") else self.person.client
        headers = {name: self.header() for name in HEADERS if self.chance.random() < 0.08}
        if path.startswith("/api/") and self.chance.random() < 0.9:
            headers["Authorization"] = f"Bearer {self.program.token}"
        body, kind = self.body(path)
        answer = sender.open(
            path, method=method, query_string=self.query(), data=body if method != "GET" else None,
            content_type=kind, headers=headers,
        )  # fmt: skip
        return method, path, answer

    def header(self) -> str:
        return re.sub(r"[\r\n\0]", " ", self.text()).encode(errors="replace")[:2_000].decode("latin-1")

    def query(self) -> str:
        if self.chance.random() < 0.5:
            return ""
        pairs = [(self.chance.choice(self.names), self.text()) for _ in range(self.chance.randrange(1, 4))]
        text = urlencode(pairs, errors="surrogatepass")
        return text if self.chance.random() < 0.8 else text.replace("%", self.chance.choice(["%", "%%", ""]), 3)

    def body(self, path: str) -> tuple[bytes, str]:
        if self.chance.random() < 0.1:
            return self.chance.randbytes(self.chance.randrange(2_000)), self.chance.choice(TYPES)
        if path.startswith("/api/"):
            chosen = [(self.chance.choice(FIELDS), self.chance.choice(VALUES)) for _ in range(self.chance.randrange(4))]
            made = b"{" + b",".join(b'"%b":%b' % (name.encode(), value) for name, value in chosen) + b"}"
            return self.chance.choice([made, made, made, self.chance.choice(JSON)]), "application/json"
        pairs = [(self.chance.choice(self.names), self.text()) for _ in range(self.chance.randrange(8))]
        own = [] if self.chance.random() < 0.1 else [("form_token", self.token)]
        return urlencode(
            own + [pair for pair in pairs if pair[0] != "form_token"], errors="surrogatepass"
        ).encode(), TYPES[0]


@pytest.fixture(scope="module")
def app(postgres_server: Server, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with fresh_database(postgres_server, template_database) as database_url:
        engine = engine_for(database_url)
        make_world(engine, [1_000_000, 3, 0, 40], customers=0)
        engine.dispose()
        unlimited = dict.fromkeys(RateLimits.model_fields, 1_000_000)
        few = {"login_failures_max": 1_000}
        yield make_app(make_runtime(tmp_path_factory.mktemp("web"), database_url, customers=few, rate_limits=unlimited))


def test_nothing_that_is_sent_is_a_fault_of_ours(app: Flask) -> None:
    fuzzer = Fuzzer(app, SEED)
    statuses: set[int] = set()
    for number in range(CASES):
        method, path, answer = fuzzer.request()
        where = f"SHOP_FUZZ_SEED={SEED} SHOP_FUZZ_CASES={number + 1}: {method} {path!r}: {answer.status_code}"
        refused_on_the_way = (answer.status_code, answer.headers["X-Served-By"]) == (501, "load_balancer")
        assert answer.status_code < 500 or refused_on_the_way, f"{where} {answer.text[:500]}"
        assert MARK not in answer.text or answer.mimetype != "text/html", where
        assert not any(re.search(r"[\r\n]", value) for _, value in answer.headers), where
        assert "Set-Cookie: a" not in str(answer.headers), where
        assert not re.search(r"evil", answer.headers.get("Location", "")), where
        statuses.add(answer.status_code)
        if (method, path) in ENDING and answer.status_code < 400:
            fuzzer.sign_in()
    assert statuses >= {200, 400, 403, 404, 405, 422}


def test_a_fault_would_be_seen(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    fuzzer = Fuzzer(app, SEED)
    monkeypatch.setattr("customers.shop.Shop.order", fail)
    assert any(fuzzer.request()[2].status_code == 500 for _ in range(10_000))
