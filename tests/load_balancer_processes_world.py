"""Servers as processes of their own that can be killed, and clients that ask on while things happen to a balancer."""

import http.client
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import ROOT, free_port, wait_until

STAND_IN = ROOT / "tests" / "processes" / "load_balancer_stand_in.py"


class Servers:
    """Stand-ins that can be killed and started again; each records the POSTs that it booked."""

    def __init__(self, folder: Path, count: int = 0, ports: Mapping[str, int] | None = None) -> None:
        """``count`` of them, s1, s2, …; or those of ``ports``, by name."""
        self._folder = folder
        self.ports = dict(ports or {f"s{number}": free_port() for number in range(1, count + 1)})
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in self.ports:
            self.start(name)

    def start(self, name: str) -> None:
        command = [sys.executable, str(STAND_IN), name, str(self.ports[name]), str(self._folder / name)]
        self.processes[name] = subprocess.Popen(command)

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def booked(self) -> Counter[str]:
        return Counter(line for name in self.ports for line in (self._folder / name).read_text().split())

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


class Load:
    """Clients that ask again and again until stopped: what they asked, and what they were told."""

    def __init__(
        self, port: int, clients: int, method: str = "GET", *, fresh: bool = False, pause_seconds: float = 0.0
    ) -> None:
        """``fresh``: each request comes on a connection of its own; ``pause_seconds``: after each answer."""
        self._port = port
        self._method = method
        self._fresh = fresh
        self._pause_seconds = pause_seconds
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.told: dict[str, int | str] = {}
        self._threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._stop.is_set():
            nonce = uuid.uuid4().hex
            outcome: int | str
            try:
                connection.request(self._method, f"/{nonce}", body=nonce if self._method == "POST" else None)
                answer = connection.getresponse()
                answer.read()
                outcome = answer.status
                if answer.status == 503 and answer.getheader("X-Not-Dispatched") != "1":
                    outcome = "503 without a mark"
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
                connection.close()
            if self._fresh:
                connection.close()
            with self._lock:
                self.told[nonce] = outcome
            if self._pause_seconds:
                self._stop.wait(self._pause_seconds)
        connection.close()

    def count(self) -> int:
        return len(self.told)

    def go_on(self, requests: int) -> None:
        """Wait until that many more were answered."""
        wanted = self.count() + requests
        wait_until(lambda: self.count() >= wanted, 30.0, f"{requests} more answers")

    def finish(self) -> Counter[int | str]:
        self._stop.set()
        for thread in self._threads:
            thread.join(60.0)
        return Counter(self.told.values())
