"""What a child's lives have in common, and what one of them is."""

import asyncio
import subprocess
from dataclasses import dataclass, field

from supervisor.restart import Policy

DIED, HUNG = "died", "hung"
"""Why a life ended that nobody wanted to end."""


@dataclass(frozen=True)
class Limits:
    """The supervisor's settings. ``watchdog_seconds``: of silence, until a process is hung; 0: nobody is watched."""

    ready_seconds: float = 60.0
    stop_seconds: float = 10.0
    policy: Policy = field(default_factory=Policy)
    watchdog_seconds: float = 0.0


@dataclass(frozen=True)
class Life:
    """One process; ``end`` gives its exit code, ``serves`` whether it told so before it ended, where that is expected."""

    process: subprocess.Popen[bytes]
    end: asyncio.Task[int]
    serves: asyncio.Task[bool]
