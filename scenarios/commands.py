"""What main.py's commands do: each function returns the exit code. Results go to standard output, progress to standard error."""

import json
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from scenarios import compare as comparing
from scenarios import report, simulate
from scenarios.experiments import EXPERIMENTS, Experiment, Wish
from scenarios.report import contents, page
from scenarios.report.terminal import PIPED_WIDTH
from scenarios.run import STOPPED, Recipe, Run, RunFailed
from scenarios.simulate import Options, OrdersForm
from scenarios.teller import Teller

MONTHS_DEFAULT = 3
CUSTOMERS_DEFAULT = 20


def simulate_months(options: Options, months: int, customers: int) -> int:
    teller = Teller()
    try:
        recipe, run_dir = simulate.months(options, months, customers)
        return _make_and_show(recipe, run_dir, teller)
    except RunFailed as error:
        return _failed(error, teller)


def simulate_orders(options: Options, form: OrdersForm) -> int:
    teller = Teller()
    try:
        recipe, run_dir = simulate.orders(options, form, teller)
        return _make_and_show(recipe, run_dir, teller)
    except RunFailed as error:
        return _failed(error, teller)


def _make_and_show(recipe: Recipe, run_dir: Path, teller: Teller) -> int:
    made = _make(recipe, run_dir, teller)
    report.show(made, run_dir)
    return contents.exit_code(made)


def _make(recipe: Recipe, run_dir: Path, teller: Teller) -> dict[str, Any]:
    judgement = Run(recipe, run_dir, teller).make()
    made = contents.build(run_dir, judgement)
    contents.write(run_dir, made)
    page.write(run_dir, made)
    return made


def _failed(error: RunFailed, teller: Teller) -> int:
    teller.close()
    teller.say(f"error: {error}")
    return error.exit_code


def scenario_list() -> int:
    console = _console()
    for experiment in EXPERIMENTS.values():
        console.print(f"{experiment.name}: {experiment.goal}", style="bold", highlight=False)
        console.print(f"    takes {experiment.duration}; expected valid; with naive: {experiment.expected('naive')}")
        console.print(f"    python main.py scenario run {experiment.name}", highlight=False)
    return 0


def scenario_run(name: str, wish: Wish, runs: int) -> int:
    """One run, or a batch: seed, seed + 1, …, each in a folder of its own, with a summary at the end."""
    teller = Teller()
    experiment = EXPERIMENTS.get(name)
    try:
        simulate.require(experiment is not None, f"no scenario is called {name}; there are: {', '.join(EXPERIMENTS)}")
        simulate.require(1 <= runs <= 10_000, "--runs must be 1 to 10000")
        if experiment is None:  # refused above; this tells the type checker
            return 64
        return _batch(experiment, wish, runs, teller) if runs > 1 else _one(experiment, wish, teller)
    except RunFailed as error:
        return _failed(error, teller)


def _one(experiment: Experiment, wish: Wish, teller: Teller) -> int:
    recipe, run_dir = experiment.make(wish)
    made = _make(recipe, run_dir, teller)
    report.show(made, run_dir)
    expected = experiment.expected(recipe.settings.distributor.strategy)
    _console().print(f"expected: {expected}, found: {made['verdict']} (seed {recipe.seed})", highlight=False)
    return contents.exit_code(made)


def _batch(experiment: Experiment, wish: Wish, runs: int, teller: Teller) -> int:
    """The worst exit code of all: invalid before unknown before valid."""
    verdicts: Counter[str] = Counter()
    faults = 0
    for number in range(runs):
        options = wish.options
        out = options.out / f"run-{number + 1:04}" if options.out else None
        recipe, run_dir = experiment.make(replace(wish, options=replace(options, seed=options.seed + number, out=out)))
        made = _make(recipe, run_dir, teller)
        done = sum(fault["outcome"] == "killed" for fault in made["run"]["faults"])
        faults += done
        verdicts[made["verdict"]] += 1
        line = f"run {number + 1} of {runs}: seed {recipe.seed}, {made['verdict']}, {done} faults, {run_dir}"
        _console().print(line, highlight=False, soft_wrap=True, markup=False)
        if made["drain_reason"] == STOPPED:
            break
    _console().print(_summary(verdicts, faults), style="bold", highlight=False, soft_wrap=True)
    return 1 if verdicts["invalid"] else 2 if verdicts["unknown"] else 0


def _summary(verdicts: Counter[str], faults: int) -> str:
    runs = verdicts.total()
    told = f"{runs} runs: " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    if verdicts["valid"] < runs:
        return f"{told}; {faults} faults"
    trials, word = (faults, "faults") if faults else (runs, "runs")
    bound = min(100.0, 300 / trials)  # the rule of three: no failure in n trials
    return f"{told}; no failure after {trials} {word}: fewer than {bound:.1f} % of them do harm (95 % confidence)"


def compare(run_dirs: Sequence[Path], *, as_json: bool) -> int:
    try:
        found = comparing.compare(comparing.read(run_dirs))
    except RunFailed as error:
        return _failed(error, Teller())
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201 - the command's result
        return 0
    console = _console()
    for title, rows in (("figure", found["figures"]), ("differs in", found["differences"])):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(title)
        for folder in found["runs"]:
            table.add_column(Path(folder).name, justify="right", overflow="fold")
        for name, values in rows.items():
            table.add_row(name, *("" if value is None else str(value) for value in values))
        console.print(table)
    return 0


def any_seed() -> int:
    """A seed for a run that was given none; it is printed and kept, so that the run can be repeated."""
    return secrets.randbelow(2**31)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PIPED_WIDTH)
