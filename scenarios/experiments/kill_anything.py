"""Random `kill -9` of web instances, distributor and manufacturers while customers shop through several months.

Expected: the supervisor restarts what was killed, nothing is lost, nothing happens twice, both ledgers agree (P1 to P5).
Moments and victims come from the seed; the same seed gives the same schedule (the system's own timing stays its own).
"""

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios.experiments.contract import Experiment, Wish
from scenarios.run import Recipe, command_line, prepare_folder
from scenarios.simulate import require, settled
from scenarios.system import ControlRefused, System

USERS = 16
SECONDS = 20.0
KILLS = 10
MONTHS = 3  # while the customers shop
MONTHS_MAX = 9  # some go by while the system starts and the customers sign up; what is left is ended early
MONTH_SECONDS_MIN = 0.5
KILLED_WITHIN = 0.85
"""Share of the run in which kills happen; the rest shows that the system heals under load."""
PAUSE_SECONDS = 0.05
KINDS = ("web", "distributor", "manufacturer")


@dataclass(frozen=True)
class Kill:
    second: float
    kind: str
    pick: float
    """Which of the processes of that kind, as a share of their number."""


def schedule(seed: int, seconds: float, kills: int) -> list[Kill]:
    """Moments, kinds and victims, all from the seed."""
    rng = random.Random(f"kill/{seed}")
    moments = sorted(rng.uniform(0.2, seconds * KILLED_WITHIN) for _ in range(kills))
    return [Kill(round(moment, 3), rng.choice(KINDS), rng.random()) for moment in moments]


class Killer:
    """Does the schedule; a victim that is just being restarted is tried again until it can be killed."""

    def __init__(self, kills: list[Kill]) -> None:
        self._waiting = list(kills)
        self._done: list[dict[str, Any]] = []
        self._began: float | None = None

    def tick(self, system: System) -> None:
        now = time.monotonic()
        if self._began is None:
            self._began = now
        while self._waiting and now - self._began >= self._waiting[0].second:
            if not self._kill(system, self._waiting[0], now - self._began):
                return
            self._waiting.pop(0)

    def report(self) -> list[dict[str, Any]]:
        """Kills that the run's end came before are in it too: a run with fewer kills than asked for must be seen."""
        missed = [_row(kill.second, kill.kind, "not done: the run had ended") for kill in self._waiting]
        return [*self._done, *missed]

    def _kill(self, system: System, kill: Kill, second: float) -> bool:
        try:
            ready = [
                process["name"]
                for process in system.status()["processes"]
                if process["state"] == "ready" and process["name"].startswith(kill.kind)
            ]
            if not ready:
                return False
            name = sorted(ready)[int(kill.pick * len(ready))]
            system.fault("kill", name)
        except (ControlRefused, OSError, ValueError):
            return False
        self._done.append(_row(round(second, 3), name, "killed"))
        return True


def _row(second: float, name: str, outcome: str) -> dict[str, Any]:
    return {"second": second, "fault": "kill", "name": name, "outcome": outcome}


def make(wish: Wish) -> tuple[Recipe, Path]:
    users = USERS if wish.users is None else wish.users
    seconds = SECONDS if wish.seconds is None else wish.seconds
    require(1 <= users <= 500, "--users must be 1 to 500")
    require(2 <= seconds <= 3600, "--seconds must be 2 to 3600")
    run_dir = prepare_folder(wish.options.out, "kill_anything")
    seed = wish.options.seed
    settings, start = settled(
        wish.options,
        f"simulation.months_max={MONTHS_MAX}",
        f"simulation.month_seconds={seconds / MONTHS}",
        f"simulation.month_seconds_min={MONTH_SECONDS_MIN}",
        "manufacturers.initial_units_per_product=20",
        "manufacturers.units_per_month=300",
        "manufacturers.batch_units=5",
        "manufacturers.lead_time_seconds=0.05",
        "distributor.instances=2",  # one takes over when the other is killed
        "distributor.tick_ms=200",
        "distributor.gather_retry_seconds=0.5",
        "distributor.offer_deadline_seconds=2.0",
        "distributor.relay_lease_seconds=3.0",
        "broker.lease_seconds=3.0",
    )
    plan = {
        "mode": "months",
        "workers": users,
        "seed": seed,
        "customers": [f"No {number}" for number in range(1, users + 1)],
        "seconds": seconds,
        "pause_seconds": PAUSE_SECONDS,
    }
    killer = Killer(schedule(seed, seconds, KILLS))
    title = f"kill_anything: {KILLS} kills in {seconds:.0f} s, {users} customers"
    return Recipe(
        title,
        settings,
        start,
        plan,
        seed,
        settings.simulation.months_max,
        command_line(),
        faults=killer,
        facts={"users": users},
    ), run_dir


EXPERIMENT = Experiment(
    name="kill_anything",
    goal="kill -9 of web instances, distributor and manufacturers at random; nothing may be lost or doubled",
    duration="about 50 s",
    catches_unsafe=False,
    make=make,
)
