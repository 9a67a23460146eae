"""The process: start, ready, draining, stopped. Each is logged once.

V1  Ports are bound before anything else is started; if that fails nothing was started.
V2  The first SIGTERM or SIGINT drains: no new connections, what is under way is answered for at most drain_seconds.
V3  The second one ends the process at once.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from load_balancer.access_log.lines import formatter
from load_balancer.access_log.writer import AccessLog
from load_balancer.admin.connection import AdminConnection
from load_balancer.options import AccessLogOptions, Address, Options
from load_balancer.proxy.balancer import Balancer
from load_balancer.proxy.checks import watch
from load_balancer.proxy.frontend import Client

log = logging.getLogger(__name__)

EXIT_FINE: Final = 0
EXIT_USAGE: Final = 64
EXIT_CANNOT_START: Final = 70
BACKLOG: Final = 4_096  # asyncio's 100 would refuse a burst; the kernel lowers it to net.core.somaxconn
_DRAIN_POLL_SECONDS: Final = 0.02
_SWEEP_SECONDS_MAX: Final = 0.25
_DESCRIPTORS_SPARE: Final = 64


@dataclass(frozen=True)
class Service:
    """What runs: the shared state, the listener that clients reach, the tasks that never end by themselves."""

    balancer: Balancer
    listener: asyncio.Server
    background: tuple[asyncio.Task[None], ...]

    async def drain(self, seconds: float) -> None:
        """V2."""
        self.listener.close()
        balancer = self.balancer
        balancer.drain()
        log.info("draining: %d connections, at most %g s", len(balancer.clients), seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while balancer.clients:
                    await asyncio.sleep(_DRAIN_POLL_SECONDS)
        if balancer.clients:
            log.warning("%d connections were not done in time", len(balancer.clients))


class CannotStartError(OSError):
    """An address cannot be listened on, or a file not written; the message says which and why."""


def run(options: Options) -> int:
    """Serve until told to stop; the process' exit code."""
    _raise_descriptor_limit(options)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            return runner.run(_serve(options))
        except CannotStartError as error:
            log.error("%s", error)
            return EXIT_CANNOT_START


@contextlib.asynccontextmanager
async def serving(options: Options) -> AsyncIterator[Service]:
    """A balancer that listens, checks and sweeps; everything it started ends with the block."""
    loop = asyncio.get_running_loop()
    balancer = Balancer(options, loop)
    async with contextlib.AsyncExitStack() as stack:
        if options.access_log is not None:
            balancer.access_log = _access_log(options.access_log, balancer)
            stack.callback(balancer.access_log.close)
        listener = await _listen(stack, options.listen, lambda: Client(balancer))
        if options.admin is not None:
            await _listen(stack, options.admin, lambda: AdminConnection(balancer))
        tasks = [loop.create_task(watch(balancer))]
        tasks.append(loop.create_task(_sweep(balancer)))
        stack.push_async_callback(_cancel, tasks)
        yield Service(balancer, listener, tuple(tasks))
        for backend in balancer.backends.values():
            backend.pool.drop_all()


def _access_log(options: AccessLogOptions, balancer: Balancer) -> AccessLog:
    try:
        return AccessLog(options.path, formatter(options.kind, balancer.trace_parts), options.bytes_max)
    except OSError as error:
        raise CannotStartError(f"cannot write the access log {options.path}: {error.strerror}") from error


async def _serve(options: Options) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop)
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(serving(options))
        names = ", ".join(f"{server.name}={server.address}" for server in options.servers)
        log.info("listening on http://%s, servers: %s", options.listen, names)
        if options.admin is not None:
            log.info("admin pages on http://%s", options.admin)
        gc.freeze()  # what lives now lives on: the collector need not look at it again
        await _until_stopped(stop, service)
        await service.drain(options.timeouts.drain_seconds)
    log.info("stopped")
    return EXIT_FINE


async def _until_stopped(stop: asyncio.Event, service: Service) -> None:
    """Wait for the signal. A background task that fails ends the process: half a balancer would look like a whole one."""
    stopped = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait([stopped, *service.background], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _on_signal(stop: asyncio.Event) -> None:
    if stop.is_set():  # V3
        log.warning("second signal: ending at once")
        logging.shutdown()
        os._exit(EXIT_FINE)
    stop.set()


async def _listen(
    stack: contextlib.AsyncExitStack, address: Address, factory: Callable[[], asyncio.Protocol]
) -> asyncio.Server:
    """Listen until the stack unwinds (V1)."""
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(factory, address.host, address.port, backlog=BACKLOG, reuse_address=True)
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) or not error.errno else os.strerror(error.errno)
        raise CannotStartError(f"cannot listen on {address}: {reason}") from error
    stack.callback(server.close)
    return server


async def _sweep(balancer: Balancer) -> None:
    timeouts = balancer.options.timeouts
    interval = min(_SWEEP_SECONDS_MAX, timeouts.shortest_of_clients / 4)
    while True:
        await asyncio.sleep(interval)
        balancer.sweep(time.monotonic())


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it exists (not on Windows), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _raise_descriptor_limit(options: Options) -> None:
    """Two descriptors a connection (client and server); a shell's usual limit of 1024 is too low for the default."""
    try:
        import resource
    except ImportError:  # not on Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * options.connections_max + _DESCRIPTORS_SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            log.warning(
                "only %d open files are allowed; %d connections may need %d", allowed, options.connections_max, wanted
            )
