"""Our settings as others have them: accepted by HAProxy and nginx themselves, whatever is set."""

import dataclasses
import shutil
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from load_balancer.balancing.members import Observe, OnError, ServerOptions
from load_balancer.engines import launch
from load_balancer.engines.error_pages import ERRORS, error_page
from load_balancer.engines.haproxy import Extras, haproxy_cfg
from load_balancer.engines.launch import EngineError
from load_balancer.engines.nginx import nginx_conf
from load_balancer.http1.grammar import HeadLimits
from load_balancer.options import (
    AccessLogOptions,
    Address,
    CertificateFiles,
    Limits,
    Options,
    ServerAddress,
    Timeouts,
    TlsOptions,
    from_settings,
)
from settings import Settings
from settings.addresses import Addresses
from tests.conftest import require
from tests.load_balancer_clients_world import tls_options

self_signed_paths = (tls_options().certificate, tls_options().key)
NAMES = ("*.shop.example", "::1", "localhost")
BUSY = ServerOptions(
    weight=7, maxconn=20, maxqueue=5, slowstart_seconds=2.5, backup=True, cookie="a",
    observe=Observe.LAYER7, error_limit=3, on_error=OnError.MARK_DOWN,
)  # fmt: skip
SERVERS = (
    ServerAddress("web-1", Address("127.0.0.1", 26_801)),
    ServerAddress("web-2", Address("::1", 26_802), BUSY),
    ServerAddress("web-3", Address("127.0.0.1", 26_803), ServerOptions(weight=0, check=False)),
)
LISTEN, ADMIN = Address("127.0.0.1", 26_800), Address("127.0.0.1", 26_804)
PLAIN = from_settings(Settings(), Addresses(26_000), Path("/nowhere"))
KINDS = {
    "as shipped": PLAIN,
    "everything": Options(
        LISTEN, SERVERS, ADMIN, algorithm="leastconn", cookie="CDS", allbackups=True,
        hosts=frozenset({b"shop.example", b"shop.example:8000"}), access_log=AccessLogOptions(Path("/nowhere")),
        behind_tls=True, limits=Limits(2, (IPv4Network("192.0.2.0/24"),), 7, HeadLimits(4_096, 20_000, 40), 1),
        timeouts=Timeouts(http_request_seconds=3.5), forwarded=True,
    ),
    "tls": Options(
        LISTEN, SERVERS, ADMIN, tls=tls_options(), redirect=Address("127.0.0.1", 26_805), hosts=frozenset({b"localhost"})
    ),
    "tls 1.3": Options(
        Address("::1", 443), SERVERS, redirect=Address("::1", 80), tls=TlsOptions(*self_signed_paths, "1.3")
    ),
    "several certificates": Options(
        LISTEN, SERVERS,
        tls=TlsOptions(*self_signed_paths, further=(CertificateFiles(*self_signed_paths),), strict_sni=True),
        hosts=frozenset({b"localhost", b"localhost:26800"}),
    ),
    "random, json": Options(LISTEN, SERVERS, algorithm="random(2)", access_log=AccessLogOptions(Path("/x"), "json")),
    "ipv6": Options(Address("::1", 26_800), SERVERS, Address("::1", 26_804), algorithm="random", upgrade=frozenset()),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_haproxy_accepts_what_is_generated(name: str, tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(
        haproxy_cfg(KINDS[name], Extras(tmp_path / "it's a socket", prometheus=name == "as shipped", names=NAMES))
    )
    judged = subprocess.run([require("haproxy"), "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "WARNING" not in judged.stderr


@pytest.mark.parametrize("name", KINDS)
def test_nginx_accepts_what_is_generated(name: str, tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if nginx is None:
        pytest.skip("nginx is not installed; apt install nginx")
    file = tmp_path / "nginx.conf"
    file.write_text(nginx_conf(KINDS[name], tmp_path, [NAMES, ("*.shop.example", "b.example")]))
    judged = subprocess.run([nginx, "-t", "-e", "stderr", "-c", str(file)], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stderr
    assert "[warn]" not in judged.stderr


def test_every_server_option_has_its_word_in_haproxys_file() -> None:
    text = haproxy_cfg(KINDS["everything"])
    assert (
        "server web-2 [::1]:26802 weight 7 check observe layer7 error-limit 3 on-error mark-down "
        "maxconn 20 maxqueue 5 slowstart 2500ms backup cookie a\n"
    ) in text
    assert "server web-3 127.0.0.1:26803 weight 0 cookie web-3\n" in text
    for line in ("balance leastconn", "option allbackups", "timeout queue 5000ms", "retries 3", "inter 1000ms"):
        assert f"  {line}" in text or f" {line} " in text


def test_every_limit_and_deadline_has_its_word_in_both_files() -> None:
    haproxy, nginx = haproxy_cfg(KINDS["everything"]), nginx_conf(KINDS["everything"], Path("/nowhere"))
    for line in (
        "maxconn 8000", "tune.bufsize 20000", "tune.http.maxhdr 41", "timeout http-request 3500ms",
        "tcp-request connection track-sc0 src,ipmask(32,64) unless { src 192.0.2.0/24 }",
        "http-request deny deny_status 429 if { sc0_conn_cur gt 2 }", "timeout tunnel 3600000ms", "timeout client-fin 10000ms",
        "acl asks_for_known req.fhdr(upgrade),lower -m str websocket",
        "http-request del-header Upgrade if !asks_by_get or !asks_for_one or !asks_for_known",
    ):  # fmt: skip
        assert f"  {line}\n" in haproxy
    for line in (
        "client_header_timeout 3500ms;", "keepalive_requests 7;", "large_client_header_buffers 5 4096;", "limit_conn places 2;",
    ):  # fmt: skip
        assert f"  {line}\n" in nginx
    assert 'map "$request_method $http_upgrade" $asked_upgrade { default ""; "~*^GET websocket$" websocket; }' in nginx
    assert "  http-request del-header Upgrade\n" in haproxy_cfg(KINDS["ipv6"])
    assert "v6only" in haproxy_cfg(KINDS["ipv6"])


def test_forwarded_is_sent_only_where_it_is_wanted_and_never_a_clients_own() -> None:
    for options in KINDS.values():
        haproxy, nginx, wanted = haproxy_cfg(options), nginx_conf(options, Path("/nowhere")), options.forwarded
        assert "  http-request del-header Forwarded\n" in haproxy
        assert ("  http-request set-header Forwarded 'for=%[src];proto=http' if !over_ipv6\n" in haproxy) == wanted
        assert ('  proxy_set_header Forwarded "$forwarded_node;proto=$scheme";\n' in nginx) == wanted
        assert ('  proxy_set_header Forwarded "";\n' in nginx) == (not wanted)


def test_tls_has_its_words_in_both_files(tmp_path: Path) -> None:
    haproxy, nginx = haproxy_cfg(KINDS["tls"], Extras(names=NAMES)), nginx_conf(KINDS["tls"], tmp_path, [NAMES])
    assert " ssl crt '" in haproxy
    assert " alpn http/1.1 ssl-min-ver TLSv1.2 " in haproxy
    assert "  http-request set-header X-Forwarded-Proto https\n" in haproxy
    assert "  acl ours req.hdr(host),lower,regsub(:[0-9]+$,) -m str [::1] localhost\n" in haproxy
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in nginx
    assert "return 308 https://$host:26800$request_uri;" in nginx
    assert "acl ours always_false" in haproxy_cfg(KINDS["tls"])


def test_several_certificates_have_their_words_in_both_files(tmp_path: Path) -> None:
    """The first one whose name it is; the default one only where that is allowed."""
    options = KINDS["several certificates"]
    first, second = CertificateFiles(Path("/a"), Path("/a.key")), CertificateFiles(Path("/b"))
    for strict in (True, False):
        tls = TlsOptions(first.certificate, first.key, further=(second,), strict_sni=strict)
        told = dataclasses.replace(options, tls=tls)
        bind = next(line for line in haproxy_cfg(told).split("\n") if " ssl " in line)
        assert " ssl crt '/a' crt '/b' alpn http/1.1 " in bind
        assert bind.endswith(" strict-sni") == strict
        nginx = nginx_conf(told, tmp_path, [("localhost", "::1", "192.0.2.1"), ("*.b.example", "localhost")])
        assert nginx.count("location / {") == 2
        for names, files in (("localhost", first), ("*.b.example", second)):
            key = files.key or files.certificate
            said = (
                f"server_name {names};\n    ssl_certificate '{files.certificate}';\n    ssl_certificate_key '{key}';\n"
            )
            assert said in nginx
        assert ("ssl default_server; ssl_reject_handshake on;" in nginx) == strict
        assert (" ssl default_server backlog=4096;" in nginx) != strict


def test_haproxy_gets_key_and_certificate_in_one_file_of_its_owner(tmp_path: Path) -> None:
    require("haproxy")
    launch.prepare(KINDS["tls"], tmp_path)
    file = tmp_path / launch.CERTIFICATE_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().count("BEGIN") == 2


def test_no_secret_gets_into_a_file() -> None:
    options = from_settings(Settings(), Addresses(26_000), Path("/nowhere"), "the-token")
    assert "the-token" not in haproxy_cfg(options) + nginx_conf(options, Path("/nowhere"))


@pytest.mark.parametrize("status", ERRORS)
def test_error_pages_are_ours_with_a_place_for_the_request_id(status: int) -> None:
    page = error_page(status, "$id")
    assert page.html.count("$id") == page.json.count("$id") == 1
    assert f"<title>{status} " in page.html
    assert "\n" not in page.html + page.json
    assert page.not_dispatched == (status not in (500, 502, 504))


def test_a_missing_haproxy_is_said_with_what_helps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """E2."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(
        EngineError, match=r"haproxy is not installed; apt install haproxy, or set load_balancer\.engine"
    ):
        launch.prepare(PLAIN, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_that_haproxy_refuses_is_not_run(tmp_path: Path) -> None:
    """E1, E2."""
    require("haproxy")
    broken = Options(LISTEN, SERVERS, algorithm="no such algorithm")
    with pytest.raises(EngineError, match=r"haproxy refuses .*haproxy\.cfg: .*balance only supports"):
        launch.prepare(broken, tmp_path)
    assert (tmp_path / "haproxy.cfg").stat().st_mode & 0o777 == 0o600
