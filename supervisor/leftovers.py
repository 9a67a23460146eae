"""Nothing is left of the system before.

W2  Every child carries the state folder in its environment (TAG). What still carries it when nobody holds the lock was
    left by a killed supervisor, and is ended before a start, grandchildren too.
"""

import signal
from pathlib import Path

import psutil

TAG = "SUPERVISED_STATE_FOLDER"
GRACE_SECONDS = 5.0  # for what drains right now because the kernel told it that its supervisor died


def end(state: Path) -> list[int]:
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
