"""The grader's side of a child: starts it, reads its events, and ends it when it no longer moves, eats memory or floods.

V1  A step in which nothing ends for longer than its limit is a hang: told with the author's line, the processor time it
    used, and what its database sessions were doing. Then the child is killed, with whatever it started.
V2  A child that ends without its last event was ended by its strategy.
V3  Nothing of a child is waited for without a deadline.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from grading import pupil
from grading.checks import Check
from grading.conduct import finding
from grading.pupil import Task
from grading.sessions import Sessions
from supervisor.spawn import before_exec

ROOT = Path(__file__).resolve().parents[1]
POLL_SECONDS = 0.02
LOOK_SECONDS = 0.2
STEP_SECONDS_MAX = 12.0  # ours take below 1 s, a busy machine some times that; chosen
MEMORY_BYTES_MAX = 600_000_000  # a child of ours has 120 MB
PRINTED_BYTES_MAX = 100_000
IDLE_SECONDS_MAX = 3.0
SPINNING_SHARE = 0.5  # of the looks during a step that did not end
DUMP_SECONDS = 2.0
FORK_SECONDS_MAX = 60.0  # the nursery imports everything before its first child


class NurseryFailed(Exception):
    """No child can be started; the text says why."""


@dataclass
class Found:
    """What one child told, and what was seen of it. ``complete``: it came to its end."""

    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=dict)
    complete: bool = False
    loaded: bool = False
    """It came beyond the loading of the strategy's file."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    idle_seconds_max: float = 0.0
    lock_wait_seconds_max: float = 0.0


class Nursery:
    """One per grading; use as a context manager. Children are started and watched from one thread."""

    def __init__(self, step_seconds_max: float = STEP_SECONDS_MAX) -> None:
        self.step_seconds_max = step_seconds_max
        self._home = tempfile.TemporaryDirectory(prefix="cds-grade-")
        self.folder = Path(self._home.name)
        with (self.folder / "nursery.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "grading.nursery"],
                cwd=Path.cwd(),
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                preexec_fn=before_exec(signal.SIGKILL),  # noqa: PLW1509 - one call of prctl
            )
        self._answers: list[dict[str, Any]] = []
        self._arrived = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self._count = 0

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._home.cleanup()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            with self._arrived:
                self._answers.append(json.loads(line))
                self._arrived.notify_all()
        with self._arrived:
            self._answers.append({"ended": True})
            self._arrived.notify_all()

    def _answer(self, wanted: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any] | None:
        with self._arrived:
            self._arrived.wait_for(lambda: any(wanted(a) or "ended" in a for a in self._answers), seconds)
            found = next((answer for answer in self._answers if wanted(answer)), None)
            if found is not None:
                self._answers.remove(found)
            return found

    def start(self, task: Task) -> int:
        """The pid of the child; raises NurseryFailed."""
        try:
            if self._process.stdin is None:
                raise BrokenPipeError
            self._process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._answer(lambda a: "pid" in a, FORK_SECONDS_MAX)
        except BrokenPipeError:
            answer = None
        if answer is None:
            said = (self.folder / "nursery.log").read_text(errors="replace").strip().splitlines()
            raise NurseryFailed("no process could be started to try the strategy in: " + " ".join(said[-3:]))
        return int(answer["pid"])

    def gone(self, pid: int, seconds: float) -> dict[str, Any] | None:
        """How the child ended, once it has."""
        return self._answer(lambda a: a.get("gone") == pid, seconds)

    def new_folder(self) -> Path:
        self._count += 1
        folder = self.folder / f"task-{self._count}"
        folder.mkdir()
        return folder

    def run(self, tasks: Sequence[Task], sessions: Sessions) -> list[Found]:
        """Run these at the same time, to their ends; what was found of each."""
        children = [_Child(self, task, sessions) for task in tasks]
        while any(child.alive for child in children):
            time.sleep(POLL_SECONDS)
            for child in children:
                child.look()
            if all(child.waiting or not child.alive for child in children):
                (Path(tasks[0].folder).parent / pupil.GO_FILE).touch()
            sessions.look()
        for child in children:
            child.found.idle_seconds_max = sessions.idle_seconds_max
            child.found.lock_wait_seconds_max = sessions.lock_wait_seconds_max
        sessions.forget()
        sessions.end_all()  # a killed child's may hold locks for a while longer
        (Path(tasks[0].folder).parent / pupil.GO_FILE).unlink(missing_ok=True)
        return [child.found for child in children]


class _Child:
    def __init__(self, nursery: Nursery, task: Task, sessions: Sessions) -> None:
        self._nursery = nursery
        self._task = task
        self._sessions = sessions
        self._folder = Path(task.folder)
        self._read_bytes = 0
        self._step = "starting"
        self._home = Path(task.strategy)  # a name or a dotted path until it is loaded
        self._step_began = self._began = self._looked = time.monotonic()
        self._cpu_at_step = 0.0
        self._running_looks = self._looks = 0
        self.alive = True
        self.waiting = False
        self.found = Found()
        self.pid = nursery.start(task)
        self._process = psutil.Process(self.pid) if psutil.pid_exists(self.pid) else None

    # -- what it says -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read its events; end it where it must be ended."""
        if not self.alive:
            return
        self._read_events()
        gone = self._nursery.gone(self.pid, 0)
        if gone is not None:
            self._read_events()
            self._ended(gone)
            return
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look_from_outside()
        limit = self._nursery.step_seconds_max + float(self._task.parameters.get("seconds", 0))
        if self.alive and now - self._step_began > limit:
            self._hangs(now - self._step_began)

    def _read_events(self) -> None:
        path = self._folder / pupil.EVENTS_FILE
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read_bytes)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read_bytes += len(line)
                self._event(json.loads(line))

    def _event(self, event: dict[str, Any]) -> None:
        self._step_began, self._cpu_at_step = time.monotonic(), self._cpu_seconds()
        self._running_looks = self._looks = 0
        self._step = event.get("begun", self._step)
        self._home = Path(event.get("home", self._home))
        self.found.loaded = self.found.loaded or self._step not in ("starting", "loading")
        if "check" in event:
            self.found.checks.append(Check(**event["check"]))
        self.found.figures.update(event.get("figures", {}))
        self.found.causes.update(event.get("causes", {}))
        self.waiting = self.waiting or "waiting" in event
        self.found.complete = self.found.complete or "ended" in event

    # -- what is seen of it -----------------------------------------------------------------------------------------

    def _cpu_seconds(self) -> float:
        try:
            used = self._process.cpu_times() if self._process else None
        except psutil.NoSuchProcess:
            return 0.0
        return used.user + used.system if used else 0.0

    def _is_running(self) -> bool:
        """Whether one of its threads has work for a processor: true of a loop even where it hardly gets one."""
        states = []
        for path in Path(f"/proc/{self.pid}/task").glob("*/stat"):
            with contextlib.suppress(OSError):  # the thread has just ended
                states.append(path.read_text().rpartition(")")[2].split()[0])
        return "R" in states

    def _look_from_outside(self) -> None:
        self._looks += 1
        self._running_looks += self._is_running()
        try:
            memory = self._process.memory_info().rss if self._process else 0
        except psutil.NoSuchProcess:
            return
        if memory > MEMORY_BYTES_MAX:
            where = self._line()
            self._end(finding("memory", f"{memory / 1e6:.0f} MB were in use in step {self._step}", where))
            return
        printed = self._printed()
        if printed > 100 * PRINTED_BYTES_MAX:
            self._end(finding("prints", f"{printed / 1e6:.0f} MB were printed by step {self._step}", self._line()))

    def _printed(self) -> int:
        path = self._folder / pupil.OUTPUT_FILE
        return path.stat().st_size if path.exists() else 0

    def _hangs(self, seconds: float) -> None:
        used = self._cpu_seconds() - self._cpu_at_step
        where = self._line()
        if self._running_looks > SPINNING_SHARE * self._looks:
            seen = f"in step {self._step} nothing ended for {seconds:.1f} s: it spins ({used:.1f} s of processor time)"
            self._end(finding("computes", seen, where))
            return
        seen = f"in step {self._step} nothing ended for {seconds:.1f} s ({used:.1f} s of processor time); "
        self._end(finding("hangs", seen + self._sessions.describe(), where))

    def _line(self) -> str:
        """Where the strategy is: every thread's stack, written by the child's own fault handler, whatever it is doing."""
        path = self._folder / pupil.STACKS_FILE
        try:
            os.kill(self.pid, signal.SIGUSR1)
        except ProcessLookupError:
            return ""
        deadline = time.monotonic() + DUMP_SECONDS
        while time.monotonic() < deadline:
            for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
                if f'File "{self._home}"' in line:
                    return f"{self._home.name}:{line.partition(', line ')[2].partition(' ')[0]}"
            time.sleep(POLL_SECONDS)
        return ""

    # -- its end ----------------------------------------------------------------------------------------------------

    def _end(self, check: Check) -> None:
        """Kill it, and say why (V1)."""
        self.found.checks.append(check)
        with contextlib.suppress(ProcessLookupError):  # it may just have gone
            os.killpg(self.pid, signal.SIGKILL)
        self._close(self._nursery.gone(self.pid, 10.0))

    def _ended(self, gone: dict[str, Any]) -> None:
        if not self.found.complete and not any(check.name in ("exits", "loads") for check in self.found.checks):
            code = os.waitstatus_to_exitcode(gone["status"])
            how = f"by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"with exit code {code}"
            self.found.checks.append(
                finding("exits", f"the process ended {how} in step {self._step}{self._last_words()}")
            )
        elif self._printed() > PRINTED_BYTES_MAX and not any(check.name == "prints" for check in self.found.checks):
            first = (self._folder / pupil.OUTPUT_FILE).open(errors="replace").readline().strip()
            self.found.checks.append(finding("prints", f"{self._printed():,} bytes were printed, such as: {first:.80}"))
        self._close(gone)

    def _last_words(self) -> str:
        path = self._folder / pupil.OUTPUT_FILE
        lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        return f"; its last words: {lines[-1]:.160}" if lines else ""

    def _close(self, gone: dict[str, Any] | None) -> None:
        self.alive = False
        self.found.seconds = time.monotonic() - self._began
        self.found.cpu_seconds = float(gone["cpu_seconds"]) if gone else 0.0
