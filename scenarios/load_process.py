"""The load as the driver sees it: a child process that reads news of the months and reports its progress."""

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scenarios.run_files import PLAN_FILE
from scenarios.system import ROOT

LOG_FILE = "load.log"
STOP_SECONDS_MAX = 30.0


class LoadProcess:
    """`python -m scenarios.load`; its standard error goes to load.log in the run folder."""

    def __init__(self, run_dir: Path, plan: Mapping[str, Any]) -> None:
        (run_dir / PLAN_FILE).write_text(json.dumps(plan), encoding="utf-8")
        argv = [sys.executable, "-m", "scenarios.load", "--plan", str(run_dir / PLAN_FILE)]
        with (run_dir / LOG_FILE).open("wb") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # the terminal's Ctrl-C reaches the driver alone
            )
        self._said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="load-output", daemon=True)
        self._reader.start()
        self._told: dict[str, Any] = {}

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    def tell_month(self, number: int, *, is_open: bool, over: bool) -> None:
        """News of the months; the same news is told once."""
        news = {"month": number, "open": is_open, "over": over}
        if news == self._told or self._process.stdin is None:
            return
        self._told = news
        try:
            self._process.stdin.write(json.dumps(news) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # it has ended; `running` says so

    def latest(self) -> dict[str, Any] | None:
        """The newest progress since the last call."""
        newest = None
        while not self._said.empty():
            newest = self._said.get()
        return newest

    def stop(self) -> None:
        """End it, in order if it follows."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # news that it no longer read

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            message = json.loads(line)
            if message["event"] == "progress":
                self._said.put(message)
