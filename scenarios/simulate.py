"""The two forms of `simulate`: months lived by made-up customers, and real baskets from a file. Both make a recipe."""

import json
from dataclasses import dataclass
from pathlib import Path

from scenarios import orders_file, orders_import, supply
from scenarios.orders_file import OrdersFileError
from scenarios.run import Recipe, RunFailed, command_line, prepare_folder
from scenarios.run_files import CATALOGUE_FILE, LEFT_OUT_FILE
from scenarios.system import Start
from scenarios.teller import Teller
from settings import Settings, SettingsError, load

# Hashing passwords well costs 20 ms each; a run of a thousand customers who exist for a minute does without.
CHEAP_PASSWORDS = (
    "customers.password_memory_kib=64",
    "customers.password_iterations=1",
    "customers.password_concurrency=8",
)
ENDLESS_MONTH_SECONDS = 86_400.0
MANUFACTURER_PROCESSES_MAX = 8  # more manufacturers share processes, so that a laptop carries them
PAUSE_SECONDS = 0.2
"""Longest pause of a customer between two steps; chosen: people hurried by a factor of ten."""


@dataclass(frozen=True)
class Options:
    """What the command line says for every kind of run. ``port_base``, ``state`` and ``out`` None: any free one."""

    config: Path
    seed: int
    overrides: tuple[str, ...] = ()
    port_base: int | None = None
    state: Path | None = None
    strategy: str | None = None
    out: Path | None = None


def settled(options: Options, *ours: str) -> tuple[Settings, Start]:
    """Settings and start of a run: our overrides first, so that the user's own win. Raises RunFailed."""
    require(0 <= options.seed < 2**31, "--seed must be 0 to 2147483647")
    chosen = () if options.strategy is None else (f"distributor.strategy={json.dumps(options.strategy)}",)
    common = ("customers.simulated=0", f"simulation.seed={options.seed}", *CHEAP_PASSWORDS)
    overrides = (*common, *ours, *chosen, *options.overrides)
    try:
        settings = load(options.config, overrides=overrides)
    except SettingsError as error:
        raise RunFailed(str(error), 64) from error
    # The system starts in a folder of its own, where a file named from here would not be found.
    settled_strategy = f"distributor.strategy={json.dumps(settings.distributor.strategy)}"
    return settings, Start(options.config.resolve(), (*overrides, settled_strategy), options.port_base, options.state)


def months(options: Options, months: int, customers: int) -> tuple[Recipe, Path]:
    """`simulate --months M --customers N --seed S`."""
    require(months >= 1, "--months must be at least 1")
    require(1 <= customers <= 1000, "--customers must be 1 to 1000")
    settings, start = settled(options, f"simulation.months_max={months}")
    plan = {
        "mode": "months",
        "workers": customers,
        "seed": options.seed,
        "customers": [f"No {number}" for number in range(1, customers + 1)],
        "pause_seconds": PAUSE_SECONDS,
    }
    require(settings.simulation.months_max > 0, "simulation.months_max must be above 0: a run has an end")
    title = f"{months} months, {customers} customers"
    recipe = Recipe(title, settings, start, plan, options.seed, settings.simulation.months_max, command_line())
    return recipe, prepare_folder(options.out, "months")


@dataclass(frozen=True)
class OrdersForm:
    """The options of `simulate --orders FILE`."""

    file: Path
    factor: float
    manufacturers: int
    workers: int


def orders(options: Options, form: OrdersForm, teller: Teller) -> tuple[Recipe, Path]:
    """`simulate --orders FILE`: reads the file, deals its goods, and says what was left out."""
    require(0 < form.factor <= 1000, "--supply must be above 0 and at most 1000")
    require(1 <= form.manufacturers <= 500, "--manufacturers must be 1 to 500")
    require(1 <= form.workers <= 1000, "--workers must be 1 to 1000")
    settled(options)  # mistakes in the settings are told before a folder is made
    teller.phase(f"reading {form.file}")
    try:
        imported = orders_import.build(orders_file.read(form.file))
    except OrdersFileError as error:
        raise RunFailed(str(error), 64) from error
    for line in imported.summary():
        teller.say(line)
    run_dir = prepare_folder(options.out, "orders")
    orders_import.write_left_out(run_dir / LEFT_OUT_FILE, imported.left_out)
    goods = supply.deal(imported.goods, form.factor, form.manufacturers, options.seed)
    supply.write_catalogue(run_dir / CATALOGUE_FILE, goods)
    makers = min(form.manufacturers, len(goods))
    settings, start = settled(
        options,
        "simulation.months_max=1",
        f"simulation.month_seconds={ENDLESS_MONTH_SECONDS}",
        "simulation.month_seconds_min=0",
        f"manufacturers.count={makers}",
        f"manufacturers.manufacturers_per_process={-(-makers // MANUFACTURER_PROCESSES_MAX)}",
        f"manufacturers.catalogue={json.dumps(str(run_dir / CATALOGUE_FILE))}",
        f"cart.lines_max={max(1000, imported.lines_in_largest_basket)}",
    )
    plan = {
        "mode": "orders",
        "workers": form.workers,
        "seed": options.seed,
        "customers": list(imported.customers),
        "baskets": [[basket.invoice, basket.customer, basket.lines] for basket in imported.baskets],
    }
    facts = {
        "orders file": form.file.name,
        "supply": f"{form.factor} of the demand, rounded half up, at least 1 unit of each good",
        "units wanted": sum(good.demand for good in imported.goods),
        "units made": sum(row.units for row in goods),
        "workers": form.workers,
        "lines read": imported.lines_read,
        "lines merged": imported.lines_merged,
    }
    title = f"{len(imported.baskets)} real baskets from {form.file.name}"
    return Recipe(title, settings, start, plan, options.seed, 1, command_line(), facts=facts), run_dir


def require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise RunFailed(otherwise, 64)
