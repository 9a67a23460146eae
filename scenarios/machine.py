"""On what a run was made: versions, machine, commit. For the report, so that figures can be compared honestly."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from scenarios.system import ROOT

PACKAGES = ("flask", "sqlalchemy", "psycopg", "pika", "locust", "gevent", "uvicorn", "httptools", "granian", "aiohttp")


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": machine(), "commit": commit()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """One line: processor, cores, memory, system."""
    gibibytes = psutil.virtual_memory().total / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {gibibytes:.0f} GiB, {platform.system()} {platform.release()}"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The project's commit, with + where files differ from it; "unknown" outside a repository."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() if found.returncode == 0 else "unknown"
