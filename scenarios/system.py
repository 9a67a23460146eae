"""One fresh system for one run, driven from outside: `main.py up` as a child, its control socket, its ports.

D1  However the run ends, the system is stopped and its state folder removed; if the driver itself is killed, the kernel
    tells `up` to stop (Linux).
D2  The terminal's Ctrl-C reaches the driver alone, which then stops the system in order.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scenarios.port_stretch import NoPorts, PortStretch
from settings import Runtime, SettingsError
from settings.addresses import Addresses

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS_MAX = 180.0  # a first start makes the cluster; slow disks were seen to take over a minute
STOP_SECONDS_MAX = 60.0
ASK_SECONDS_MAX = 30.0
POLL_SECONDS = 0.1
PR_SET_PDEATHSIG = 1


class SystemFailed(Exception):
    """The system did not start, or died; ``exit_code`` is what the run should end with."""

    def __init__(self, message: str, exit_code: int = 70) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ControlRefused(Exception):
    """The running system said no; the text is its reason."""


@dataclass(frozen=True)
class Start:
    """How the system is started: configuration file, overrides (``a.b=value``), ports (None: any free stretch), state
    folder (None: a temporary one)."""

    config: Path
    overrides: tuple[str, ...]
    port_base: int | None = None
    state: Path | None = None


class System:
    """A running system; use it as a context manager (D1). A state folder that the user named is removed too: what it
    held is in the run folder as evidence and logs."""

    def __init__(self, start: Start, log: Path) -> None:
        self._start = start
        self._log = log
        self._home: Path | None = None
        if start.state is None:
            self._home = Path(tempfile.mkdtemp(prefix="cds-"))
            # The embedded PostgreSQL runs under an account of its own if we are root: it must be able to pass through.
            self._home.chmod(0o711)
            self.state = self._home / "state"
        else:
            self.state = start.state.resolve()
            if self.state.exists() and (not self.state.is_dir() or any(self.state.iterdir())):
                raise SystemFailed(f"--state {start.state}: a run needs a folder that is empty or absent", 64)
        try:
            self._ports = PortStretch(start.port_base)
        except NoPorts as error:
            raise SystemFailed(str(error)) from error
        self.addresses = Addresses(self._ports.base)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "System":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._keep_logs()
        self._remove()
        self._ports.release()

    # -- start and stop -----------------------------------------------------------------------------------------

    def start(self, tell: Callable[[str], None]) -> None:
        """Start and wait until every process is ready; raises SystemFailed with the last lines of the log."""
        argv = [sys.executable, str(ROOT / "main.py"), "up", "--config", str(self._start.config)]
        argv += ["--state", str(self.state), "--port-base", str(self.addresses.port_base)]
        argv += [word for override in self._start.overrides for word in ("--set", override)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # D2
                preexec_fn=partial(_stop_with_parent, os.getpid()),  # noqa: PLW1509 - one call of prctl
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        said = f"state folder {self.state}, port base {self.addresses.port_base}"
        tell(said)
        while not (ready := self._readiness())[0]:
            self.require_running()
            if time.monotonic() > deadline:
                raise SystemFailed(
                    f"the system is not ready after {START_SECONDS_MAX:.0f} s: {ready[1]}\n{self._last_words()}"
                )
            if ready[1] != said:
                said = ready[1]
                tell(said)
            time.sleep(POLL_SECONDS)

    def _readiness(self) -> tuple[bool, str]:
        """Whether every process is ready, and what is waited for. A process started on demand may be waiting."""
        try:
            processes = self.status()["processes"]
        except (OSError, ControlRefused, ValueError):
            return False, "starting"
        waiting = [p["name"] for p in processes if p["state"] != "ready" and p["name"] != "traffic"]
        return bool(processes) and not waiting, "waiting for " + ", ".join(waiting)

    def require_running(self) -> None:
        """Raise SystemFailed if `up` has ended."""
        if self._process is None or (code := self._process.poll()) is None:
            return
        raise SystemFailed(
            f"the system ended with exit code {code}\n{self._last_words()}", code if code in {64, 70} else 70
        )

    def stop(self) -> bool:
        """Stop everything in order, harder if it does not end; True if it ended by itself with exit code 0."""
        process = self._process
        if process is None:
            return True
        for sent, seconds in ((signal.SIGTERM, STOP_SECONDS_MAX), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
            if process.poll() is None:
                process.send_signal(sent)
            try:
                process.wait(timeout=seconds)
                break
            except subprocess.TimeoutExpired:
                continue
        self._process = None
        return process.returncode == 0

    def _last_words(self) -> str:
        """The end of its log; paths in it are told as they will be when the state folder is gone."""
        text = self._log.read_text(encoding="utf-8", errors="replace")
        text = text.replace(str(self.state / "logs"), str(self._log.parent / "logs"))
        return "\n".join(text.splitlines()[-20:])

    def _keep_logs(self) -> None:
        logs = self.state / "logs"
        if logs.is_dir():
            shutil.copytree(logs, self._log.parent / "logs", dirs_exist_ok=True)

    def _remove(self) -> None:
        """The state folder, and the database's folder where the supervisor had to put it elsewhere."""
        elsewhere = self.state / "postgres.json"
        if elsewhere.exists():
            shutil.rmtree(json.loads(elsewhere.read_text(encoding="utf-8"))["base"], ignore_errors=True)
        shutil.rmtree(self._home or self.state, ignore_errors=True)

    # -- while it runs ------------------------------------------------------------------------------------------

    @property
    def runtime(self) -> Runtime:
        """What the supervisor wrote for all processes; raises SystemFailed if it is not there."""
        try:
            return Runtime.read(self.state)
        except SettingsError as error:
            raise SystemFailed(str(error)) from error

    @property
    def shop_url(self) -> str:
        return self.runtime.shop_url

    @property
    def ledgers(self) -> Path:
        return self.state / "manufacturers"

    def status(self) -> dict[str, Any]:
        return self._ask({"command": "status"})

    def fault(self, fault: str, name: str) -> None:
        """kill, pause, resume … one process; raises ControlRefused if that is not possible now."""
        self._ask({"command": "fault", "fault": fault, "names": [name]})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One line to the control socket, one line back. The state folder's path is short by construction."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ASK_SECONDS_MAX)
            connection.connect(str(self.state / "control.sock"))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer: dict[str, Any] = json.loads(answers.readline())
        if not answer.get("ok", True):
            raise ControlRefused(str(answer.get("error")))
        return answer


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _stop_with_parent(driver_pid: int) -> None:
    """In the child, before it becomes `up`: the driver's death sends it SIGTERM (D1), one that happened already too."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != driver_pid:
        os._exit(1)
