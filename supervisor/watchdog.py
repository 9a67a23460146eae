"""Asks each process whether it lives, and has those ended that do not answer; what that means is decided in liveness.py.

G1  A question stays open for as long as a silence may last: an answer that comes late is a sign of life all the same.
G2  A process is watched while it starts, too, but then may be silent for as long as a start may take.
G3  One life's silence is never held against the next one.
G4  Whatever fails while a process is watched, it is watched on.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from supervisor.liveness import Look, Rules, Silence, Verdict, observe
from supervisor.spec import Alive, Spec, State

NANOSECONDS = 1_000_000_000

_log = logging.getLogger(__name__)


class Watched(Protocol):
    """What is asked of a child."""

    spec: Spec
    state: State
    fault: str | None

    @property
    def pid(self) -> int | None: ...

    async def abort(self, why: str) -> None:
        """End the present life, as one that hangs."""
        ...


class Watchdog:
    """Watches the children whose specification says how they are asked."""

    def __init__(self, children: Iterable[Watched], seconds: float, start_seconds: float) -> None:
        """``seconds``: of silence in a process that was ready, 0: nobody is watched; ``start_seconds``: in one that starts."""
        self._rules = Rules(seconds)
        self._start_rules = Rules(max(seconds, start_seconds))
        self._watches = {
            child.spec.name: _Watch(child, child.spec.alive)
            for child in children
            if child.spec.alive is not None and seconds > 0
        }
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._keep_watching(watch)) for watch in self._watches.values()]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def silent_seconds(self, name: str) -> float:
        """For how long a process has not answered; 0 where nobody watches, and below two looks, which every life has."""
        watch = self._watches.get(name)
        return 0.0 if watch is None or watch.silence.looks < 2 else watch.silence.seconds

    async def _keep_watching(self, watch: "_Watch") -> None:
        try:
            while True:
                rules = self._rules if watch.child.state is State.READY else self._start_rules
                watch.ask(rules.seconds)
                await asyncio.sleep(rules.interval_seconds)
                try:
                    if watch.look(rules) is Verdict.HUNG:
                        await watch.child.abort(watch.what())
                except Exception:  # noqa: BLE001 - G4; it is logged
                    _log.exception("action=watch process=%s failed", watch.child.spec.name)
        finally:
            watch.forget()


class _Watch:
    """One process and the questions to it that are open."""

    def __init__(self, child: Watched, alive: Alive) -> None:
        self.child = child
        self.silence = Silence(time.monotonic())
        self._alive = alive
        self._pid: int | None = None
        self._state = State.WAITING
        self._waited = 0.0
        self._questions: set[asyncio.Task[bool]] = set()

    def ask(self, seconds: float) -> None:
        """Open one question more, for at most so long (G1); only a process that is, or comes to be, at work is asked."""
        state = self.child.state
        pid = self.child.pid if state in (State.STARTING, State.READY) else None
        if (pid, state) != (self._pid, self._state):
            self.forget()
            self._pid, self._state, self._waited = pid, state, waited_seconds(pid)
            self.silence = Silence(time.monotonic())
        if pid is not None:
            self._questions.add(asyncio.create_task(self._alive(seconds)))

    def look(self, rules: Rules) -> Verdict:
        if self._pid is None or (self.child.pid, self.child.state) != (self._pid, self._state):  # G3
            return Verdict.ALIVE
        over = {question for question in self._questions if question.done()}
        self._questions -= over
        waited = waited_seconds(self._pid)
        look = Look(
            time.monotonic(),
            answered=any(question.result() for question in over),
            waited_seconds=waited - self._waited,
            excused=self.child.fault is not None or is_traced(self._pid),
        )
        self._waited = waited
        self.silence, verdict = observe(self.silence, look, rules)
        return verdict

    def what(self) -> str:
        """What was seen of one that hangs, for people."""
        said = f"it gave no sign of life for {self.silence.seconds:.0f} s"
        state = _of_status(self._pid, "State")
        return f"{said}, state {state}" if state else said

    def forget(self) -> None:
        """Close what is open."""
        for question in self._questions:
            question.cancel()
        self._questions.clear()


def waited_seconds(pid: int | None) -> float:
    """How long a process's first thread, which serves, has waited for a processor so far; 0.0 where that is not told."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / NANOSECONDS
    except (OSError, IndexError, ValueError):
        return 0.0


def is_traced(pid: int | None) -> bool:
    """Whether a debugger, or another tracer, holds the process."""
    return _of_status(pid, "TracerPid") not in ("", "0")


def _of_status(pid: int | None, field: str) -> str:
    """What the kernel says of a process, such as ``T (stopped)``; "" where it says nothing."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (OSError, ValueError):
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{field}:")), "")
