"""TLS in the settings: files that cannot be used are told with their place, and a certificate of our own on demand."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from load_balancer.options import Address, CertificateFiles, TlsOptions, from_settings
from settings import Runtime, Secrets, load, self_signed
from settings.addresses import Addresses
from settings.model import LoadBalancer, Settings
from settings.tls import Tls, file_fault, names
from tests.unit.test_settings import problems


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    self_signed.ensure(tmp_path, "shop.example")
    return self_signed.paths(tmp_path)


def configured(certificate: object, key: object) -> str:
    return f"load_balancer:\n  tls:\n    certificate: {certificate}\n    key: {key}\n"


@pytest.mark.parametrize("one_file", [True, False])
def test_good_files_are_taken_and_cookies_keep_to_tls(tmp_path: Path, files: tuple[Path, Path], one_file: bool) -> None:
    certificate, key = files
    path = tmp_path / "config.yml"
    if one_file:
        certificate.write_text(certificate.read_text() + key.read_text())
    path.write_text(configured(certificate, '""' if one_file else key))
    settings = load(path, {})
    assert settings.load_balancer.tls.on
    assert settings.customers.secure_cookies
    assert not Settings().customers.secure_cookies


def test_a_file_that_cannot_be_used_is_told_with_its_line_and_key(tmp_path: Path, files: tuple[Path, Path]) -> None:
    """P7: each mistake, at the key that names the file."""
    certificate, key = files
    self_signed.ensure(tmp_path / "other", "shop.example")
    other_key = self_signed.paths(tmp_path / "other")[1]
    secret = tmp_path / "secret.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", key, "-out", secret, "-aes256", "-passout", "pass:x"],
        check=True,
        capture_output=True,
    )
    for cert, private, line, name, what in (
        (tmp_path / "none.pem", key, 3, "certificate", "cannot be read: No such file"),
        (key, key, 3, "certificate", "holds no certificate in PEM"),
        (certificate, tmp_path / "none.pem", 4, "key", "cannot be read: No such file"),
        (certificate, certificate, 4, "key", "holds no private key in PEM"),
        (certificate, other_key, 4, "key", "does not belong to the certificate"),
        (certificate, secret, 4, "key", "has a passphrase"),
    ):
        (problem,) = problems(configured(cert, private), tmp_path)
        assert problem.startswith(f"config.yml:{line}: load_balancer.tls.{name}: ")
        assert what in problem
    (problem,) = problems("", tmp_path, None, f"load_balancer.tls.certificate={tmp_path}/none.pem")
    assert problem.startswith("--set: load_balancer.tls.certificate: ")


def test_each_of_several_certificates_is_judged_and_gets_to_the_balancer(
    tmp_path: Path, files: tuple[Path, Path]
) -> None:
    """P7: the place in the list is told, too."""
    certificate, key = files
    own = f"certificate: {certificate}, key: {key}"
    text = f"load_balancer:\n  tls:\n    {own.replace(', ', chr(10) + '    ')}\n    strict_sni: true\n    further:\n"
    path = tmp_path / "config.yml"
    path.write_text(text + f"      - {{{own}}}\n      - {{certificate: {certificate}, key: {key}}}\n")
    tls = from_settings(load(path, {}), Addresses(8_000), tmp_path).tls
    assert tls is not None
    assert (tls.further, tls.strict_sni) == ((CertificateFiles(certificate, key),) * 2, True)
    (problem,) = problems(text + f"      - {{{own}}}\n      - {{certificate: {certificate}}}\n", tmp_path)
    assert problem.startswith("config.yml:")
    assert "load_balancer.tls.further.1.certificate: " in problem
    (problem,) = problems(text + "      - {key: /x}\n", tmp_path)
    assert "load_balancer.tls.further.0.certificate" in problem


def test_a_certificate_has_its_time(files: tuple[Path, Path]) -> None:
    certificate, key = (str(file) for file in files)
    now = datetime.now(UTC)
    assert file_fault(certificate, key, now) is None
    for at, word in ((now + timedelta(days=400), "has expired on"), (now - timedelta(days=1), "is valid only from")):
        fault = file_fault(certificate, key, at)
        assert fault is not None
        assert word in fault.what


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("{certificate: /x, self_signed: true}", "exclude each other"),
        ("{key: /x}", "key needs certificate"),
        ("{redirect_port: 80}", "redirect_port needs a certificate"),
        ("{strict_sni: true}", "strict_sni needs a certificate"),
        ("{further: [{certificate: /x}]}", "further needs a certificate"),
        ('{version_min: "1.1"}', "should be '1.2' or '1.3'"),
    ],
)
def test_words_that_do_not_go_together_are_refused(tmp_path: Path, words: str, what: str) -> None:
    (problem,) = problems(f"load_balancer:\n  tls: {words}\n", tmp_path)
    assert "load_balancer.tls" in problem
    assert what in problem


def test_a_certificate_of_our_own_is_made_once_and_anew_when_it_does_not_fit(tmp_path: Path) -> None:
    """C1, C2."""
    certificate, key = self_signed.paths(tmp_path)
    self_signed.ensure(tmp_path, "127.0.0.1")
    first = certificate.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    assert {"localhost", "127.0.0.1", "::1"} <= set(names(certificate))
    self_signed.ensure(tmp_path, "127.0.0.1")
    assert certificate.read_bytes() == first
    self_signed.ensure(tmp_path, "shop.example")
    assert "shop.example" in set(names(certificate))
    second = certificate.read_bytes()
    key.write_text("damaged")
    self_signed.ensure(tmp_path, "shop.example")
    assert certificate.read_bytes() != second
    assert file_fault(str(certificate), str(key)) is None


@pytest.mark.parametrize(
    ("host", "secret", "url"),
    [
        ("127.0.0.1", False, "http://127.0.0.1:8000"),
        ("0.0.0.0", True, "https://127.0.0.1:8000"),
        ("::", True, "https://[::1]:8000"),
        ("::1", False, "http://[::1]:8000"),
        ("shop.example", True, "https://shop.example:8000"),
    ],
)
def test_the_shops_url_is_one_that_this_machine_reaches(host: str, secret: bool, url: str, tmp_path: Path) -> None:
    settings = Settings(load_balancer=LoadBalancer(listen_host=host, tls=Tls(self_signed=secret)))
    secrets = Secrets.read_or_make(tmp_path, [])
    runtime = Runtime(tmp_path, settings, Addresses(8_000), "", "postgres", broker_is_ours=False, secrets=secrets)
    assert runtime.shop_url == url


@pytest.mark.parametrize("host", ["[::1]", "::g"])
def test_an_ipv6_address_to_listen_on_is_one_and_has_no_brackets(host: str, tmp_path: Path) -> None:
    (problem,) = problems(f"load_balancer:\n  listen_host: '{host}'\n", tmp_path)
    assert problem.startswith("config.yml:2: load_balancer.listen_host: ")


def test_the_balancer_gets_what_the_settings_say_of_tls(tmp_path: Path) -> None:
    """A certificate of our own is there by then."""
    tls = Tls(self_signed=True, version_min="1.3", handshake_timeout_ms=500, redirect_port=8080)
    settings = Settings(load_balancer=LoadBalancer(tls=tls))
    options = from_settings(settings, Addresses(8_000), tmp_path)
    assert options.tls == TlsOptions(*self_signed.paths(tmp_path), "1.3", tls.ciphers, 0.5)
    assert options.tls.certificate.exists()
    assert options.redirect == Address("127.0.0.1", 8_080)
    assert options.behind_tls
