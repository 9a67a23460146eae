"""Locking strategies of one's own: a first one, and marks for it."""

from pathlib import Path
from typing import Annotated

import typer

from command_line.experiments import SEED
from command_line.options import COMMON_HELP, common_of, refuse_common

app = typer.Typer()
strategy_app = typer.Typer(help="Locking strategies of your own.")
app.add_typer(strategy_app, name="strategy")


@strategy_app.command("new")
def new(context: typer.Context, path: Annotated[Path, typer.Argument(metavar="FILE.py")]) -> None:
    """Write a strategy to begin with: a correct row lock, commented."""
    from grading import commands

    refuse_common(context)
    raise typer.Exit(commands.new(path))


@app.command(epilog=f"Exit codes: 0 passed, 1 failed marks, 2 cannot be graded, 64 wrong usage. {COMMON_HELP}")
def grade(
    context: typer.Context,
    strategy: Annotated[str, typer.Argument(metavar="STRATEGY", help="a Python file, a name, or a dotted path")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FOLDER", help="gets the page and the JSON")] = None,
    seed: Annotated[int | None, SEED] = None,
    quick: Annotated[bool, typer.Option("--quick", help="a first look in a few seconds")] = False,
) -> None:
    """Try a locking strategy in races and faults, and give it marks beside row_lock and naive.

    It has a PostgreSQL of its own: its files are in --state (empty or absent, gone afterwards), it listens at --port-base + 432.
    """
    from grading import commands
    from scenarios.commands import any_seed

    common = common_of(context)
    chosen = any_seed() if seed is None else seed
    wish = commands.Wish(
        strategy, common.config, common.overrides, chosen, quick, as_json, report, common.state, common.port_base
    )
    raise typer.Exit(commands.grade(wish))
