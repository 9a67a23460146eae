"""One process through all its lives: start, wait until ready, watch, start again after a pause, stop.

C1  At most one life at a time, and every life is reaped before the next one begins; but where one hands over to the next
    (handover.py) both run, until the first has served its connections.
C2  A child that was told to stop is never started again, whatever it is doing at that moment.
C3  Stopping always ends: stop signal, deadline, kill signal, SIGKILL; a paused child is woken to hear it.
C4  A life hands over only to one that serves; where that does not come to serve, everything stays as it was.
C5  A life that hangs is ended as if it had died, after it had a moment to say where it stands.
States and transitions: spec.TRANSITIONS. Called by supervision.py; everything runs in one thread.
"""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from supervisor import tree
from supervisor.errors import StartError
from supervisor.handover import Announcement, HeldSockets, Passed
from supervisor.life import DIED, HUNG, Life, Limits
from supervisor.logs import LogFile
from supervisor.ports import users_of
from supervisor.restart import EXIT_CANNOT_START, EXIT_USAGE, Death, GiveUp, deaths_in_a_row, decide, ending
from supervisor.spawn import start_child
from supervisor.spec import TRANSITIONS, Spec, State

PROBE_SECONDS_FIRST, PROBE_SECONDS_LONGEST = 0.05, 0.25
ABORT_SECONDS = 2.0  # for the tracebacks of all threads; measured: milliseconds
KILL_SECONDS = 2.0  # from the kill signal (PostgreSQL: SIGQUIT, which still removes its shared memory) to SIGKILL
SLOW_PERIOD_SECONDS, SLOW_PAUSED_SECONDS = 0.1, 0.08
SLOW_PERIODS_PER_LOOK = 10  # finding the descendants walks all processes of the machine: once a second is enough

_log = logging.getLogger(__name__)


class Child:
    """``system_starts`` tells whether the system as a whole is still starting (R2, R3 of restart.py)."""

    def __init__(
        self,
        spec: Spec,
        logs: Path,
        limits: Limits,
        *,
        environment: Mapping[str, str],
        system_starts: Callable[[], bool],
        on_change: Callable[["Child"], None],
    ) -> None:
        self.spec = spec
        self.state = State.WAITING
        self.fault: str | None = None
        self.restarts: Counter[str] = Counter()  # by reason
        self.last_end = ""
        self.ready = asyncio.Event()
        self.log = LogFile(logs / f"{spec.name}.log")
        self._limits = limits
        self._environment = {**environment, **spec.environment}
        self._system_starts = system_starts
        self._on_change = on_change
        self._life: Life | None = None
        self._held = HeldSockets()
        self._handover: asyncio.Task[str] | None = None
        self._taken_over = asyncio.Event()  # the current life is another one than that which was waited for
        self._retiring: dict[Life, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()  # cuts a back-off short
        self._restarting = False
        self._hung = ""  # why the present life is ended (C5)
        self._task: asyncio.Task[None] | None = None
        self._slow: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def _process(self) -> subprocess.Popen[bytes] | None:
        return None if self._life is None else self._life.process

    def launch(self) -> asyncio.Task[None]:
        """Begin to keep it running. The task ends when it was stopped or gave up; during the start it raises why."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep_running(), name=self.spec.name)
        return self._task

    async def stop(self, seconds: float, hurry: asyncio.Event) -> None:
        """End it for good (C2, C3); ``hurry`` cuts the deadline short."""
        self._stopping.set()
        self._wake.set()
        self._held.close()
        if self._task is None:
            self._end_as_stopped()
            return
        self._drain()
        impatience = asyncio.create_task(hurry.wait())
        await asyncio.wait({self._task, impatience}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        impatience.cancel()
        for life in self._retiring:
            tree.send(life.process, signal.SIGKILL)
        await self._force(self._task)
        self._task.exception()  # whoever waited for the start has it; nobody else asks for it
        self._end_as_stopped()

    async def restart(self) -> str:
        """A graceful restart; one that gave up or waits in back-off is started at once. Why it was not done, or ""."""
        process = self._process
        if process is None:
            self._wake.set()
            self.launch()
            return ""
        if self.spec.handover_seconds is not None and self.state is State.READY:
            if self._handover is None or self._handover.done():
                self._handover = asyncio.create_task(self._hand_over())
            await asyncio.wait({self._handover})
            return self._handover.result()
        self._restarting = True
        self._drain()
        deadline = time.monotonic() + self._limits.stop_seconds
        while self._process is process and time.monotonic() < deadline:
            await asyncio.sleep(PROBE_SECONDS_FIRST)
        if self._process is process:
            self._kill(signal.SIGKILL)
        return ""

    async def abort(self, why: str) -> None:
        """End a life that hangs (C5)."""
        life = self._life
        if life is None or self.state not in (State.STARTING, State.READY):
            return
        self._hung = why
        _log.error(
            "action=hung process=%s pid=%s sent=%s: %s", self.spec.name, self.pid, self.spec.abort_signal.name, why
        )
        tree.send(life.process, self.spec.abort_signal)
        tree.send_all(tree.members(life.process), signal.SIGCONT)
        await asyncio.wait({life.end}, timeout=ABORT_SECONDS)
        tree.send_all(tree.members(life.process), signal.SIGKILL)

    def send_fault(self, fault: str) -> None:
        """kill, pause, resume or slow; raises LookupError where there is no process to do it to."""
        process = self._process
        if process is None:
            msg = f"{self.spec.name} is not running (state {self.state.value})"
            raise LookupError(msg)
        _log.info("action=fault process=%s fault=%s", self.spec.name, fault)
        self._end_slow()
        if fault == "kill":
            tree.send(process, signal.SIGKILL)
        elif fault == "pause":
            tree.send_all(tree.members(process), signal.SIGSTOP)
            self.fault = "paused"
        elif fault == "resume":
            tree.send_all(tree.members(process), signal.SIGCONT)
            self.fault = None
        else:
            self._slow = asyncio.create_task(self._slow_down(process))
            self.fault = "slow"

    async def _slow_down(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            members = tree.members(process)
            for _ in range(SLOW_PERIODS_PER_LOOK):
                tree.send_all(members, signal.SIGSTOP)
                await asyncio.sleep(SLOW_PAUSED_SECONDS)
                tree.send_all(members, signal.SIGCONT)
                await asyncio.sleep(SLOW_PERIOD_SECONDS - SLOW_PAUSED_SECONDS)

    def _end_slow(self) -> None:
        """Wakes at once, not when the cancelled task runs: what comes next may be a pause."""
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None
            if self._process is not None:
                tree.send_all(tree.members(self._process), signal.SIGCONT)

    def _drain(self) -> None:
        if self._process is None:
            return
        if self.state in (State.STARTING, State.READY):
            self._to(State.DRAINING)
        self._end_slow()
        for process in (self._process, *(life.process for life in self._retiring)):
            tree.send(process, self.spec.stop_signal)
            tree.send_all(tree.members(process), signal.SIGCONT)

    async def _force(self, task: asyncio.Task[None]) -> None:
        """The last two steps of C3."""
        for sent in (self.spec.kill_signal, signal.SIGKILL):
            if task.done():
                return
            self._kill(sent)
            await asyncio.wait({task}, timeout=KILL_SECONDS)
        await asyncio.wait({task})

    def _kill(self, sent: signal.Signals) -> None:
        if self._process is None:
            return
        _log.warning("action=kill process=%s signal=%s", self.spec.name, sent.name)
        if sent is signal.SIGKILL:
            tree.send_all(tree.members(self._process), sent)
        else:
            tree.send(self._process, sent)

    async def _keep_running(self) -> None:
        in_a_row = 0
        while not self._stopping.is_set():
            code, ready_seconds = await self._live()
            if self._stopping.is_set():
                break
            if self._restarting:
                self._restarting, in_a_row = False, 0
                continue
            in_a_row = deaths_in_a_row(in_a_row, ready_seconds)
            await self._after_death(Death(code, in_a_row, self._start_depends_on_it()))
            if self.state is State.FAILED:
                self._held.release()
                return
        await asyncio.gather(*self._retiring.values())
        self._to(State.STOPPED)

    async def _after_death(self, death: Death) -> None:
        step = decide(death, self._limits.policy)
        reason = HUNG if self._hung else DIED
        what = f"{self.spec.name} ended {ending(death.exit_code)}"
        self.last_end = f"{reason}: {self._hung or ending(death.exit_code)}"
        if isinstance(step, GiveUp):
            self._to(State.FAILED)
            _log.error("action=give_up process=%s reason=%s", self.spec.name, step.reason)
            if self._start_depends_on_it():
                raise self._cannot_start(f"{self.spec.name} could not be started: {step.reason}", death.exit_code)
            return
        self.restarts[reason] += 1
        self._to(State.BACKOFF)
        _log.warning("action=backoff reason=%s %s; it is started again in %.1f s", reason, what, step.after_seconds)
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), step.after_seconds)

    def _start_depends_on_it(self) -> bool:
        return self.spec.awaited and self._system_starts()

    async def _live(self) -> tuple[int, float]:
        """One life (C1): its exit code, and how long it was ready."""
        self._to(State.STARTING)
        try:
            if self.spec.before_start is not None:
                await self.spec.before_start()
            if self._stopping.is_set():
                return 0, 0.0
            life, self._hung = self._spawn(), ""
            self._life = life
        except StartError as error:
            if self._start_depends_on_it():
                raise
            _log.error("action=start process=%s failed: %s", self.spec.name, error)
            return EXIT_CANNOT_START, 0.0
        try:
            ready_at = await self._until_ready(life.end)
            code = await self._until_over()
        except StartError:
            self._kill(signal.SIGKILL)
            await life.end
            raise
        finally:
            self._end_slow()
            self._life, self.fault = None, None
        return code, time.monotonic() - ready_at if ready_at else 0.0

    async def _until_over(self) -> int:
        """The exit code of the last of the lives that hand over to each other."""
        while True:
            life, taken_over = self._living(), asyncio.create_task(self._taken_over.wait())
            await asyncio.wait({life.end, taken_over}, return_when=asyncio.FIRST_COMPLETED)
            taken_over.cancel()
            if self._handover is not None:
                await asyncio.wait({self._handover})  # who ended while its successor was coming has one now, or not
            if not self._taken_over.is_set():
                return life.end.result()
            self._taken_over.clear()

    def _living(self) -> Life:
        if self._life is None:
            msg = f"{self.spec.name} does not run"
            raise RuntimeError(msg)
        return self._life

    async def _hand_over(self) -> str:
        """C4; why it was not done, or ""."""
        before = self._living()
        try:
            after = self._spawn()
        except StartError as error:
            _log.error("action=handover process=%s failed: %s", self.spec.name, error)
            return str(error)
        stopping = asyncio.create_task(self._stopping.wait())
        waiting: set[asyncio.Task[Any]] = {after.serves, after.end, stopping}
        await asyncio.wait(waiting, timeout=self._limits.ready_seconds, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._stopping.is_set() or not after.serves.done() or not after.serves.result():
            tree.send_all(tree.members(after.process), signal.SIGKILL)
            code = await after.end
            _log.error("action=handover process=%s failed: the new one ended %s", self.spec.name, ending(code))
            said = "; ".join(self.log.last_lines()[-2:])
            return (
                f"the new process did not come to serve (it ended {ending(code)}), the old one goes on; its log: {said}"
            )
        self._end_slow()
        self._life, self.fault = after, None
        self._taken_over.set()
        self._retiring[before] = asyncio.create_task(self._retire(before))
        _log.info("action=handover process=%s from=%s to=%s", self.spec.name, before.process.pid, after.process.pid)
        self._on_change(self)
        return ""

    async def _retire(self, life: Life) -> None:
        """The life before serves its connections to their end, or to its own; then it must go."""
        tree.send(life.process, signal.SIGUSR1)
        tree.send_all(tree.members(life.process), signal.SIGCONT)
        patience = (self.spec.handover_seconds or 0.0) + self._limits.stop_seconds
        await asyncio.wait({life.end}, timeout=patience)
        tree.send_all(tree.members(life.process), signal.SIGKILL)
        await life.end
        del self._retiring[life]

    def _spawn(self) -> Life:
        announcement = Announcement(self._held)
        passed = Passed((), ()) if self.spec.handover_seconds is None else announcement.passed()
        with self.log.open_for_child() as output:
            try:
                process = start_child(
                    (*self.spec.argv, *passed.words),
                    output=output,
                    account=self.spec.account,
                    death_signal=self.spec.death_signal,
                    environment=os.environ | self._environment,
                    folder=self.spec.folder,
                    descriptors=passed.descriptors,
                )
            except OSError as error:
                announcement.close()
                what = f"{self.spec.name} could not be started: {error.strerror}: {error.filename or self.spec.argv[0]}"
                raise StartError(what, "is the program still installed?") from error
        _log.info("action=start process=%s pid=%s", self.spec.name, process.pid)
        return Life(process, asyncio.create_task(tree.ended(process)), asyncio.create_task(announcement.heard()))

    async def _until_ready(self, end: asyncio.Task[int]) -> float | None:
        """Ask until the probe says yes; None when the process ended before."""
        deadline = time.monotonic() + self._limits.ready_seconds
        pause = PROBE_SECONDS_FIRST
        while not end.done():
            if self.state is State.STARTING and await self.spec.probe() and not end.done():
                if self.state is State.STARTING:
                    self._to(State.READY)
                    self.ready.set()
                return time.monotonic()
            if self._start_depends_on_it() and time.monotonic() > deadline and not self._stopping.is_set():
                what = f"{self.spec.name} was not ready after {self._limits.ready_seconds:g} s"
                raise self._cannot_start(what, 0)
            await asyncio.wait({end}, timeout=pause)
            pause = min(pause * 1.2, PROBE_SECONDS_LONGEST)
        return None

    def _cannot_start(self, what: str, exit_code: int) -> StartError:
        lines = self.log.last_lines()
        fix = f"its whole log: {self.log.path}"
        taken = [port for port in self.spec.ports if any("in use" in line for line in lines)]
        if taken:
            fix = "; ".join(f"port {port} is in use by {users_of(port)}" for port in taken)
            fix += "; stop it, or use other ports with --port-base N"
        elif exit_code == EXIT_USAGE:
            fix = f"correct what the lines above name; {fix}"
        return StartError(what, fix, lines)

    def _end_as_stopped(self) -> None:
        if self.state is not State.STOPPED:
            self._to(State.STOPPED)

    def _to(self, state: State) -> None:
        if state not in TRANSITIONS[self.state]:
            msg = f"{self.spec.name}: {self.state.value} -> {state.value} is not a transition"
            raise RuntimeError(msg)
        self.state = state
        _log.info("action=state process=%s state=%s", self.spec.name, state.value)
        self._on_change(self)
