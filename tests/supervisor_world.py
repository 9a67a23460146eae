"""A whole running system for tests: `main.py up` with few processes, asked as people ask it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from supervisor import control
from tests.conftest import ROOT, wait_until

START_SECONDS_MAX = 120  # measured 5 s on an idle machine
SLIM = ("customers.instances=2", "manufacturers.count=2", "customers.simulated=0", "broker.url=postgres")


def main(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(ROOT / "main.py"), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=START_SECONDS_MAX)


class Up:
    """A running `main.py up`, its output in a file."""

    def __init__(self, state: Path, port_base: int, settings: tuple[str, ...] = SLIM) -> None:
        self.state = state
        self.port_base = port_base
        self.log = state.with_name("up.log")
        argv = [sys.executable, str(ROOT / "main.py"), "up", "--state", str(state), "--port-base", str(port_base)]
        argv += [word for setting in settings for word in ("--set", setting)]
        with self.log.open("w") as output:
            self.process = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, cwd="/")

    def until_ready(self) -> "Up":
        begun = lambda: self.process.poll() is not None or "ready: " in self.output()  # noqa: E731
        wait_until(begun, START_SECONDS_MAX, "the system is ready")
        assert self.process.poll() is None, self.output()
        return self

    def output(self) -> str:
        return self.log.read_text()

    def status(self) -> dict[str, Any]:
        done = main("status", "--json", "--state", str(self.state))
        assert done.returncode == 0, done.stderr
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def process_row(self, name: str) -> dict[str, Any]:
        """Asked as `main.py status` does, without starting that: tests ask again and again."""
        answer = control.ask(self.state, {"command": "status"})
        return next(row for row in answer["processes"] if row["name"] == name)

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)
