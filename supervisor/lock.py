"""One system per state folder.

W1  supervisor.lock is held (flock) while a system runs; the kernel lets it go whatever ends the holder.
"""

import fcntl
import os
from pathlib import Path
from typing import IO

from supervisor.errors import StartError

LOCK = "supervisor.lock"
OUR_FILES = (LOCK, "secrets.json", "runtime.json")


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


def take(state: Path) -> IO[str]:
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


def is_held(state: Path) -> bool:
    """Whether a system runs with this state folder."""
    try:
        with (state / LOCK).open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
