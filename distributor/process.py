"""One distributor process: the threads of leader, teller, relay, sweeper and pruner, and the pages in the main thread.

X1  The pages answer from the first moment on; ready only when schema, leader and relay all work.
X2  A database or broker that is away is waited for, at the start and later; only a wrong schema ends the process.
X3  A thread that ends by a programming error ends the process with exit code 1, so that the supervisor restarts it.
X4  After a signal the steps under way are finished, for at most STOP_SECONDS_MAX; what then remains undone is done by
    the next process (E1, P1). A second signal ends the process at once.
States: migrating -> running -> stopping -> stopped.
"""

import asyncio
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable

from aiohttp import web
from sqlalchemy import Engine

import broker
from broker.backoff import reconnect_seconds
from distributor.currency import CURRENCY
from distributor.database import make_engine
from distributor.errors import DatabaseUnavailable
from distributor.gather.client import Partner
from distributor.gather.gatherer import WRITERS, Gatherer
from distributor.gather.rounds import Plan
from distributor.holds.sweeper import Sweeper
from distributor.metrics import Metrics
from distributor.migrate import SchemaNotUsable, upgrade
from distributor.months.leader import Leader, Pace
from distributor.months.telling import Teller
from distributor.outbox.relay import Relay
from distributor.retention import Pruner
from distributor.server import Server
from settings import Runtime
from settings.addresses import HOST
from settings.runtime import manufacturer_codes

logger = logging.getLogger(__name__)

STOP_SECONDS_MAX = 5.0  # half of the supervisor's patience
EXIT_FAILED = 1
EXIT_CANNOT_START = 70


class Process:
    """Made, run once, thrown away."""

    def __init__(self, runtime: Runtime, name: str, number: int) -> None:
        self._runtime = runtime
        self._name = name
        self._port = runtime.addresses.distributor(number)
        self._stop = threading.Event()
        self._schema_trouble: str | None = "the database's schema is being brought up to date"
        self._metrics = Metrics()
        self._leader = self._make_leader()
        self._relay = self._make_relay()
        self._pruner = Pruner(self._engine("pruner", 1), runtime.settings.retention, self._stop)
        self._teller = Teller(self._engine("teller", 1), runtime.settings.distributor.tick_ms / 1000, self._stop)
        self._metrics.watch(self._leader, self._relay, self._pruner)
        self._threads: list[threading.Thread] = []

    def _make_leader(self) -> Leader:
        settings = self._runtime.settings
        codes = manufacturer_codes(settings)
        keys = self._runtime.secrets.manufacturer_keys
        plan = Plan(
            partners={code: Partner(code, self._runtime.manufacturer_url(code), keys[code]) for code in codes},
            concurrency=settings.distributor.gather_concurrency,
            deadline_seconds=settings.distributor.offer_deadline_seconds,
            bytes_max=settings.distributor.offer_bytes_max,
            currency=CURRENCY,
            transaction_attempts_max=settings.database.transaction_attempts_max,
            carts_hold=settings.cart.hold_seconds > 0,
        )
        gatherer = Gatherer(self._engine("gather", WRITERS), plan, settings.distributor.gather_retry_seconds)
        pace = Pace.of(settings, codes)
        return Leader(self._engine("leader", 1), pace, gatherer, self._stop, on_step=self._metrics.count_step)

    def _make_relay(self) -> Relay:
        return Relay(
            self._engine("relay", 1),
            admin=broker.connect(self._runtime, role="admin"),
            carrier=broker.connect(self._runtime, role="relay"),
            codes=manufacturer_codes(self._runtime.settings),
            settings=self._runtime.settings.distributor,
            stop=self._stop,
        )

    def _engine(self, part: str, pool_size: int) -> Engine:
        database = self._runtime.settings.database
        return make_engine(self._runtime, database, pool_size=pool_size, application_name=f"{self._name} {part}")

    async def run(self) -> int:
        """Until a signal or a failure; the exit code."""
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal)
        server = Server(
            self._engine("pages", 1), self._runtime.secrets.control_token, self._metrics, self._why_not_ready
        )
        runner = web.AppRunner(server.application(), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self._port).start()
        except OSError as error:
            logger.critical("%s cannot listen on %s:%d: %s", self._name, HOST, self._port, error.strerror)
            return EXIT_CANNOT_START
        logger.info("listening on %s:%d", HOST, self._port)
        self._start(self._bring_schema_then_lead, "leader")
        code = await self._ended
        self._stop.set()
        await self._wait_for_threads()
        await runner.cleanup()
        logger.info("stopped")
        return code

    def _on_signal(self) -> None:
        if self._stop.is_set():
            os._exit(EXIT_FAILED)
        self._stop.set()
        logger.info("stopping")
        self._end(0)

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _end_from_thread(self, code: int) -> None:
        self._loop.call_soon_threadsafe(self._end, code)

    def _start(self, work: Callable[[], None], name: str) -> None:
        """Daemon threads: after STOP_SECONDS_MAX the process ends without them (X4)."""

        def guarded() -> None:
            try:
                work()
            except Exception:
                logger.exception("the %s failed", name)
                self._end_from_thread(EXIT_FAILED)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _bring_schema_then_lead(self) -> None:
        failures = 0
        while self._schema_trouble and not self._stop.is_set():
            try:
                upgrade(self._runtime.database_url)
                self._schema_trouble = None
            except SchemaNotUsable as error:
                logger.critical("%s", error)
                self._end_from_thread(EXIT_CANNOT_START)
                return
            except DatabaseUnavailable as error:
                failures += 1
                logger.warning("%s", error)
                self._schema_trouble = str(error)
                self._stop.wait(reconnect_seconds(failures, random.random()))  # noqa: S311 - jitter
        if not self._stop.is_set():
            self._start(self._relay.run, "relay")
            if self._runtime.settings.cart.hold_seconds:
                sweeper = Sweeper(self._engine("sweeper", 1), self._runtime.settings.cart.hold_seconds, self._stop)
                self._start(sweeper.run, "sweeper")
            self._start(self._pruner.run, "pruner")
            self._start(self._teller.run, "teller")
            self._leader.run()

    def _why_not_ready(self) -> str | None:
        if self._stop.is_set():
            return "draining"
        return self._schema_trouble or self._leader.trouble or self._relay.trouble

    async def _wait_for_threads(self) -> None:
        """The pages go on answering meanwhile: alive, not ready."""
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for thread in self._threads:
            await asyncio.to_thread(thread.join, max(0.0, deadline - time.monotonic()))
        for thread in self._threads:
            if thread.is_alive():
                logger.warning(
                    "the %s did not end within %g s; its work is taken up again later", thread.name, STOP_SECONDS_MAX
                )
