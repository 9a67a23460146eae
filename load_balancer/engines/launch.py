"""HAProxy in place of our own engine: this process becomes it, so that whoever started us watches, signals and stops it.

E1  The configuration is written owner-only into the state folder, and judged by HAProxy itself before it is run.
E2  The sockets are those that whoever started us holds, too (listeners.py): nobody is refused while a HAProxy that ended is
    started again, or another one takes its place.
E3  What hinders it is said in one line with what helps; nothing has started then.
HAProxy ends gracefully on SIGUSR1 (at once on SIGTERM), within the configured time for draining.
"""

import dataclasses
import logging
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from load_balancer.engines.haproxy import Extras, haproxy_cfg
from load_balancer.listeners import Listeners
from load_balancer.options import Address, Options, TlsOptions
from settings.secrets import write_text_owner_only
from settings.tls import names

CONFIG_FILE: Final = "haproxy.cfg"
SOCKET: Final = "haproxy.sock"
CERTIFICATE_FILE: Final = "haproxy-tls.pem"
FURTHER_CERTIFICATE_FILE: Final = "haproxy-tls-{}.pem"  # from 2 on
HOW_TO_INSTALL: Final = "apt install haproxy, or set load_balancer.engine to builtin"
SECONDS_MAX: Final = 20.0  # for its judgement of a configuration
_SOCKET_PATH_BYTES_MAX: Final = 90  # it binds a longer, temporary name first; the kernel allows 107

log = logging.getLogger(__name__)


class EngineError(RuntimeError):
    """HAProxy cannot be run; the message says why, and what helps."""


def program() -> str:
    """HAProxy's path; raises EngineError where it is not installed."""
    path = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        raise EngineError(f"haproxy is not installed; {HOW_TO_INSTALL}")
    return path


def prepare(options: Options, state: Path, sockets: Mapping[Address, Sequence[int]] | None = None) -> list[str]:
    """Write and check the configuration (E1); returns the command that runs it, raises EngineError (E3).

    ``sockets``: descriptors that it inherits, of those that listen already; for other addresses it opens its own.
    """
    haproxy = program()
    built = subprocess.run([haproxy, "-vv"], capture_output=True, text=True, timeout=SECONDS_MAX, check=False).stdout
    socket = state / SOCKET
    fits = len(os.fsencode(socket)) <= _SOCKET_PATH_BYTES_MAX
    file = state / CONFIG_FILE
    given = sockets or {}
    extras = Extras(socket if fits else None, prometheus="PROMEX" in built, sockets=given)
    if options.tls is not None:
        extras = _with_certificates(extras, options.tls, state)
    text = haproxy_cfg(options, extras)
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    judged = subprocess.run(
        [haproxy, "-c", "-f", str(file)],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        pass_fds=[number for numbers in given.values() for number in numbers],  # it looks what they are
    )
    if judged.returncode != 0:
        raise EngineError(f"haproxy refuses {file}: {' '.join((judged.stdout + judged.stderr).split())}")
    return [haproxy, "-db", "-f", str(file)]


def _with_certificates(extras: Extras, tls: TlsOptions, state: Path) -> Extras:
    """HAProxy wants a certificate and its key in one file; raises EngineError."""
    made: list[Path] = []
    hosts: set[str] = set()
    for number, files in enumerate(tls.files, 1):
        try:
            parts = [part.read_text(encoding="ascii") for part in (files.certificate, files.key) if part is not None]
            hosts.update(names(files.certificate))
        except (OSError, ValueError) as error:
            raise EngineError(f"the certificate {files.certificate} cannot be read: {error}") from error
        made.append(state / (CERTIFICATE_FILE if number == 1 else FURTHER_CERTIFICATE_FILE.format(number)))
        write_text_owner_only(made[-1], "\n".join(dict.fromkeys(parts)))
    return dataclasses.replace(extras, certificates=tuple(made), names=tuple(sorted(hosts)))


def become_haproxy(options: Options, state: Path, listeners: Listeners) -> None:
    """Does not return; raises EngineError, CannotListenError."""
    addresses = [one for one in (options.listen, options.redirect, options.admin) if one is not None]
    sockets = {address: [one.fileno() for one in listeners.at(address)] for address in addresses}
    command = prepare(options, state, sockets)
    for numbers in sockets.values():
        for number in numbers:
            os.set_inheritable(number, True)
    log.info("running %s on http://%s, statistics on http://%s/stats", command[0], options.listen, options.admin)
    listeners.serving()  # E2: until HAProxy accepts, which is at once, who connects waits
    logging.shutdown()
    os.execv(command[0], command)  # noqa: S606 - our own arguments, no shell
