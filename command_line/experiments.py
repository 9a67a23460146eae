"""Runs with a verdict, what judges and compares them, and measurements."""

from pathlib import Path
from typing import Annotated

import typer

from command_line.options import COMMON_HELP, STRATEGY, common_of, refuse_common, run_options

app = typer.Typer()
scenario_app = typer.Typer(help="Named experiments with their expected verdicts.", epilog=COMMON_HELP)
app.add_typer(scenario_app, name="scenario")

SEED = typer.Option(metavar="S", min=0, max=2**31 - 1, help="the same seed makes the same customers and lists")
OUT = typer.Option(metavar="DIR", help="empty folder for the report; default runs/<time>-…")


@app.command(epilog=COMMON_HELP)
def simulate(
    context: typer.Context,
    *,
    months: Annotated[int | None, typer.Option(metavar="M", help="months to live through  [default: 3]")] = None,
    customers: Annotated[int | None, typer.Option(metavar="N", help="simulated customers  [default: 20]")] = None,
    orders: Annotated[Path | None, typer.Option(metavar="FILE", help="real orders instead: CSV, plain or gzip")] = None,
    supply: Annotated[float, typer.Option(metavar="F", help="with --orders: units made, as a share of demand")] = 0.8,
    manufacturers: Annotated[int, typer.Option(metavar="M", help="with --orders: among how many goods are dealt")] = 3,
    workers: Annotated[int, typer.Option(metavar="W", help="with --orders: baskets under way at once")] = 16,
    seed: Annotated[int, SEED] = 1,
    strategy: Annotated[str | None, STRATEGY] = None,
    out: Annotated[Path | None, OUT] = None,
) -> None:
    """Run months to their end on a fresh system, check the books, write a report."""
    from scenarios import commands
    from scenarios.simulate import OrdersForm

    options = run_options(common_of(context), seed, strategy, out)
    if orders is None:
        wanted = commands.MONTHS_DEFAULT if months is None else months
        people = commands.CUSTOMERS_DEFAULT if customers is None else customers
        raise typer.Exit(commands.simulate_months(options, wanted, people))
    if months is not None or customers is not None:
        raise typer.BadParameter(
            "--months and --customers do not go with --orders: the file says who buys, in one month"
        )
    raise typer.Exit(commands.simulate_orders(options, OrdersForm(orders, supply, manufacturers, workers)))


@scenario_app.command("list")
def scenario_list(context: typer.Context) -> None:
    """What can be tried, and what is expected of it."""
    from scenarios import commands

    refuse_common(context)
    raise typer.Exit(commands.scenario_list())


@scenario_app.command("run", epilog=COMMON_HELP)
def scenario_run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    strategy: Annotated[str | None, STRATEGY] = None,
    users: Annotated[int | None, typer.Option(metavar="N", help="customers at once")] = None,
    seconds: Annotated[float | None, typer.Option(metavar="T", help="how long the load lasts")] = None,
    seed: Annotated[int | None, SEED] = None,
    runs: Annotated[int, typer.Option(metavar="R", help="so many runs, with seed, seed + 1, …")] = 1,
    out: Annotated[Path | None, OUT] = None,
) -> None:
    """Run one experiment on a fresh system and compare its verdict with the expected one."""
    from scenarios import commands
    from scenarios.experiments import Wish

    wish = Wish(run_options(common_of(context), seed, strategy, out), users, seconds)
    raise typer.Exit(commands.scenario_run(name, wish, runs))


@app.command()
def check(context: typer.Context, run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR")]) -> None:
    """Judge a recorded run again: exit code 0 valid, 1 invalid, 2 unknown."""
    from checker.commands import check as judge_again

    refuse_common(context)
    raise typer.Exit(judge_again(run_dir))


@app.command()
def compare(
    context: typer.Context,
    run_dirs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...")],
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Put runs side by side: throughput, percentiles, retries, refusals, anomalies, settings that differ."""
    from scenarios import commands

    refuse_common(context)
    raise typer.Exit(commands.compare(run_dirs, as_json=as_json))


@app.command()
def bench(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="none: a list of them")] = None,
    *,
    headline: Annotated[
        bool, typer.Option(help="purchase: the ratios only, in two minutes; docs/ stays as it is")
    ] = False,
    orders: Annotated[
        Path | None, typer.Option(metavar="FILE", help="purchase: a CSV of orders to take baskets from")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=10_000, help="scale: rows of stock in the large shop")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(metavar="S", help="purchase: only this one (name, path, file), beside row_lock and naive"),
    ] = None,
) -> None:
    """Run a benchmark; its last line is one JSON object."""
    from bench import commands

    refuse_common(context)
    if name is None:
        commands.bench_list()
        return
    if name not in commands.BENCHMARKS:
        raise typer.BadParameter(f"no benchmark is called {name}; there are: {', '.join(commands.BENCHMARKS)}")
    try:
        commands.bench(name, headline=headline, orders=orders, rows=rows, strategy=strategy)
    except commands.UnknownOption as error:
        raise typer.BadParameter(str(error)) from error
