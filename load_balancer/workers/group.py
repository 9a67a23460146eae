"""The manager's side: it starts the workers, tells them what happens, and puts their figures together.

W1  Each worker accepts from listening sockets of its own (SO_REUSEPORT: the kernel spreads connections), which the manager
    holds too: while a worker that died is started again, who comes to its sockets waits there and is not refused.
W2  All workers are told everything in the same order; a new one begins with how everything is at that moment.
W3  Servers are checked once, by the manager, however many workers there are.
W4  What the requests of one worker prove of a server's state, the manager and all other workers take over.
W5  A worker that reads nothing of what it is told is ended, and started again: it would only hold memory.
"""

import asyncio
import dataclasses
import logging
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from load_balancer.admin.orders import Order
from load_balancer.balancing.servers import CheckResult
from load_balancer.options import Options, ServerAddress
from load_balancer.proxy.backends import Backend
from load_balancer.proxy.balancer import Balancer
from load_balancer.stats.figures import Figures, WorkerFigures
from load_balancer.workers.channel import Channel
from load_balancer.workers.merging import ended, merged
from load_balancer.workers.messages import (
    Adopt,
    Ask,
    Checked,
    Do,
    Drain,
    Retire,
    Seen,
    Serving,
    Start,
    Told,
    ToManager,
    ToWorker,
)

FIGURES_SECONDS: Final = 0.5  # a worker that does not answer in this time (one that was stopped) is told as it was last
LOOK_SECONDS: Final = 2.0  # between two looks at all figures, so that little is lost with a worker that dies
PAUSE_SECONDS_FIRST, PAUSE_SECONDS_LONGEST = 0.1, 5.0  # before a worker that died is started again
STABLE_SECONDS: Final = 10.0
UNREAD_BYTES_MAX: Final = 32_000_000  # W5
END_SECONDS: Final = 2.0  # from the end of a worker's own patience until it is killed
_PROJECT: Final = Path(__file__).resolve().parents[2]

log = logging.getLogger(__name__)


class WorkerError(OSError):
    """A worker did not come to serve; its own log lines say why."""


class _Worker:
    """One life of one worker."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, channel: Channel[ToWorker, ToManager]) -> None:
        self.number = number
        self.process = process
        self.channel = channel
        self.serving = asyncio.Event()
        self.figures: Figures | None = None
        self.asked: dict[int, asyncio.Future[None]] = {}


class Group:
    """``own``: the manager's balancer, which serves nobody. ``sockets``: that the workers accept from, for each worker."""

    def __init__(self, own: Balancer, sockets: Sequence[Sequence[socket.socket]]) -> None:
        self._own = own
        self._sockets = sockets
        self._workers: dict[int, _Worker] = {}
        self._ended: Figures | None = None  # of workers that have ended, all together
        self._asks = 0
        self._ending = False
        self._keepers: list[asyncio.Task[None]] = []
        own.witness = self

    # Their lives.

    async def start(self) -> None:
        """All serve; raises WorkerError if one ends before."""
        loop = asyncio.get_running_loop()
        first = [await self._spawn(number) for number in range(len(self._sockets))]
        self._keepers = [loop.create_task(self._keep(worker)) for worker in first]
        serving: asyncio.Future[Any] = asyncio.gather(*(worker.serving.wait() for worker in first))
        ends: list[asyncio.Future[Any]] = [loop.create_task(worker.process.wait()) for worker in first]
        await asyncio.wait([serving, *ends], return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        if not serving.done():
            serving.cancel()
            raise WorkerError("a worker process ended before it served anybody; the lines above say why")

    async def look(self) -> None:
        """For ever: figures, so that those of a worker that dies are not old; and W5."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.figures()
            for worker in self._workers.values():
                if worker.channel.unread_bytes > UNREAD_BYTES_MAX:
                    log.error("worker %d does not listen any more: it is killed", worker.number + 1)
                    worker.process.kill()

    async def end(self, message: Retire | Drain, seconds: float) -> None:
        """Tell all to end in this way; those that do not in time are killed."""
        self._ending = True
        self._tell(message)
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=seconds + END_SECONDS)
        self.kill()
        await asyncio.gather(*self._keepers)

    def kill(self) -> None:
        """All that are left, at once."""
        self._ending = True
        for worker in self._workers.values():
            if worker.process.returncode is None:
                worker.process.kill()

    async def _keep(self, worker: _Worker) -> None:
        """A worker through all its lives."""
        loop = asyncio.get_running_loop()
        pause, number = PAUSE_SECONDS_FIRST, worker.number
        while True:
            began = loop.time()
            while (message := await worker.channel.receive()) is not None:
                self._hear(worker, message)
            code = await worker.process.wait()
            self._bury(worker)
            if self._ending:
                return
            pause = PAUSE_SECONDS_FIRST if loop.time() - began > STABLE_SECONDS else pause
            log.error(
                "worker %d (process %d) ended with %d, is started again in %g s",
                number + 1,
                worker.process.pid,
                code,
                pause,
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS_LONGEST)
            if self._ending:
                return
            worker = await self._spawn(number)

    async def _spawn(self, number: int) -> _Worker:
        """W1, W2."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        listening = [one.fileno() for one in self._sockets[number]]
        command = [sys.executable, "-m", "load_balancer.workers", str(theirs.fileno()), *map(str, listening)]
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=_PROJECT, stdin=asyncio.subprocess.DEVNULL, pass_fds=[theirs.fileno(), *listening]
            )
        channel: Channel[ToWorker, ToManager] = await Channel.over(ours)
        worker = self._workers[number] = _Worker(number, process, channel)
        healths = {backend.name: backend.health for backend in self._own.backends.values()}
        options = share_of_one(self._own.options, self._own.configured(), len(self._sockets))
        channel.send(Start(number + 1, options, healths, logging.getLogger().level))
        if self._ending:
            channel.send(Drain())  # it was not there yet when the others were told
        return worker

    def _bury(self, worker: _Worker) -> None:
        worker.channel.close()
        del self._workers[worker.number]
        for future in worker.asked.values():
            future.cancel()
        if worker.figures is not None:
            last = ended(worker.figures)
            self._ended = last if self._ended is None else merged(self._ended, [last])

    # What they are told, and tell.

    def order(self, orders: Iterable[Order]) -> None:
        self._tell(Do(tuple(orders)))

    def checked(self, backend: Backend, result: CheckResult) -> None:
        """W3."""
        self._tell(Checked(backend.name, result))

    def seen(self, backend: Backend) -> None:
        """The manager serves no requests, so it sees nothing of a server but by checks."""

    def _tell(self, message: ToWorker, but: _Worker | None = None) -> None:
        for worker in self._workers.values():
            if worker is not but:
                worker.channel.send(message)

    def _hear(self, worker: _Worker, message: ToManager) -> None:
        match message:
            case Serving():
                worker.serving.set()
            case Told(number, figures):
                worker.figures = figures
                future = worker.asked.pop(number, None)
                if future is not None and not future.done():
                    future.set_result(None)
            case Seen():
                self._take_over(worker, message)

    def _take_over(self, worker: _Worker, seen: Seen) -> None:
        """W4."""
        backend = self._own.backends.get(seen.name)
        if backend is None:
            return
        if seen.health.operation is not backend.health.operation:
            self._own.adopt(backend, seen.health)
            self._tell(Adopt(seen.name, seen.health), but=worker)
        if seen.hurried:
            backend.hurried = True
            backend.hurry.set()

    # Figures.

    async def figures(self) -> Figures:
        """Of all together."""
        self._asks += 1
        number, loop = self._asks, asyncio.get_running_loop()
        futures = []
        for worker in self._workers.values():
            worker.asked[number] = loop.create_future()
            futures.append(worker.asked[number])
            worker.channel.send(Ask(number))
        if futures:
            await asyncio.wait(futures, timeout=FIGURES_SECONDS)
        workers, known = [], [] if self._ended is None else [self._ended]
        for worker in sorted(self._workers.values(), key=lambda worker: worker.number):
            answers = worker.asked.pop(number, None) is None
            last = worker.figures
            if last is not None:
                known.append(last)
            connections, requests = (0, 0) if last is None else (last.connections, last.requests)
            workers.append(WorkerFigures(worker.number + 1, worker.process.pid, answers, connections, requests))
        return merged(self._own.figures(), known)._replace(workers=tuple(workers))


def share_of_one(options: Options, servers: tuple[ServerAddress, ...], workers: int) -> Options:
    """What one of so many workers is to do: its part of all connections; checks and operators are the manager's."""
    own_part = -(-options.connections_max // workers)
    return dataclasses.replace(options, servers=servers, admin=None, connections_max=own_part, workers=1)


def sockets_for(workers: int, sockets: Sequence[socket.socket]) -> list[list[socket.socket]]:
    """Dealt out one after the other: for each address there are as many as workers, or more that were inherited."""
    ordered = sorted(sockets, key=lambda one: (one.family, one.getsockname()[:2]))
    return [ordered[number::workers] for number in range(workers)]
