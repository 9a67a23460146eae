"""Entries on their way into the access log's file.

W1  ``add`` neither waits nor touches the disk: beyond ENTRIES_MAX waiting entries further ones are dropped, and counted.
W2  Lines are written whole, many at once, and appended: several processes may write the same file.
W3  A file that was moved or removed is noticed before the next write, and a new one begun: no signal is needed.
W4  A file of ``bytes_max`` is moved aside to NAME.1 (over the one before), by one of the processes that write it.
W5  ``close`` writes what waits, within a bounded time.
W6  The thread gives the interpreter up after every few lines: nobody's request waits for a line.
"""

import fcntl
import logging
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Final

from load_balancer.access_log.lines import Entry, Formatter

ENTRIES_MAX: Final = 20_000  # a second of all that one process can answer
INTERVAL_SECONDS: Final = 0.2  # between two looks at what waits; nobody is woken for a single line
CLOSE_SECONDS_MAX: Final = 2.0
BATCH_LINES: Final = 2_000  # in one write
LINES_AT_ONCE: Final = 64  # W6: some 0.1 ms; with fewer, handing the interpreter over costs more than the lines

log = logging.getLogger(__name__)


class AccessLog:
    """``written`` lines and ``dropped`` entries are counted since the start."""

    def __init__(self, path: Path, format_entry: Formatter, bytes_max: int) -> None:
        """Opens the file; raises OSError."""
        self.written = 0
        self.dropped = 0
        self._path = path
        self._format = format_entry
        self._bytes_max = bytes_max
        self._waiting: deque[Entry] = deque()
        self._failing = False
        self._file = _open(path)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def add(self, entry: Entry) -> None:
        """W1."""
        if len(self._waiting) < ENTRIES_MAX:
            self._waiting.append(entry)
        else:
            self.dropped += 1

    def close(self) -> None:
        """W5."""
        self._end.set()
        self._thread.join(CLOSE_SECONDS_MAX)
        if self._thread.is_alive():
            log.warning("the access log %s could not be written to its end", self._path)

    def _run(self) -> None:
        while True:
            ending = self._end.wait(INTERVAL_SECONDS)
            while self._waiting:
                self._write_some()
            if ending:
                os.close(self._file)
                return

    def _write_some(self) -> None:
        lines: list[str] = []
        while self._waiting and len(lines) < BATCH_LINES:
            lines.append(self._format(self._waiting.popleft()))
            if len(lines) % LINES_AT_ONCE == 0:
                time.sleep(0)  # W6
        data = "".join(f"{line}\n" for line in lines).encode("ascii")
        try:
            self._follow_file()
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self.dropped += len(lines)
            if not self._failing:
                log.error("the access log %s cannot be written, lines are dropped: %s", self._path, error.strerror)
            self._failing = True
            return
        if self._failing:
            log.info("the access log %s is written again; %d lines were dropped so far", self._path, self.dropped)
            self._failing = False
        self.written += len(lines)

    def _follow_file(self) -> None:
        """W3, W4."""
        if not self._is_current():
            self._reopen()
        if os.fstat(self._file).st_size < self._bytes_max:
            return
        fcntl.flock(self._file, fcntl.LOCK_EX)  # of the file, not of its name: who comes second finds it moved
        try:
            if self._is_current():
                self._path.replace(self._path.with_name(self._path.name + ".1"))
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self._reopen()

    def _is_current(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        mine = os.fstat(self._file)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def _reopen(self) -> None:
        fresh = _open(self._path)
        os.close(self._file)
        self._file = fresh


def _open(path: Path) -> int:
    """Owner-only: it tells who asked for what."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
