"""``python -m customers --state DIR --name web-1``: one web instance, as the supervisor starts it."""

import argparse
import gc
import logging
import os
import re
import sys
from pathlib import Path

from customers.app import create_app
from customers.instance import instance_of
from customers.serving.connections import raise_descriptor_limit
from customers.serving.order_desk import OrderDesk
from customers.serving.server import Server, run
from customers.serving.stock_at_once import StockAtOnce
from distributor.strategies import UnusableStrategy
from settings import Runtime, SettingsError, log_lines
from settings.addresses import HOST

EXIT_CONFIGURATION = 64
EXIT_CANNOT_START = 70
# A page makes some 5,000 objects, nearly all of which go by their counts; Python would look for circles after every 700.
NEW_OBJECTS_MAX = 20_000


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m customers", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--name", required=True, help="web-1, web-2, …")
    options = parser.parse_args(arguments)
    match = re.fullmatch(r"web-([1-9][0-9]{0,2})", options.name)
    if match is None:
        return _refuse(f"--name must be web-1, web-2, …, not {options.name}", EXIT_CONFIGURATION)
    try:
        runtime = Runtime.read(options.state)
    except (SettingsError, OSError) as error:
        return _refuse(str(error), EXIT_CONFIGURATION)
    log_lines.start(options.name, runtime.settings.logging.level)
    return _serve(runtime, options.name, int(match[1]))


def _serve(runtime: Runtime, name: str, number: int) -> int:
    port = runtime.addresses.web(number)
    try:
        app = create_app(runtime, name)
    except UnusableStrategy as error:
        return _refuse(str(error), EXIT_CONFIGURATION)
    instance = instance_of(app)
    at_once = StockAtOnce(instance)
    try:
        server = Server(
            app,
            host=HOST,
            port=port,
            threads=runtime.settings.customers.threads,
            body_bytes_max=runtime.settings.load_balancer.body_bytes_max,
            wait_seconds_max=runtime.settings.load_balancer.queue_timeout_ms / 1000,
            at_once=at_once,
            by_head=at_once.again,
            desk=OrderDesk(instance),
        )
    except OSError as error:
        return _refuse(f"{name} cannot listen on {HOST}:{port}: {os.strerror(error.errno or 0)}", EXIT_CANNOT_START)
    raise_descriptor_limit()
    _spare_the_collector()
    logging.getLogger(__name__).info("listening on %s:%d", HOST, port)
    instance.readiness.watch()
    run(server, instance.draining)
    instance.close()
    return 0


def _spare_the_collector() -> None:
    """What lives now (modules, templates, tables) lives on: looking through it for circles again and again finds none."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_MAX)


def _refuse(line: str, code: int) -> int:
    print(line, file=sys.stderr)  # noqa: T201 - the one line that the supervisor shows
    return code


if __name__ == "__main__":
    sys.exit(main())
