"""The balancer alone, in front of anything: ``main.py balance --listen HOST:PORT --server NAME=HOST:PORT``."""

import dataclasses
import os
import re
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

from load_balancer.balancing.algorithms import ALGORITHMS
from load_balancer.options import (
    AccessLogOptions,
    CertificateFiles,
    Check,
    Options,
    OptionsError,
    TlsOptions,
    read_address,
)
from load_balancer.server_lines import read_servers
from load_balancer.service import EXIT_USAGE, run
from settings import log_lines
from settings.tls import file_fault

# A secret has no place on a command line, where every user of the machine can read it.
TOKEN_VARIABLE: Final = "BALANCER_CONTROL_TOKEN"  # noqa: S105 - the variable's name
COOKIE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{0,64}")
ACCESS_LOG_KINDS: Final = ("combined", "json")
_CHECK_PATH: Final = re.compile(r"/[\x21-\x7e]*")


def balance(
    listen: str,
    servers: Sequence[str],
    admin: str | None = None,
    check_path: str = "/healthz",
    hosts: Sequence[str] = (),
    *,
    algorithm: str = "roundrobin",
    cookie: str = "",
    access_log: Path | None = None,
    access_log_format: str = "combined",
    forwarded: bool = False,
    workers: int = 1,
    tls_certificate: Sequence[Path] = (),
    tls_key: Sequence[Path] = (),
    strict_sni: bool = False,
) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit code: 0 stopped, 64 a bad option, 70 the port cannot be listened on.

    A server is alive if it answers GET ``check_path`` in time with any status below 500, so that the default suits
    programs that know no health page. ``hosts``: the only Host values that are served; none given: any. ``cookie``: the
    name of the one that binds clients to servers; none given: nobody is bound. ``access_log``: the file that gets a line for
    every answer, as ``access_log_format`` says (combined or json). ``forwarded``: servers get ``Forwarded`` (RFC 7239), too.
    ``workers``: processes that serve clients.
    ``tls_certificate``: PEM, for clients that speak TLS, the first for those that ask for no name of the others, unless
    ``strict_sni``; ``tls_key``: one for each in their order; none given: in the same files.
    """
    log_lines.start("load_balancer", "INFO")
    try:
        options = read_options(listen, servers, admin, check_path, hosts, algorithm=algorithm, cookie=cookie)
        if access_log is not None:
            options = dataclasses.replace(options, access_log=_access_log(access_log.absolute(), access_log_format))
        options = dataclasses.replace(
            options, forwarded=forwarded, workers=workers, tls=_tls(tls_certificate, tls_key, strict_sni=strict_sni)
        )
    except OptionsError as error:
        sys.stderr.write(f"balance: {error}\n")
        return EXIT_USAGE
    return run(options)


def _tls(certificates: Sequence[Path], keys: Sequence[Path], *, strict_sni: bool) -> TlsOptions | None:
    if not certificates:
        if keys or strict_sni:
            raise OptionsError(f"{'--tls-key' if keys else '--strict-sni'}: needs --tls-certificate")
        return None
    if keys and len(keys) != len(certificates):
        raise OptionsError(f"--tls-key: {len(keys)} for {len(certificates)} certificates; give each its own, or none")
    pairs = list(zip_longest(certificates, keys))
    for certificate, key in pairs:
        fault = file_fault(str(certificate), "" if key is None else str(key))
        if fault is not None:
            raise OptionsError(f"--tls-{fault.key}: {fault.what}")
    first, *further = (
        CertificateFiles(certificate.absolute(), None if key is None else key.absolute()) for certificate, key in pairs
    )
    return TlsOptions(first.certificate, first.key, further=tuple(further), strict_sni=strict_sni)


def _access_log(path: Path, kind: str) -> AccessLogOptions:
    if kind not in ACCESS_LOG_KINDS:
        raise OptionsError(f"--access-log-format: {kind!r} is none of {', '.join(ACCESS_LOG_KINDS)}")
    return AccessLogOptions(path, kind)


def read_options(
    listen: str,
    servers: Sequence[str],
    admin: str | None,
    check_path: str,
    hosts: Sequence[str],
    *,
    algorithm: str = "roundrobin",
    cookie: str = "",
) -> Options:
    """The command line's texts as options; raises OptionsError naming the option that is wrong."""
    if not _CHECK_PATH.fullmatch(check_path):
        raise OptionsError(f"--check-path: {check_path!r} is not a path, such as /healthz")
    if algorithm not in ALGORITHMS:
        raise OptionsError(f"--balance: {algorithm!r} is not known; there are: {', '.join(ALGORITHMS)}")
    if not COOKIE_NAME.fullmatch(cookie):
        raise OptionsError(f"--cookie: {cookie!r} is not a name of letters, digits, dots, dashes and underscores")
    return Options(
        listen=read_address(listen, "--listen"),
        servers=read_servers(servers),
        admin=None if admin is None else read_address(admin, "--admin"),
        control_token=os.environ.get(TOKEN_VARIABLE) or None,
        hosts=frozenset(host.lower().encode("ascii", "replace") for host in hosts) or None,
        algorithm=algorithm,
        cookie=cookie,
        check=Check(path=check_path),
    )
