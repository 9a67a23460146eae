"""A system of its own for a benchmark: started as a newcomer would, in a fresh state folder, stopped at the end."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
READY_SECONDS_MAX = 120.0


@dataclass(frozen=True)
class RunningSystem:
    """``seconds_to_ready``: from the command to its line "ready". ``supervisor``: pid of main.py."""

    state: Path
    seconds_to_ready: float
    supervisor: int

    def status(self) -> dict[str, Any]:
        answer = subprocess.run(
            [sys.executable, "main.py", "status", "--json", "--state", str(self.state)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        parsed: dict[str, Any] = json.loads(answer.stdout)
        return parsed

    def processes(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        supervisor = psutil.Process(self.supervisor)
        return [supervisor, *supervisor.children(recursive=True)]


@contextmanager
def running_system(state: Path, port_base: int, settings: Sequence[str] = ()) -> Iterator[RunningSystem]:
    """Start, wait for "ready", and stop at the end; raises RuntimeError with the output if it does not get ready."""
    overrides = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "main.py", "up", "--state", str(state), "--port-base", str(port_base), *overrides]
    begun = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        _wait_for_ready(process, begun)
        yield RunningSystem(state, time.monotonic() - begun, process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _wait_for_ready(process: subprocess.Popen[str], begun: float) -> None:
    printed: list[str] = []
    for line in process.stdout or ():
        printed.append(line)
        if line.startswith("ready:"):
            return
        if time.monotonic() - begun > READY_SECONDS_MAX:
            break
    raise RuntimeError("the system did not get ready:\n" + "".join(printed))


def temporary_state() -> tempfile.TemporaryDirectory[str]:
    """A short path below /var/tmp, where an unprivileged PostgreSQL can reach its data too."""
    return tempfile.TemporaryDirectory(prefix="cds-bench-", dir="/var/tmp", ignore_cleanup_errors=True)
