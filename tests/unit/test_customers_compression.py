"""Who gets gzip, and who does not. Numbers (Z1 …) are compression.py's."""

import gzip

import pytest
from flask import Flask, Response

from customers import compression

LONG = "All goods are in stock. " * 200


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__, static_folder=None)
    app.after_request(compression.add)

    @app.get("/page")
    def page() -> Response:
        response = Response(LONG, content_type="text/html; charset=utf-8")
        response.set_etag("abc")
        return response

    @app.get("/short")
    def short() -> Response:
        return Response("short", content_type="text/html")

    @app.get("/font")
    def font() -> Response:
        return Response(LONG.encode(), content_type="font/woff2")

    @app.get("/coded")
    def coded() -> Response:
        return Response(LONG.encode(), content_type="text/css", headers={"Content-Encoding": "br"})

    return app


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("br;q=1.0, *;q=0.1", True),
        ("identity, gzip", True),
        ("gzip;q=0.5, identity;q=0.8", False),
        ("", False),
        ("gzip;q=0", False),
        ("*;q=0", False),
        ("br", False),
        ("gzip;q=x", False),
        ("gzip;q=2", False),
        ("gzip;q=nan", False),
        (";;,,==", False),
        ("," * 10_000 + "gzip", False),
    ],
)
def test_the_client_decides(app: Flask, header: str, accepted: bool) -> None:
    """Z1"""
    answer = app.test_client().get("/page", headers={"Accept-Encoding": header})
    assert answer.vary.as_set() == {"accept-encoding"}
    body = gzip.decompress(answer.data) if accepted else answer.data
    assert (answer.headers.get("Content-Encoding"), body.decode()) == ("gzip" if accepted else None, LONG)
    assert answer.content_length == len(answer.data)


def test_validators_are_weak_coded_or_not(app: Flask) -> None:
    """Z2"""
    for header in ("", "gzip"):
        assert app.test_client().get("/page", headers={"Accept-Encoding": header}).get_etag() == ("abc", True)


@pytest.mark.parametrize(
    ("cookie", "site", "coded"),
    [
        ("visitor=x", "same-origin", True),
        ("visitor=x", "none", True),
        ("visitor=x", None, True),
        ("visitor=x", "cross-site", False),
        ("visitor=x", "same-site", False),
        (None, "cross-site", True),
    ],
)
def test_what_a_foreign_site_asks_for_with_cookies_is_not_coded(
    app: Flask, cookie: str | None, site: str | None, coded: bool
) -> None:
    """Z3"""
    headers = {"Accept-Encoding": "gzip"} | ({"Cookie": cookie} if cookie else {})
    headers |= {"Sec-Fetch-Site": site} if site else {}
    answer = app.test_client(use_cookies=False).get("/page", headers=headers)
    assert (answer.headers.get("Content-Encoding") == "gzip") is coded


@pytest.mark.parametrize("path", ["/short", "/font", "/coded"])
def test_what_would_not_become_smaller_stays_as_it_is(app: Flask, path: str) -> None:
    """Z4"""
    client = app.test_client()
    plain, asked = client.get(path), client.get(path, headers={"Accept-Encoding": "gzip"})
    assert asked.data == plain.data
    assert asked.headers.get("Content-Encoding") == plain.headers.get("Content-Encoding")


def test_a_head_tells_the_length_of_the_coded_page(app: Flask) -> None:
    headers = {"Accept-Encoding": "gzip"}
    got, head = app.test_client().get("/page", headers=headers), app.test_client().head("/page", headers=headers)
    assert (head.data, head.headers["Content-Length"]) == (b"", got.headers["Content-Length"])
