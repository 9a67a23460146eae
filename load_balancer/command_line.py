"""``main.py balancer …``. What only one command needs is imported there: each is to answer at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

NAME = typer.Argument(metavar="NAME", help="of a server")


def register(app: typer.Typer, state_of: Callable[[typer.Context], Path], epilog: str) -> None:
    """Add the commands to ``app``; ``state_of``: the state folder that the common options name."""

    @app.command("servers", epilog=epilog)
    def servers(
        context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False
    ) -> None:
        """The servers: state, address, weight, what is with them."""
        _exit("servers", state_of(context), as_json=as_json)

    @app.command("state", epilog=epilog)
    def state(
        context: typer.Context,
        name: Annotated[str, NAME],
        wanted: Annotated[str, typer.Argument(metavar="STATE", help="ready, drain or maint")],
    ) -> None:
        """Let a server work, drain it (nobody new), or take it out (maint)."""
        _exit("set_state", state_of(context), name, wanted)

    @app.command("weight", epilog=epilog)
    def weight(
        context: typer.Context,
        name: Annotated[str, NAME],
        share: Annotated[int, typer.Argument(metavar="WEIGHT", min=0, max=256)],
    ) -> None:
        """Change a server's share of the requests; 0: nobody new."""
        _exit("set_weight", state_of(context), name, share)

    @app.command("add", epilog=epilog)
    def add(
        context: typer.Context,
        name: Annotated[str, NAME],
        address: Annotated[str, typer.Argument(metavar="HOST:PORT")],
        words: Annotated[
            list[str] | None, typer.Argument(metavar="[WORDS]", help="such as: weight 3 maxconn 20 backup")
        ] = None,
    ) -> None:
        """Add a server, or change one wholly."""
        _exit("add", state_of(context), name, address, words or [])

    @app.command("remove", epilog=epilog)
    def remove(
        context: typer.Context,
        name: Annotated[str, NAME],
        wait: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="for what is still with it")] = 30.0,
    ) -> None:
        """Take a server out, wait until it is idle, and forget it."""
        _exit("remove", state_of(context), name, wait)

    @app.command("reload", epilog=epilog)
    def reload(context: typer.Context) -> None:
        """Read config.yml again, and name what holds now and what needs a restart."""
        _exit("reload", state_of(context))


def _exit(name: str, *arguments: Any, **options: Any) -> None:
    from load_balancer.admin import commands

    raise typer.Exit(getattr(commands, name)(*arguments, **options))
