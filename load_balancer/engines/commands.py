"""``main.py balancer config``: the settings as HAProxy or nginx have them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from load_balancer.engines.haproxy import Extras, haproxy_cfg
from load_balancer.engines.nginx import nginx_conf
from load_balancer.options import from_settings
from settings import Settings, SettingsError
from settings.addresses import Addresses
from settings.tls import names

EXIT_FINE: Final = 0
EXIT_USAGE: Final = 64


def print_config(engine: str, load: Callable[[], Settings], port_base: int, state: Path) -> int:
    """``load`` reads the settings; the exit code: 0 printed, 64 another engine, or settings with mistakes."""
    if engine not in ("haproxy", "nginx"):
        sys.stderr.write(f"error: --engine: {engine!r} is neither haproxy nor nginx\n")
        return EXIT_USAGE
    try:
        options = from_settings(load(), Addresses(port_base), state.absolute())
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    of_each = [
        tuple(sorted(names(files.certificate))) if files.certificate.exists() else ()
        for files in (() if options.tls is None else options.tls.files)
    ]
    if engine == "haproxy":
        sys.stdout.write(haproxy_cfg(options, Extras(names=tuple(sorted({name for each in of_each for name in each})))))
    else:
        sys.stdout.write(nginx_conf(options, state.absolute(), of_each))
    return EXIT_FINE
