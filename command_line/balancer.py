"""The load balancer alone, and that of a system."""

from pathlib import Path
from typing import Annotated

import typer

from command_line.options import COMMON_HELP, common_of, refuse_common

app = typer.Typer()
balancer_app = typer.Typer(help="The load balancer of a system.", epilog=COMMON_HELP)
app.add_typer(balancer_app, name="balancer")

NAME = typer.Argument(metavar="NAME", help="of a server")


@app.command()
def balance(
    context: typer.Context,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT")],
    server: Annotated[
        list[str],
        typer.Option(metavar="NAME=HOST:PORT", help='may be repeated; "a=HOST:PORT weight 3 maxconn 20 backup"'),
    ],
    *,
    admin: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="health, metrics and states")] = None,
    check_path: Annotated[str, typer.Option(metavar="PATH", help="asked to see whether a server lives")] = "/healthz",
    host: Annotated[list[str] | None, typer.Option(metavar="NAME", help="only these Host values are served")] = None,
    algorithm: Annotated[
        str, typer.Option("--balance", metavar="ALGORITHM", help="roundrobin, leastconn or random")
    ] = "roundrobin",
    cookie: Annotated[str, typer.Option(metavar="NAME", help="binds each client to the server it came to first")] = "",
    access_log: Annotated[Path | None, typer.Option(metavar="FILE", help="gets a line for every answer")] = None,
    access_log_format: Annotated[str, typer.Option(metavar="FORMAT", help="combined or json")] = "combined",
    forwarded: Annotated[bool, typer.Option("--forwarded", help="tell servers in Forwarded (RFC 7239), too")] = False,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="processes that serve clients")] = 1,
    tls_certificate: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="PEM; clients then speak TLS; again for more names (SNI)")
    ] = None,
    tls_key: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="PEM, one for each certificate; else in its file")
    ] = None,
    strict_sni: Annotated[
        bool, typer.Option("--strict-sni", help="TLS only with who asks for a name of a certificate")
    ] = False,
) -> None:
    """The load balancer alone, in front of anything."""
    from load_balancer import commands

    refuse_common(context)
    raise typer.Exit(
        commands.balance(
            listen,
            server,
            admin,
            check_path,
            host or (),
            algorithm=algorithm,
            cookie=cookie,
            access_log=access_log,
            access_log_format=access_log_format,
            forwarded=forwarded,
            workers=workers,
            tls_certificate=tls_certificate or (),
            tls_key=tls_key or (),
            strict_sni=strict_sni,
        )
    )


@balancer_app.command("config", epilog=COMMON_HELP)
def balancer_config(
    context: typer.Context,
    engine: Annotated[str, typer.Option(metavar="ENGINE", help="haproxy or nginx")] = "haproxy",
) -> None:
    """Print the load balancer's settings as a configuration of HAProxy or nginx."""
    from load_balancer.engines import commands

    given = common_of(context)
    raise typer.Exit(commands.print_config(engine, given.for_up().load, given.for_up().port_base, given.state_folder))


@balancer_app.command("restart", epilog=COMMON_HELP)
def balancer_restart(context: typer.Context) -> None:
    """Put a new process in the load balancer's place, with the settings of now; no connection is refused meanwhile."""
    from supervisor import commands

    raise typer.Exit(commands.restart_balancer(common_of(context).state_folder))


@balancer_app.command("servers", epilog=COMMON_HELP)
def servers(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False
) -> None:
    """The servers: state, address, weight, what is with them."""
    from load_balancer.admin import commands

    raise typer.Exit(commands.servers(common_of(context).state_folder, as_json=as_json))


@balancer_app.command("state", epilog=COMMON_HELP)
def state(
    context: typer.Context,
    name: Annotated[str, NAME],
    wanted: Annotated[str, typer.Argument(metavar="STATE", help="ready, drain or maint")],
) -> None:
    """Let a server work, drain it (nobody new), or take it out (maint)."""
    from load_balancer.admin import commands

    raise typer.Exit(commands.set_state(common_of(context).state_folder, name, wanted))


@balancer_app.command("weight", epilog=COMMON_HELP)
def weight(
    context: typer.Context,
    name: Annotated[str, NAME],
    share: Annotated[int, typer.Argument(metavar="WEIGHT", min=0, max=256)],
) -> None:
    """Change a server's share of the requests; 0: nobody new."""
    from load_balancer.admin import commands

    raise typer.Exit(commands.set_weight(common_of(context).state_folder, name, share))


@balancer_app.command("add", epilog=COMMON_HELP)
def add(
    context: typer.Context,
    name: Annotated[str, NAME],
    address: Annotated[str, typer.Argument(metavar="HOST:PORT")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORDS]", help="such as: weight 3 maxconn 20 backup")
    ] = None,
) -> None:
    """Add a server, or change one wholly."""
    from load_balancer.admin import commands

    raise typer.Exit(commands.add(common_of(context).state_folder, name, address, words or []))


@balancer_app.command("remove", epilog=COMMON_HELP)
def remove(
    context: typer.Context,
    name: Annotated[str, NAME],
    wait: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="for what is still with it")] = 30.0,
) -> None:
    """Take a server out, wait until it is idle, and forget it."""
    from load_balancer.admin import commands

    raise typer.Exit(commands.remove(common_of(context).state_folder, name, wait))


@balancer_app.command("reload", epilog=COMMON_HELP)
def reload(context: typer.Context) -> None:
    """Read config.yml again, and name what holds now and what needs a restart."""
    from load_balancer.admin import commands

    raise typer.Exit(commands.reload(common_of(context).state_folder))
