"""``python -m grading.nursery``: imports everything once, then forks a child for each task that it reads.

Starting Python anew for each would cost more time than what is tried in it. One thread only, so forking is safe.

N1  Standard input: one `pupil.Task` as JSON a line. Standard output: {"pid": …} when its child has begun, and
    {"gone": pid, "status": waitpid's, "cpu_seconds": …} when it has ended, one JSON object a line.
N2  When standard input ends, or we are killed, the children are killed.
N3  A child leads a process group of its own, with whatever it starts; its output goes to a file in the task's folder.
"""

import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path

from grading import pupil

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_exit = os._exit  # a child replaces it (conduct.py)


def main() -> None:
    wake_reading, wake_writing = os.pipe()
    os.set_blocking(wake_writing, False)
    signal.set_wakeup_fd(wake_writing)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: set[int] = set()
    pending = b""
    while True:
        ready, _, _ = select.select([0, wake_reading], [], [])
        if wake_reading in ready:
            os.read(wake_reading, 4096)
            _bury(children)
        if 0 in ready:
            data = os.read(0, 65_536)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                pid = _begin(pupil.Task(**json.loads(line)))
                children.add(pid)
                _tell({"pid": pid})
    for pid in children:
        os.killpg(pid, signal.SIGKILL)


def _begin(task: pupil.Task) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        if _LIBC is not None:
            _LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() == parent:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _redirect(Path(task.folder) / pupil.OUTPUT_FILE)
            pupil.limit_resources()
            pupil.run(task)
            status = 0
    finally:
        _exit(status)  # neither threads that hang nor exit handlers of the strategy hold us up
    return 0


def _redirect(path: Path) -> None:
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)


def _bury(children: set[int]) -> None:
    for pid in list(children):
        gone, status, used = os.wait4(pid, os.WNOHANG)
        if gone:
            children.discard(pid)
            _tell({"gone": pid, "status": status, "cpu_seconds": used.ru_utime + used.ru_stime})


def _tell(what: dict[str, object]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
