"""Start, look at, hurt and stop a system."""

import json
from dataclasses import replace
from typing import Annotated

import typer

from command_line.options import COMMON_HELP, STRATEGY, common_of

CUSTOMER_MAX = 2**63 - 1  # PostgreSQL's bigint

app = typer.Typer()
month_app = typer.Typer(help="The simulated calendar.", epilog=COMMON_HELP)
app.add_typer(month_app, name="month")


@app.command(epilog=COMMON_HELP)
def up(context: typer.Context, strategy: Annotated[str | None, STRATEGY] = None) -> None:
    """Start everything, print a line per process with its URL; Ctrl-C stops everything."""
    from supervisor import commands

    options = common_of(context).for_up()
    if strategy is not None:
        options = replace(options, overrides=(*options.overrides, f"distributor.strategy={json.dumps(strategy)}"))
    raise typer.Exit(commands.up(options))


@app.command(epilog=COMMON_HELP)
def status(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    as_metrics: Annotated[bool, typer.Option("--metrics", help="restarts and silence, for Prometheus")] = False,
) -> None:
    """Show every process of the running system: name, state, pid, URL; how often it was started again, and why."""
    from supervisor import commands

    if as_json and as_metrics:
        raise typer.BadParameter("--json and --metrics do not go together")
    raise typer.Exit(commands.status(common_of(context).state_folder, as_json=as_json, as_metrics=as_metrics))


@app.command(epilog=COMMON_HELP)
def stop(context: typer.Context) -> None:
    """Stop the running system from another terminal."""
    from supervisor import commands

    raise typer.Exit(commands.stop(common_of(context).state_folder))


@app.command(epilog=COMMON_HELP)
def fault(context: typer.Context, words: Annotated[list[str], typer.Argument(metavar="FAULT NAME...")]) -> None:
    """Hurt processes on purpose: kill, pause, resume, restart or slow, and their names."""
    from supervisor import commands

    raise typer.Exit(commands.fault(common_of(context).state_folder, words))


@app.command(epilog=COMMON_HELP)
def traffic(context: typer.Context, customers: Annotated[int, typer.Argument(metavar="N", min=0)]) -> None:
    """Change the number of simulated customers of the running system."""
    from supervisor import commands

    raise typer.Exit(commands.traffic(common_of(context).state_folder, customers))


@month_app.command("close", epilog=COMMON_HELP)
def month_close(context: typer.Context) -> None:
    """End the open month by hand."""
    from supervisor import commands

    raise typer.Exit(commands.close_month(common_of(context).state_folder))


@app.command("sign-out", epilog=COMMON_HELP)
def sign_out(
    context: typer.Context,
    customer: Annotated[
        int | None, typer.Argument(metavar="[CUSTOMER]", min=1, max=CUSTOMER_MAX, help="the number in the log")
    ] = None,
    *,
    everybody: Annotated[bool, typer.Option("--everybody", help="all customers of the running shop")] = False,
) -> None:
    """End all sessions of one customer, or of everybody; who knows the password can sign in again."""
    from customers.accounts import commands

    if (customer is None) is not everybody:
        raise typer.BadParameter("name one customer, or --everybody")
    raise typer.Exit(commands.sign_out(common_of(context).state_folder, customer))


@app.command(epilog=COMMON_HELP)
def reconcile(
    context: typer.Context,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="set the stock's counters to what the rows say")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Compare the running system's counters with the rows that they count: 0 they agree, 1 they differ."""
    from distributor.reconciliation import commands

    raise typer.Exit(commands.reconcile(common_of(context).state_folder, repairing=repair, as_json=as_json))
