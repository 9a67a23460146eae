"""The simulated customers that keep a running shop alive: `python -m scenarios.traffic --state DIR`, started by `up`.

T1  As many customers shop as customers.simulated says, also when it is changed while the system runs, also none.
T2  They shop a month politely, say that they are done when their list is, and come again with the next month.
T3  They are the same people after a restart: addresses and passwords come from the installation's secrets.
T4  Nothing they meet ends the process: a shop that does not answer is asked again later, a lost account is opened anew.
"""

import argparse
import hashlib
import hmac
import json
import logging
import os
import random
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gevent
import gevent.event
from gevent.pywsgi import WSGIServer
from locust import FastHttpUser, constant, task
from locust.env import Environment
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, generate_latest

from scenarios.buying import Buyer
from scenarios.cart_trip import DIRECT_SHARE, Trip, wishes
from scenarios.history import History
from scenarios.outcomes import Patience
from scenarios.shop import REQUEST_SECONDS_MAX, Account, Shop, ShopError
from settings import Runtime, SettingsError, log_lines
from settings.addresses import HOST
from settings.runtime import FILE as RUNTIME_FILE

FOLLOW_SECONDS = 1.0  # how often the setting is looked at
SPAWN_PER_SECOND = 5
TROUBLE_SECONDS = 5.0  # a customer's rest after the shop could not be used
TRIPS = (2, 5)  # a month of 60 s at pauses of 2 s has room for about five trips of six steps
EXIT_CONFIGURATION = 64
EXIT_CANNOT_START = 70

log = logging.getLogger("scenarios.traffic")
CUSTOMERS = Gauge("traffic_customers", "Simulated customers that shop at the moment")
BASKETS = Counter("traffic_baskets_total", "Baskets of simulated customers", ["outcome"])
TROUBLES = Counter("traffic_troubles_total", "Times a simulated customer could not use the shop and rested")


class Street(Environment):
    """Locust's environment, with what the customers share."""

    traffic: "Traffic"


class Passer(FastHttpUser):
    """A Locust user: one of the people in the street."""

    environment: Street
    wait_time = constant(0)
    network_timeout = REQUEST_SECONDS_MAX
    connection_timeout = 5.0
    max_retries = 0
    max_redirects = 0
    concurrency = 1

    @task
    def live(self) -> None:
        self.environment.traffic.live(Shop(self.client))


class Traffic:
    """Keeps the wished number of customers shopping."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._modified = 0
        self._wished = 0
        self._taken: set[int] = set()
        self._history = History(Path(os.devnull))  # nobody judges the traffic of a living shop
        self._stopping = gevent.event.Event()
        self._environment = Street(user_classes=[Passer], host=runtime.shop_url)
        self._environment.traffic = self
        self._runner: Any = self._environment.create_local_runner()

    def run(self) -> None:
        """Until a signal arrives; a second signal ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, self._on_signal)
        server = WSGIServer((HOST, self._runtime.addresses.traffic), self._answer, log=None)
        server.start()
        log.info("listening on %s:%d", HOST, self._runtime.addresses.traffic)
        while not self._stopping.wait(timeout=FOLLOW_SECONDS):
            self._follow_settings()
        log.info("stopping")
        self._runner.quit()
        server.stop(timeout=1)

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            os._exit(0)
        self._stopping.set()

    def _follow_settings(self) -> None:
        """T1."""
        try:
            modified = (self._runtime.state / RUNTIME_FILE).stat().st_mtime_ns
            if modified == self._modified:
                return
            self._runtime = Runtime.read(self._runtime.state)
            self._modified = modified
        except (OSError, SettingsError, ValueError) as error:
            log.warning("the settings cannot be read, the last ones stay: %s", error)
            return
        wished = self._runtime.settings.customers.simulated
        if wished != self._wished:
            log.info("%d simulated customers from now on", wished)
            self._wished = wished
            if wished:
                self._runner.start(wished, spawn_rate=SPAWN_PER_SECOND)
            else:
                self._runner.stop()

    # -- one customer -------------------------------------------------------------------------------------------

    def live(self, shop: Shop) -> None:
        """Shop for ever, as the lowest-numbered customer who is not in the street yet (T3)."""
        slot = next(number for number in range(1, len(self._taken) + 2) if number not in self._taken)
        self._taken.add(slot)
        CUSTOMERS.set(len(self._taken))
        try:
            while True:
                try:
                    account = self._account(slot)
                    shop.sign_up(account)
                    self._shop_month_by_month(shop, account, slot)
                except ShopError as error:  # T4
                    TROUBLES.inc()
                    log.warning("customer %d rests: %s", slot, error)
                    gevent.sleep(TROUBLE_SECONDS)
        finally:
            self._taken.discard(slot)
            CUSTOMERS.set(len(self._taken))

    def _shop_month_by_month(self, shop: Shop, account: Account, slot: int) -> None:
        done = 0
        while True:
            month = shop.open_month()
            if month is not None and month > done:
                self._shop_one_month(shop, account, slot, month)
                shop.finished(account)
                done = month
            self._pause()

    def _shop_one_month(self, shop: Shop, account: Account, slot: int, month: int) -> None:
        seed = self._runtime.settings.simulation.seed
        rng = random.Random(f"traffic/{seed}/{slot}/{month}")
        buyer = Buyer(shop, self._history.new_process(), Patience(), lambda: False)
        trip = Trip(shop, buyer, account, self._pause, seed)
        for _ in range(rng.randint(*TRIPS)):
            if shop.open_month() != month:
                return
            direct = rng.random() < DIRECT_SHARE
            run = f"t{random.getrandbits(64):x}-{{}}"  # not from the seed: a restart must not meet its old keys
            wanted, bought = trip.make(wishes(rng), run.format, direct=direct)
            if wanted:
                BASKETS.labels(bought.end.value).inc()
            self._pause()

    def _pause(self) -> None:
        gevent.sleep(self._runtime.settings.customers.simulated_pause_seconds * random.uniform(0.5, 1.5))

    def _account(self, slot: int) -> Account:
        secrets = self._runtime.secrets
        password = hmac.new(secrets.session_key.encode(), f"traffic/{slot}".encode(), hashlib.sha256).hexdigest()[:32]
        address = f"simulated-{slot}.{secrets.installation_id[:8]}@example.org"
        return Account(address, password, "Simulated", f"Customer {slot}")

    # -- health -------------------------------------------------------------------------------------------------

    def _answer(
        self, request: dict[str, Any], start: Callable[[str, list[tuple[str, str]]], object]
    ) -> Iterable[bytes]:
        ready = not self._stopping.is_set()
        kind = "application/json"
        match request["PATH_INFO"]:
            case "/healthz":
                status, body = "200 OK", json.dumps({"alive": True, "name": "traffic"}).encode()
            case "/readyz":
                status = "200 OK" if ready else "503 Service Unavailable"
                body = json.dumps({"ready": ready, "reason": None if ready else "draining"}).encode()
            case "/metrics":
                status, body, kind = "200 OK", generate_latest(), CONTENT_TYPE_LATEST
            case _:
                status, body = "404 Not Found", b"{}"
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scenarios.traffic", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--name", default="traffic")
    options = parser.parse_args(arguments)
    try:
        runtime = Runtime.read(options.state)
    except (SettingsError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIGURATION
    log_lines.start(options.name, runtime.settings.logging.level)
    logging.getLogger("locust").setLevel(logging.WARNING)
    try:
        Traffic(runtime).run()
    except OSError as error:
        sys.stderr.write(f"{options.name} cannot listen on {HOST}:{runtime.addresses.traffic}: {error.strerror}\n")
        return EXIT_CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
