"""Signals to a process together with its descendants, and the wait for its end. Only recorded children, by handle."""

import asyncio
import contextlib
import os
import signal
import subprocess

import psutil

POLL_SECONDS = 0.05  # where the kernel has no pidfd (macOS, Linux before 5.3)


def members(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The child and its descendants, which may lead sessions of their own (PostgreSQL's back ends do)."""
    if process.poll() is not None:
        return []
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def send_all(processes: list[psutil.Process], sent: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # psutil compares the creation time: a reused pid is spared
            process.send_signal(sent)


def send(process: subprocess.Popen[bytes], sent: signal.Signals) -> None:
    """Send to the child alone; a child that has ended is left alone, its pid may be somebody else's by now."""
    if process.poll() is None:
        process.send_signal(sent)


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end, end what is left of its process group, reap it; returns the exit code (-N: by signal N)."""
    await _becomes_zombie(process)
    # Before it is reaped the kernel cannot give its number to somebody else, so the group is surely ours.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


async def _becomes_zombie(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is not None:
        return
    try:
        handle = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            await asyncio.sleep(POLL_SECONDS)
        return
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(handle, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
