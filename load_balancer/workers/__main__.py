"""One worker: ``python -m load_balancer.workers CHANNEL SOCKET…``, descriptors that the manager passes. It starts nothing else.

E1  A worker whose manager is gone drains and ends: it would serve with what may not hold any more.
E2  It takes its orders from the channel; of signals it hears SIGTERM (it drains, and is started again) and no other: an
    interrupt of the terminal reaches the manager too, which knows what is to follow.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys

from load_balancer.admin.operator import carry_out
from load_balancer.listeners import Listeners
from load_balancer.proxy.backends import Backend
from load_balancer.proxy.balancer import Balancer
from load_balancer.service import Service, loop_factory, raise_descriptor_limit, serving
from load_balancer.workers.channel import Channel
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
from settings import log_lines

WorkerChannel = Channel[ToManager, ToWorker]


class Reporter:
    """Tells the manager what this worker's requests find of servers."""

    def __init__(self, channel: WorkerChannel) -> None:
        self._channel = channel

    def checked(self, backend: Backend, result: object) -> None:
        """Checks come from the manager."""

    def seen(self, backend: Backend) -> None:
        self._channel.send(Seen(backend.name, backend.health, backend.hurried))


def main() -> int:
    """Serve until told to end."""
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)
    channel, *listening = (int(word) for word in sys.argv[1:])
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_work(socket.socket(fileno=channel), listening))


async def _work(end: socket.socket, listening: list[int]) -> int:
    channel: WorkerChannel = await WorkerChannel.over(end)
    start = await channel.receive()
    if not isinstance(start, Start):
        return 0  # the manager ended meanwhile
    log_lines.start(f"load_balancer.{start.number}", logging.getLevelName(start.log_level))
    # The manager logs each change of a server once, for all.
    logging.getLogger("load_balancer.proxy.balancer").setLevel(logging.ERROR)
    raise_descriptor_limit(start.options)

    def begin(balancer: Balancer) -> None:
        for backend in balancer.backends.values():
            balancer.adopt(backend, start.healths[backend.name])
        balancer.witness = Reporter(channel)

    async with serving(start.options, Listeners(listening), begin=begin, checks=False) as service:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        gc.freeze()  # what lives now lives on
        channel.send(Serving())
        with contextlib.closing(channel):
            await _listen(channel, service, stop)
    return 0


async def _listen(channel: WorkerChannel, service: Service, stop: asyncio.Event) -> None:
    """Until the worker is to end, and has (E1)."""
    balancer, stopped = service.balancer, asyncio.create_task(stop.wait())
    retiring: asyncio.Task[None] | None = None
    while True:
        receiving = asyncio.create_task(channel.receive())
        await asyncio.wait({receiving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        message = receiving.result() if receiving.done() else None
        if message is None or isinstance(message, Drain):
            break
        if isinstance(message, Retire):
            retiring = asyncio.create_task(_retire(service, stop))
        else:
            _take(channel, balancer, message)
    for task in (receiving, stopped, retiring):
        if task is not None:
            task.cancel()
    await service.drain(balancer.options.timeouts.drain_seconds)


async def _retire(service: Service, stop: asyncio.Event) -> None:
    """While it still hears what happens to the servers."""
    await service.retire(service.balancer.options.timeouts.handover_seconds)
    stop.set()


def _take(channel: WorkerChannel, balancer: Balancer, message: ToWorker) -> None:
    match message:
        case Do(orders):
            for order in orders:
                carry_out(balancer, order)
        case Checked(name, result):
            if name in balancer.backends:
                balancer.follow_check(balancer.backends[name], result)
        case Adopt(name, health):
            if name in balancer.backends:
                balancer.adopt(balancer.backends[name], health)
        case Ask(number):
            channel.send(Told(number, balancer.figures()))


if __name__ == "__main__":
    sys.exit(main())
