"""Starting one child program so that it cannot outlive us.

Awkward facts that decide what stands here:
S1  Linux sends PR_SET_PDEATHSIG when the *thread* that forked ends, so children are started from the main thread only,
    or from one that waits for their end.
S2  The kernel forgets the death signal when the user changes, so it is set after subprocess changed the user; CPython
    runs preexec_fn after setuid.
S3  The parent may die between fork and prctl; the child looks at its parent after prctl and ends if it was orphaned.
S4  Each child leads a session of its own: Ctrl-C in the terminal reaches only the supervisor, which stops in order.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Loaded here, for nothing may be loaded between fork and exec.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """An operating-system account that a child runs under."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """For programs that refuse to be root: ``postgres`` if it exists, else ``nobody``; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    # Containers made from nothing have no passwd entries; the kernel's overflow ids need none.
    return Account("nobody", 65_534, 65_534)


def before_exec(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What a child does to itself before its program begins, so that it gets ``death_signal`` when we die (S2, S3)."""
    if _LIBC is None:
        return None
    prctl, parent = _LIBC.prctl, os.getpid()

    def bind_to_parent() -> None:
        prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return bind_to_parent


def start_child(
    argv: Sequence[str],
    *,
    output: IO[bytes] | int,
    account: Account | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; its standard output and error go to ``output``.

    ``descriptors``: those that it inherits, under the same numbers.
    """
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=None if environment is None else dict(environment),
        cwd=folder,
        pass_fds=descriptors,
        start_new_session=True,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
        preexec_fn=before_exec(death_signal),  # noqa: PLW1509 - loads and allocates nothing after the fork (S2)
    )
