"""All processes of one system: started in dependency order, watched, stopped in reverse order.

V1  The start ends with every awaited process ready, or with a StartError and nothing left running.
V2  A stop that arrives during the start is not lost: the start is given up and everything ends.
V3  After ``stop`` no child runs; a second request (``hurry``) only shortens the way there.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from supervisor.child import Child
from supervisor.control import FAULTS
from supervisor.errors import StartError
from supervisor.life import DIED, HUNG, Limits
from supervisor.probes import NO_ANSWER
from supervisor.spec import Spec, State, layers
from supervisor.watchdog import Watchdog

UNREADY_SECONDS_MAX = 1.5  # for all answers together: who asks for the status waits for it

_log = logging.getLogger(__name__)


class Supervisor:
    """``on_change`` is told of every change of a child's state."""

    def __init__(
        self,
        specs: Iterable[Spec],
        logs: Path,
        limits: Limits,
        *,
        environment: Mapping[str, str],
        on_change: Callable[[Child], None],
    ) -> None:
        self._layers = layers(specs)
        self.starting = True
        self.stop_requested = asyncio.Event()
        self.hurry = asyncio.Event()
        self.children = {
            spec.name: Child(
                spec,
                logs,
                limits,
                environment=environment,
                system_starts=lambda: self.starting,
                on_change=on_change,
            )
            for layer in self._layers
            for spec in layer
        }
        self._limits = limits
        self._watchdog = Watchdog(self.children.values(), limits.watchdog_seconds, limits.ready_seconds)
        self._background: set[asyncio.Task[Any]] = set()

    def request_stop(self) -> None:
        """The first request stops gracefully, the second at once."""
        if self.stop_requested.is_set():
            self.hurry.set()
        self.stop_requested.set()

    async def start(self) -> bool:
        """Start everything (V1); False when a stop was requested meanwhile (V2)."""
        self._watchdog.start()
        stop = asyncio.create_task(self.stop_requested.wait())
        starts = {asyncio.create_task(self._start_one(child)) for child in self.children.values()}
        try:
            waiting = set(starts)
            while waiting and not stop.done():
                done, _ = await asyncio.wait({*waiting, stop}, return_when=asyncio.FIRST_COMPLETED)
                waiting -= done
                for task in done - {stop}:
                    task.result()
        except StartError:
            _cancel(starts)
            await self.stop()
            raise
        finally:
            self.starting = False
            _cancel([*starts, stop])
        return not self.stop_requested.is_set()

    async def _start_one(self, child: Child) -> None:
        """Wait for the dependencies (O1), start, wait until ready; raises why it cannot be."""
        for name in child.spec.depends_on:
            await self.children[name].ready.wait()
        if child.spec.on_demand:
            return
        life = child.launch()
        if not child.spec.awaited:
            return
        ready = asyncio.create_task(child.ready.wait())
        try:
            await asyncio.wait({life, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if life.done():
            life.result()

    async def stop(self) -> None:
        """Stop everything in reverse order (O2); each layer has the whole deadline."""
        self.stop_requested.set()
        await self._watchdog.stop()
        for layer in reversed(self._layers):
            members = [self.children[spec.name] for spec in layer]
            await asyncio.gather(*(child.stop(self._limits.stop_seconds, self.hurry) for child in members))
        for task in self._background:
            task.cancel()

    def demand(self, name: str) -> None:
        """Start a process that is started on demand only; nothing happens when it runs already."""
        child = self.children[name]
        if child.state is State.WAITING and not self.stop_requested.is_set():
            child.launch()

    def fault(self, fault: str, names: Iterable[str]) -> None:
        """Do a fault to each named process; raises LookupError naming what is wrong, before anything is done."""
        wanted = list(names)
        unknown = [name for name in wanted if name not in self.children]
        if unknown:
            msg = f"no process is called {', '.join(unknown)}; there are: {', '.join(self.children)}"
            raise LookupError(msg)
        if fault not in FAULTS:
            msg = f"unknown fault {fault}; there are: {', '.join(FAULTS)}"
            raise LookupError(msg)
        if self.stop_requested.is_set():
            msg = "the system is stopping"
            raise LookupError(msg)
        idle = [self.children[name] for name in wanted if self.children[name].pid is None]
        if idle and fault != "restart":
            msg = ", ".join(f"{child.spec.name} is not running (state {child.state.value})" for child in idle)
            raise LookupError(msg)
        for name in wanted:
            if fault == "restart":
                task: asyncio.Task[Any] = asyncio.create_task(self.children[name].restart())
                self._background.add(task)
                task.add_done_callback(self._background.discard)
            else:
                self.children[name].send_fault(fault)

    async def restart(self, name: str) -> None:
        """Restart one, by handing over where it can; returns once it serves, raises LookupError saying why it does not."""
        if self.stop_requested.is_set():
            msg = "the system is stopping"
            raise LookupError(msg)
        child = self.children[name]
        reason = await child.restart()
        if reason:
            raise LookupError(reason)

    async def unready(self) -> dict[str, str]:
        """Of the processes that were ready once, those that are not now, and why. All are asked at once."""
        asked = [child for child in self.children.values() if child.state is State.READY and child.fault is None]
        reasons = await asyncio.gather(*(_reason_of(child.spec) for child in asked))
        return {child.spec.name: reason for child, reason in zip(asked, reasons, strict=True) if reason is not None}

    def rows(self) -> list[dict[str, object]]:
        """One row a process, as ``status --json`` prints them."""
        return [
            {
                "name": child.spec.name,
                "kind": child.spec.kind,
                "pid": child.pid,
                "state": child.state.value,
                "url": child.spec.url,
                "restarts": child.restarts.total(),
                "restarts_by_reason": {reason: child.restarts[reason] for reason in (DIED, HUNG)},
                "last_end": child.last_end,
                "silent_seconds": round(self._watchdog.silent_seconds(child.spec.name), 1),
                "fault": child.fault,
            }
            for child in self.children.values()
        ]


async def _reason_of(spec: Spec) -> str | None:
    try:
        async with asyncio.timeout(UNREADY_SECONDS_MAX):
            if spec.unready is not None:
                return await spec.unready()
            return None if await spec.probe() else NO_ANSWER
    except TimeoutError:
        return f"{NO_ANSWER} within {UNREADY_SECONDS_MAX:g} s"


def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
