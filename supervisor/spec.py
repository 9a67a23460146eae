"""What is to be run: specifications of processes, their states, and the order that dependencies ask for. No I/O.

O1  A process is started only after everything it depends on was ready once.
O2  A process is stopped only after everything that depends on it has ended.
States: see TRANSITIONS; a transition that is missing there is a mistake of ours and raises.
"""

import enum
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.spawn import Account

Probe = Callable[[], Awaitable[bool]]
"""Answers once whether the process can do its work now; never raises, never takes longer than a few seconds."""
Unready = Callable[[], Coroutine[Any, Any, str | None]]
"""Answers why the process cannot do its work now, None if it can; whoever asks bounds how long that takes."""
Alive = Callable[[float], Coroutine[Any, Any, bool]]
"""Answers once, after so many seconds at most, whether the process lives at all; never raises."""


class State(enum.Enum):
    """Where a process stands in its life."""

    WAITING = "waiting"  # for its dependencies, or nobody has asked for it yet
    STARTING = "starting"  # runs, its probe has not yet said yes
    READY = "ready"  # its probe said yes once in this life
    DRAINING = "draining"  # was told to stop, finishes its work
    BACKOFF = "backoff"  # died, is started again after a pause
    STOPPED = "stopped"  # ended because it was told to
    FAILED = "failed"  # ended, and is not started again; the log says why


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.WAITING: frozenset({State.STARTING, State.STOPPED, State.FAILED}),
    State.STARTING: frozenset({State.READY, State.DRAINING, State.BACKOFF, State.FAILED, State.STOPPED}),
    State.READY: frozenset({State.DRAINING, State.BACKOFF, State.FAILED}),
    State.DRAINING: frozenset({State.STOPPED, State.STARTING}),
    State.BACKOFF: frozenset({State.STARTING, State.STOPPED, State.FAILED}),
    State.STOPPED: frozenset({State.STARTING}),
    State.FAILED: frozenset({State.STARTING, State.STOPPED}),
}


@dataclass(frozen=True)
class Spec:
    """One process. ``death_signal`` is what the kernel sends it when the supervisor is killed.

    ``awaited`` False: the system counts as ready without it, and its failures do not end the start.
    ``on_demand``: not started with the system but when something asks for it.
    ``before_start`` runs before each start: it removes what an earlier life left behind.
    ``handover_seconds``: it passes its listening sockets on (handover.py), and on a restart the life before serves its
    connections on for so long after SIGUSR1; None: a restart ends one life before the next one begins.
    ``unready``: for who wants to know why not; None: its ``probe`` says whether.
    """

    name: str
    kind: str
    argv: tuple[str, ...]
    probe: Probe
    url: str = ""
    ports: tuple[int, ...] = ()
    depends_on: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    kill_signal: signal.Signals = signal.SIGKILL
    death_signal: signal.Signals = signal.SIGKILL
    account: Account | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    awaited: bool = True
    on_demand: bool = False
    before_start: Callable[[], Awaitable[None]] | None = None
    handover_seconds: float | None = None
    alive: Alive | None = None
    unready: Unready | None = None
    abort_signal: signal.Signals = signal.SIGABRT


def layers(specs: Iterable[Spec]) -> list[list[Spec]]:
    """Groups in start order: each depends only on earlier groups, members of one group are independent (O1, O2)."""
    waiting = {spec.name: spec for spec in specs}
    for spec in waiting.values():
        missing = [name for name in spec.depends_on if name not in waiting]
        if missing:
            msg = f"{spec.name} depends on {', '.join(missing)}, which nobody runs"
            raise ValueError(msg)
    done: set[str] = set()
    found: list[list[Spec]] = []
    while waiting:
        layer = [spec for spec in waiting.values() if done.issuperset(spec.depends_on)]
        if not layer:
            msg = f"processes depend on each other in a circle: {', '.join(sorted(waiting))}"
            raise ValueError(msg)
        found.append(layer)
        for spec in layer:
            done.add(spec.name)
            del waiting[spec.name]
    return found
