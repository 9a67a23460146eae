"""What the children say: one bounded file a process, logs/NAME.log, and the file before it, logs/NAME.log.1.

L1  A child writes to the file itself (append), so its words survive the supervisor, and a slow supervisor stops nobody.
L2  Both files of a process together stay near BYTES_MAX: a full one is copied aside and cut. Lines that a child writes
    between the copy and the cut are lost; that is the price of L1.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BYTES_MAX = 10_000_000  # chosen: hours of a busy web instance at INFO
TAIL_BYTES = 32_768


@dataclass
class LogFile:
    """The log of one process; ``begin`` is where its present life began."""

    path: Path
    begin: int = 0

    def open_for_child(self) -> BinaryIO:
        """A handle for the next life of the process; the caller closes it after the start."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        file = self.path.open("ab")
        self.begin = file.tell()
        return file

    def last_lines(self, count: int = 15) -> list[str]:
        """The last words of the present life."""
        try:
            with self.path.open("rb") as file:
                end = file.seek(0, 2)
                file.seek(max(min(self.begin, end), end - TAIL_BYTES))
                text = file.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return [line for line in text.splitlines() if line.strip()][-count:]

    def bound(self) -> None:
        """Keep the size bounded (L2); called now and then."""
        if not self.path.exists() or self.path.stat().st_size < BYTES_MAX // 2:
            return
        aside = self.path.with_name(self.path.name + ".1")
        shutil.copyfile(self.path, aside)
        aside.chmod(0o600)
        with self.path.open("r+b") as file:
            file.truncate(0)
        self.begin = 0
