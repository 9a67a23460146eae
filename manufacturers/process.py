"""The life of a manufacturer process: starting -> ready -> draining -> stopped, each logged once.

Order of the stop: not ready any more; the lines end and what they finished is booked; the consumer stops; requests
under way are answered; the ledgers are closed. A second signal ends the process at once: the ledgers allow that.
"""

import asyncio
import errno
import logging
import os
import re
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

import broker
from manufacturers.api import Api, Readiness
from manufacturers.authentication import Doorkeeper
from manufacturers.catalogue import CatalogueError
from manufacturers.ledger import LedgerUnusable
from manufacturers.metrics import make_registry
from manufacturers.opening import Opened, open_plants
from manufacturers.plant import Plant
from manufacturers.production import Production, booking_seconds
from manufacturers.sales_consumer import ConsumerThread, Intake
from settings import Runtime, SettingsError, log_lines
from settings.addresses import HOST

EXIT_FAILED = 1
EXIT_CONFIGURATION = 64
EXIT_CANNOT_START = 70
POOL_THREADS = 4  # chosen: commits of several ledgers wait for the disk side by side; more would only cost memory
REQUESTS_SECONDS_MAX = 4.0  # requests under way when the stop begins have this long
CONSUMER_STOP_SECONDS_MAX = 4.0
FILES_PER_LEDGER = 3  # database, write-ahead log, shared memory
FILES_OTHERWISE = 256
NAMES_SHOWN_MAX = 5

logger = logging.getLogger("manufacturers")


class CannotStart(Exception):
    """The process cannot do its work; the text is one line for people, ``code`` the exit code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Assignment:
    """Which manufacturers this process is, and where it listens."""

    runtime: Runtime
    codes: Sequence[str]
    port: int


class Ending:
    """Why and when the process ends. Signals ask it to stop; a part that failed makes the exit code say so."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wanted = asyncio.Event()
        self._signalled = False
        self.code = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._signalled:
            os._exit(EXIT_FAILED)
        self._signalled = True
        self._wanted.set()

    def fail(self) -> None:
        """A part of the process ended by itself; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._fail)

    def _fail(self) -> None:
        self.code = EXIT_FAILED
        self._wanted.set()

    async def wanted(self) -> None:
        await self._wanted.wait()


def main(state: Path, name: str) -> int:
    """Run until a signal; the exit code."""
    log_lines.start(name, "INFO")
    try:
        assignment = _assignment(state, name)
        logging.getLogger().setLevel(assignment.runtime.settings.logging.level)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_live(assignment))
    except (SettingsError, CatalogueError) as error:
        logger.critical("%s", error)
        return EXIT_CONFIGURATION
    except LedgerUnusable as error:
        logger.critical("%s", error)
        return EXIT_CANNOT_START
    except CannotStart as error:
        logger.critical("%s", error)
        return error.code


def _assignment(state: Path, name: str) -> Assignment:
    runtime = Runtime.read(state)
    match = re.fullmatch(r"manufacturers?-([1-9][0-9]{0,4})", name, re.ASCII)
    number = int(match[1]) if match else 0
    codes = runtime.manufacturers_of_process(number) if match else []
    if not codes:
        raise CannotStart(EXIT_CONFIGURATION, f"--name {name}: no such manufacturer process; try manufacturer-1")
    return Assignment(runtime, codes, runtime.addresses.manufacturer_process(number))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it exists."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _live(assignment: Assignment) -> int:
    ending = Ending()
    readiness = Readiness()
    _allow_open_files(FILES_PER_LEDGER * len(assignment.codes) + FILES_OTHERWISE)
    async with AsyncExitStack() as cleanups:
        pool = cleanups.enter_context(ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="ledger"))
        opened = await open_plants(assignment.runtime, assignment.codes, pool)
        plants = {each.plant.code: each.plant for each in opened}
        for plant in plants.values():
            cleanups.callback(plant.books.close)
        await _open_doors(assignment, plants, readiness, ending, cleanups)
        _start_production(opened, ending, cleanups)
        readiness.reason = None
        logger.info("ready: %s on port %s", _introduction(list(plants.values())), assignment.port)
        await ending.wanted()
        readiness.reason = "draining"
        logger.info("draining")
    logger.info("stopped")
    return ending.code


def _introduction(plants: Sequence[Plant]) -> str:
    shown = [f"{plant.code} {plant.name}" for plant in plants[:NAMES_SHOWN_MAX]]
    more = len(plants) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


async def _open_doors(
    assignment: Assignment, plants: Mapping[str, Plant], readiness: Readiness, ending: Ending, cleanups: AsyncExitStack
) -> None:
    """Start the API and the consumer of sales."""
    registry, events = make_registry(plants)
    keys = assignment.runtime.secrets.manufacturer_keys
    used = {code: await plant.nonces() for code, plant in plants.items()}
    api = Api(plants, Doorkeeper({code: keys[code] for code in plants}, used), readiness, registry)
    server = web.AppRunner(api.application(), access_log=None, shutdown_timeout=REQUESTS_SECONDS_MAX)
    await server.setup()
    cleanups.push_async_callback(server.cleanup)
    try:
        await web.TCPSite(server, HOST, assignment.port).start()
    except OSError as error:
        why = "is in use by another program" if error.errno == errno.EADDRINUSE else str(error)
        raise CannotStart(EXIT_CANNOT_START, f"port {assignment.port} on {HOST}: {why}") from error
    loop = asyncio.get_running_loop()

    def on_depleted(code: str, sku: str) -> None:
        loop.call_soon_threadsafe(plants[code].make_urgent, sku)

    intake = Intake({code: plant.books for code, plant in plants.items()}, events, on_depleted)
    only_one = assignment.codes[0] if len(assignment.codes) == 1 else None
    carrier = broker.connect(assignment.runtime, "manufacturer", only_one)
    consumer = ConsumerThread(carrier.consumer(list(assignment.codes)), intake, ending.fail)
    consumer.start()
    cleanups.push_async_callback(asyncio.to_thread, consumer.stop, CONSUMER_STOP_SECONDS_MAX)


def _start_production(opened: Sequence[Opened], ending: Ending, cleanups: AsyncExitStack) -> None:
    def watch(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            logger.critical("%s failed", task.get_name(), exc_info=error)
            ending.fail()

    for each in opened:
        production = Production(each.plant, each.lines, booking_seconds(len(opened)))
        production.start()
        cleanups.push_async_callback(production.stop)
        for task in production.tasks:
            task.add_done_callback(watch)


def _allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
