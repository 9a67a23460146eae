"""The process: start, ready, (retiring,) draining, stopped. Each is logged once.

V1  Ports are bound before anything else is started; if that fails nothing was started.
V2  The first SIGTERM or SIGINT drains: no new connections, what is under way is answered for at most drain_seconds.
V3  The second one ends the process at once.
V4  SIGUSR1 says that a successor accepts from our sockets: whoever is connected here is served on, each connection ends
    with its next answer, and none that is idle is ended under a client's hand (HAProxy's idle-close-on-response), for at
    most handover_seconds; then V2.
V5  A successor accepts nobody before its servers were checked once: it would only have errors to tell.
V6  SIGHUP has the settings read again (admin/operator.py); it never ends the process.
V7  With several workers (workers/) this process serves no clients: it checks, takes orders, and looks after those that do.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from load_balancer.access_log.lines import formatter
from load_balancer.access_log.writer import AccessLog
from load_balancer.admin.connection import AdminConnection
from load_balancer.admin.operator import Operator, Settings
from load_balancer.balancing.servers import Admin
from load_balancer.listeners import BACKLOG, CannotListenError, Listeners, passed_by_systemd
from load_balancer.options import AccessLogOptions, Options
from load_balancer.proxy.balancer import Balancer
from load_balancer.proxy.checks import watch
from load_balancer.proxy.redirecting import RedirectingClient
from load_balancer.proxy.tls import entrance
from load_balancer.workers.group import Group, WorkerError, sockets_for
from load_balancer.workers.messages import Drain, Retire
from settings.tls import FileFault

log = logging.getLogger(__name__)

EXIT_FINE: Final = 0
EXIT_USAGE: Final = 64
EXIT_CANNOT_START: Final = 70
_DRAIN_POLL_SECONDS: Final = 0.02
_SWEEP_SECONDS_MAX: Final = 0.25
_DESCRIPTORS_SPARE: Final = 64


class Listener:
    """Everything that accepts connections for one address."""

    def __init__(self, servers: Sequence[asyncio.Server]) -> None:
        self.servers = servers
        self.sockets = [one for server in servers for one in server.sockets]

    def join(self, other: "Listener") -> None:
        """From now on both are one."""
        self.servers = [*self.servers, *other.servers]
        self.sockets = [*self.sockets, *other.sockets]

    def close(self) -> None:
        """Accept no more; where others hold the sockets too, who waits there is theirs."""
        for server in self.servers:
            server.close()


@dataclass(frozen=True)
class Service:
    """What runs: the shared state, the listeners of clients and operators, the tasks that never end by themselves."""

    balancer: Balancer
    operator: Operator
    listener: Listener
    admin: Listener | None
    background: tuple[asyncio.Task[None], ...]

    async def drain(self, seconds: float) -> None:
        """V2."""
        self.listener.close()
        balancer = self.balancer
        balancer.drain()
        log.info("draining: %d connections, at most %g s", len(balancer.clients), seconds)
        await self._until_alone(seconds)
        if balancer.clients:
            log.warning("%d connections were not done in time", len(balancer.clients))

    async def retire(self, seconds: float) -> None:
        """V4."""
        self.listener.close()
        if self.admin is not None:
            self.admin.close()
        self.balancer.draining = True
        log.info(
            "a successor accepts now: serving %d connections on, at most %g s", len(self.balancer.clients), seconds
        )
        await self._until_alone(seconds)

    async def _until_alone(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.balancer.clients:
                    await asyncio.sleep(_DRAIN_POLL_SECONDS)
        self.balancer.end()


class CannotStartError(OSError):
    """A file cannot be written; the message says which and why."""


def run(options: Options, listeners: Listeners | None = None, settings: Settings | None = None) -> int:
    """Serve until told to stop; the process' exit code. ``listeners``: those that were inherited, if any.

    ``settings``: where the options come from, if they can be read again.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # V6, until it is listened to
    raise_descriptor_limit(options)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            inherited = listeners or Listeners(passed_by_systemd(os.environ))
            return runner.run(_serve(options, inherited, settings))
        except (CannotStartError, CannotListenError, FileFault, WorkerError) as error:
            log.error("%s", error)
            return EXIT_CANNOT_START


@dataclass(frozen=True)
class Management:
    """V7: what runs in the manager's process."""

    group: Group
    operator: Operator
    admin: Listener | None
    background: tuple[asyncio.Task[None], ...]

    async def drain(self, seconds: float) -> None:
        """V2."""
        self.operator.balancer.drain()
        log.info("draining: %d workers, at most %g s", self.operator.balancer.options.workers, seconds)
        await self.group.end(Drain(), seconds)

    async def retire(self, seconds: float) -> None:
        """V4."""
        if self.admin is not None:
            self.admin.close()
        log.info("a successor accepts now: the workers serve their connections on, at most %g s", seconds)
        await self.group.end(Retire(), seconds + self.operator.balancer.options.timeouts.drain_seconds)


@contextlib.asynccontextmanager
async def managing(options: Options, listeners: Listeners, settings: Settings | None) -> AsyncIterator[Management]:
    """V7; everything it started ends with the block."""
    loop = asyncio.get_running_loop()
    balancer = Balancer(options, loop)
    async with contextlib.AsyncExitStack() as stack:
        addresses = [options.listen] if options.redirect is None else [options.listen, options.redirect]
        sockets = [one for address in addresses for one in listeners.at(address, options.workers)]
        group = Group(balancer, sockets_for(options.workers, sockets))
        stack.callback(group.kill)
        admin_sockets = [] if options.admin is None else listeners.at(options.admin)
        operator = Operator(balancer, settings, group)
        tasks = [loop.create_task(watch(balancer)), loop.create_task(_sweep(balancer)), loop.create_task(group.look())]
        stack.push_async_callback(_cancel, tasks)
        if listeners.inherits:
            await _until_checked(balancer)
            operator.catch_up()
        await group.start()
        admin = await _accept(stack, admin_sockets, lambda: AdminConnection(operator)) if admin_sockets else None
        listeners.serving()
        yield Management(group, operator, admin, tuple(tasks))


@contextlib.asynccontextmanager
async def serving(
    options: Options,
    listeners: Listeners | None = None,
    settings: Settings | None = None,
    *,
    begin: Callable[[Balancer], None] | None = None,
    checks: bool = True,
) -> AsyncIterator[Service]:
    """A balancer that listens, checks and sweeps; everything it started ends with the block.

    ``begin`` is called before anybody is accepted; without ``checks`` somebody else makes them.
    """
    loop = asyncio.get_running_loop()
    balancer = Balancer(options, loop)
    if begin is not None:
        begin(balancer)
    operator = Operator(balancer, settings)
    listeners = listeners or Listeners()
    async with contextlib.AsyncExitStack() as stack:
        if options.access_log is not None:
            balancer.access_log = _access_log(options.access_log, balancer)
            stack.callback(balancer.access_log.close)
        sockets = listeners.at(options.listen)
        redirect_sockets = [] if options.redirect is None else listeners.at(options.redirect)
        admin_sockets = [] if options.admin is None else listeners.at(options.admin)
        tasks = [loop.create_task(_sweep(balancer))]
        if checks:
            tasks.append(loop.create_task(watch(balancer)))
        stack.push_async_callback(_cancel, tasks)
        if listeners.inherits and checks:
            await _until_checked(balancer)
            operator.catch_up()
        listener = await _accept(stack, sockets, entrance(balancer))
        if redirect_sockets:
            listener.join(await _accept(stack, redirect_sockets, lambda: RedirectingClient(balancer)))
        admin = await _accept(stack, admin_sockets, lambda: AdminConnection(operator)) if admin_sockets else None
        listeners.serving()
        yield Service(balancer, operator, listener, admin, tuple(tasks))
        for backend in balancer.backends.values():
            backend.pool.drop_all()


def _access_log(options: AccessLogOptions, balancer: Balancer) -> AccessLog:
    try:
        return AccessLog(options.path, formatter(options.kind, balancer.trace_parts), options.bytes_max)
    except OSError as error:
        raise CannotStartError(f"cannot write the access log {options.path}: {error.strerror}") from error


async def _serve(options: Options, listeners: Listeners, settings: Settings | None) -> int:
    stop, retire = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    at_once: list[Callable[[], None]] = []  # V3: what has to be done even then
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, at_once)
    loop.add_signal_handler(signal.SIGUSR1, retire.set)
    async with contextlib.AsyncExitStack() as stack:
        several = options.workers > 1
        start = managing(options, listeners, settings) if several else serving(options, listeners, settings)
        service: Service | Management = await stack.enter_async_context(start)
        if isinstance(service, Management):
            at_once.append(service.group.kill)
        loop.add_signal_handler(signal.SIGHUP, service.operator.hang_up)
        names = ", ".join(f"{server.name}={server.address}" for server in options.servers)
        scheme = "http" if options.tls is None else "https"
        log.info("listening on %s://%s, servers: %s", scheme, options.listen, names)
        if options.admin is not None:
            log.info("admin pages on http://%s", options.admin)
        gc.freeze()  # what lives now lives on: the collector need not look at it again
        await _until_one_of((stop.wait(), retire.wait()), service)
        if not stop.is_set():
            patience = service.operator.balancer.options.timeouts.handover_seconds
            await _until_one_of((stop.wait(), service.retire(patience)), service)
        await service.drain(service.operator.balancer.options.timeouts.drain_seconds)
    log.info("stopped")
    return EXIT_FINE


async def _until_one_of(ends: Iterable[Coroutine[Any, Any, object]], service: Service | Management) -> None:
    """Wait for one of them. A background task that fails ends the process: half a balancer would look like a whole one."""
    waiting = [asyncio.ensure_future(end) for end in ends]
    done, _ = await asyncio.wait([*waiting, *service.background], return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    for task in done:
        task.result()


def _on_signal(stop: asyncio.Event, at_once: Iterable[Callable[[], None]]) -> None:
    if stop.is_set():  # V3
        log.warning("second signal: ending at once")
        for step in at_once:
            step()
        logging.shutdown()
        os._exit(EXIT_FINE)
    stop.set()


async def _accept(
    stack: contextlib.AsyncExitStack, sockets: Sequence[socket.socket], factory: Callable[[], asyncio.Protocol]
) -> Listener:
    """Accept until the stack unwinds."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(factory, sock=one, backlog=BACKLOG) for one in sockets]
    listener = Listener(servers)
    stack.callback(listener.close)
    return listener


async def _until_checked(balancer: Balancer) -> None:
    """V5; a check that is not answered has its whole time."""
    wanted = [backend for backend in balancer.backends.values() if backend.health.admin is not Admin.MAINT]
    asked = [backend for backend in wanted if backend.options.check]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(balancer.options.check.timeout_seconds + _DRAIN_POLL_SECONDS):
            while not all(backend.check for backend in asked):
                await asyncio.sleep(_DRAIN_POLL_SECONDS)


async def _sweep(balancer: Balancer) -> None:
    while True:
        await asyncio.sleep(min(_SWEEP_SECONDS_MAX, balancer.options.timeouts.shortest_of_clients / 4))
        balancer.sweep(time.monotonic())


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it exists (not on Windows), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def raise_descriptor_limit(options: Options) -> None:
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
