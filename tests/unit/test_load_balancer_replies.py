"""The load balancer's own answers forbid what they do not need, as those of the shop do."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from customers.security_headers import HEADERS, TRANSPORT_POLICY
from load_balancer.engines.haproxy import haproxy_cfg
from load_balancer.engines.nginx import nginx_conf
from load_balancer.options import from_settings
from load_balancer.proxy.replies import ALIVE, Reply, problem, reply_bytes
from settings import Settings
from settings.addresses import Addresses


def head_and_body(reply: Reply, *, behind_tls: bool = False) -> tuple[dict[str, str], str]:
    answer = reply_bytes(
        reply, connection=b"", request_id=b"r1", date=b"today", without_body=False, behind_tls=behind_tls
    )
    head, _, body = answer.decode().partition("\r\n\r\n")
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:]), body


def problem_of(status: int, *, html: bool) -> Reply:
    return problem(status, "why", request_id=b"r1", html=html, not_dispatched=True)


@pytest.mark.parametrize("html", [True, False])
@pytest.mark.parametrize("status", [400, 404, 405, 408, 413, 421, 502, 503, 504])
def test_every_error_has_the_headers_of_the_shop(status: int, html: bool) -> None:
    headers, _body = head_and_body(problem_of(status, html=html))
    assert not HEADERS.keys() - headers.keys()
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_health_answer_has_them_too() -> None:
    headers, _body = head_and_body(ALIVE)
    assert not HEADERS.keys() - headers.keys()


def test_behind_tls_every_answer_keeps_to_it_as_the_shops_do() -> None:
    """The one line of the shop, where the shop says it, and nowhere else: without TLS it would lock customers out."""
    for reply in (ALIVE, problem_of(503, html=True), problem_of(400, html=False)):
        for behind_tls in (True, False):
            headers, _body = head_and_body(reply, behind_tls=behind_tls)
            assert headers.get("Strict-Transport-Security") == (TRANSPORT_POLICY if behind_tls else None)


def test_the_settings_and_every_engine_know_of_it(tmp_path: Path) -> None:
    addresses = Addresses(26_000)
    for secure in (True, False):
        settings = Settings.model_validate({"customers": {"secure_cookies": secure}})
        options = from_settings(settings, addresses, tmp_path)
        assert options.behind_tls is secure
        assert ("Strict-Transport-Security" in nginx_conf(options, tmp_path)) is secure
        assert ("Strict-Transport-Security" in haproxy_cfg(options)) is secure


def test_the_policy_allows_the_style_of_the_page_and_nothing_else() -> None:
    headers, page = head_and_body(problem_of(503, html=True))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{allowed}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert not re.search(r"<script| style=| on[a-z]+=", page)


def test_a_refused_method_is_told_which_ones_there_are() -> None:
    """RFC 9110, 15.5.6."""
    headers, _body = head_and_body(problem_of(405, html=False))
    assert headers["Allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert "Allow" not in head_and_body(problem_of(404, html=False))[0]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_customers_may_see_of_us_is_said_in_both_languages(status: int) -> None:
    headers, page = head_and_body(problem_of(status, html=True))
    assert '<html lang="en">' in page
    assert re.search(r'<p lang="pl">[^<]*serwer', page, re.IGNORECASE)
    assert int(headers["Content-Length"]) == len(page.encode())
