"""Many customers want the last unit of a good at the same instant, round after round.

Expected: exactly one of them gets it, the others are told that it is gone. With `naive`, which reads before it writes,
several get it: the control that proves that the race takes place.
"""

import json
from pathlib import Path

from scenarios import supply
from scenarios.experiments.contract import Experiment, Wish
from scenarios.run import Recipe, command_line, prepare_folder
from scenarios.run_files import CATALOGUE_FILE
from scenarios.simulate import ENDLESS_MONTH_SECONDS, require, settled
from scenarios.supply import Supplied

USERS = 24  # as many as the default web instances have threads: all of them can be in the shop's code at once
SECONDS = 15.0
ROUNDS_MAX = 500  # the number that bounds the failure rate below 0.6 % when none fails (rule of three)
MANUFACTURERS = 3
PRICE_MINOR = 1999


def make(wish: Wish) -> tuple[Recipe, Path]:
    users = USERS if wish.users is None else wish.users
    seconds = SECONDS if wish.seconds is None else wish.seconds
    require(2 <= users <= 500, "--users must be 2 to 500")
    require(0 < seconds <= 3600, "--seconds must be above 0 and at most 3600")
    run_dir = prepare_folder(wish.options.out, "last_unit")
    goods = [
        Supplied(f"LAST-{number:04}", f"Last of its kind {number}", f"m{number % MANUFACTURERS + 1}", PRICE_MINOR, 1)
        for number in range(1, ROUNDS_MAX + 1)
    ]
    supply.write_catalogue(run_dir / CATALOGUE_FILE, goods)
    settings, start = settled(
        wish.options,
        "simulation.months_max=1",
        f"simulation.month_seconds={ENDLESS_MONTH_SECONDS}",
        "simulation.month_seconds_min=0",
        f"manufacturers.count={MANUFACTURERS}",
        f"manufacturers.catalogue={json.dumps(str(run_dir / CATALOGUE_FILE))}",
    )
    plan = {
        "mode": "race",
        "workers": users,
        "seed": wish.options.seed,
        "customers": [f"No {number}" for number in range(1, users + 1)],
        "seconds": seconds,
        "patience": {"keys_max": 1},
    }
    facts = {"users": users, "seconds": seconds}
    title = f"last_unit: {users} customers, one unit, round after round"
    return Recipe(title, settings, start, plan, wish.options.seed, 1, command_line(), facts=facts), run_dir


EXPERIMENT = Experiment(
    name="last_unit",
    goal="many customers race for the last unit of a good; exactly one may get it",
    duration="about 40 s",
    catches_unsafe=True,
    make=make,
)
