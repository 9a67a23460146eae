"""One system per state folder, and nothing left of the one before.

W1  supervisor.lock is held (flock) while a system runs; the kernel lets it go whatever ends the holder.
W2  Every child carries the state folder in its environment (TAG). What still carries it when nobody holds the lock was
    left by a killed supervisor, and is ended before a start, grandchildren too.
"""

import fcntl
import os
import signal
from pathlib import Path
from typing import IO

import psutil

from supervisor.errors import StartError

LOCK = "supervisor.lock"
TAG = "SUPERVISED_STATE_FOLDER"
OUR_FILES = (LOCK, "secrets.json", "runtime.json")
GRACE_SECONDS = 5.0  # for what drains right now because the kernel told it that its supervisor died


def prepare_folder(state: Path) -> Path:
    """The state folder, absolute, made for its owner only; a folder with somebody's other files is refused."""
    state = state.absolute()
    try:
        if state.is_dir() and any(state.iterdir()) and not any((state / file).exists() for file in OUR_FILES):
            raise StartError(f"{state} holds other files and is no state folder", "name a new folder with --state")
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        state.chmod(0o700)
        (state / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        what = f"the state folder {state} cannot be used: {error.strerror}"
        raise StartError(what, "name another one with --state") from error
    return state


def take_lock(state: Path) -> IO[str]:
    """W1; the caller keeps the handle until everything has ended."""
    file = (state / LOCK).open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        what = f"a system already runs with the state folder {state} (pid {holder})"
        raise StartError(what, "stop it with: main.py stop --state " + str(state)) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def end_leftovers(state: Path) -> list[int]:
    """End what an earlier system left (W2); returns the pids."""
    left = [process for process in psutil.process_iter() if _carries_tag(process, state)]
    for sent, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        for process in left:
            _send(process, sent)
        _, alive = psutil.wait_procs(left, timeout=seconds)
        if not alive:
            break
    return [process.pid for process in left]


def _carries_tag(process: psutil.Process, state: Path) -> bool:
    try:
        return process.environ().get(TAG) == str(state)
    except (psutil.Error, OSError):
        return False  # ended meanwhile, or another account's: not ours


def _send(process: psutil.Process, sent: signal.Signals) -> None:
    try:
        process.send_signal(sent)
        process.send_signal(signal.SIGCONT)
    except psutil.NoSuchProcess:
        return


def is_locked(state: Path) -> bool:
    """Whether a system runs with this state folder."""
    try:
        with (state / LOCK).open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
