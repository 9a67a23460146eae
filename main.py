#!/usr/bin/env python3
"""The one command of the Central Distribution System: `python3 main.py` sets itself up and starts everything.

The first lines must run on any Python 3 with nothing installed: they say what is wrong with it, or make the environment.
"""

import os
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - a person with an older Python must be told so
    sys.stderr.write(f"This needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: python3.11 main.py\n")
    sys.exit(70)

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from supervisor import environment  # noqa: E402 - after the check of the version

if __name__ == "__main__":
    try:
        environment.ensure(ROOT, for_tests="test" in sys.argv[1:2])
    except environment.SetUpError as problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(environment.EXIT_CANNOT_START)
    except KeyboardInterrupt:
        sys.stderr.write("\nset-up interrupted; the next start begins it anew\n")
        sys.exit(130)

import subprocess  # noqa: E402 - what follows needs the packages
from dataclasses import dataclass  # noqa: E402
from typing import TYPE_CHECKING, Annotated  # noqa: E402

import typer  # noqa: E402

from load_balancer import command_line  # noqa: E402
from supervisor.options import Options  # noqa: E402
from supervisor.restart import EXIT_USAGE  # noqa: E402

if TYPE_CHECKING:
    from scenarios.simulate import Options as RunOptions

# typer carries its own copy of click; this is the base of every usage error in it.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
PORT_BASE = 8000
PORT_BASE_MAX = 64_800  # the highest offset, settings.addresses.HIGHEST_OFFSET, still fits below 65536
COMMON_OPTIONS = ("--config", "--state", "--port-base", "--set")
COMMON_HELP = "Common options, before or after the command: --config FILE, --state DIR, --port-base N, --set a.b=value."

app = typer.Typer(
    help="A real distributed shop with scarce stock, and the laboratory in which its concurrency is watched.",
    epilog="Exit codes: 0 fine or valid, 1 invalid, 2 unknown, 64 wrong usage or configuration, 70 cannot start.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
scenario_app = typer.Typer(help="Named experiments with their expected verdicts.", epilog=COMMON_HELP)
balancer_app = typer.Typer(help="The load balancer of a system.", epilog=COMMON_HELP)
month_app = typer.Typer(help="The simulated calendar.", epilog=COMMON_HELP)
app.add_typer(scenario_app, name="scenario")
app.add_typer(balancer_app, name="balancer")
app.add_typer(month_app, name="month")


@dataclass(frozen=True)
class Common:
    """The common options as they were given; runs with a system of their own choose what is None by themselves."""

    config: Path
    state: Path | None
    port_base: int | None
    overrides: tuple[str, ...]

    def for_up(self) -> Options:
        port_base = PORT_BASE if self.port_base is None else self.port_base
        return Options(self.config, self.state_folder, port_base, self.overrides)

    @property
    def state_folder(self) -> Path:
        return self.state or ROOT / ".run"


@app.callback(invoke_without_command=True)
def common(
    context: typer.Context,
    config: Annotated[Path, typer.Option(metavar="FILE", help="settings")] = ROOT / "config.yml",
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="data, logs, sockets, secrets  [default: .run]")
    ] = None,
    port_base: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=PORT_BASE_MAX, help="the shop's port, others follow  [default: 8000]"),
    ] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="override one key")] = None,
) -> None:
    """Keep the common options for the command; without a command, start everything."""
    context.obj = Common(config, state, port_base, tuple(overrides or ()))
    if context.invoked_subcommand is None:
        up(context)


def common_of(context: typer.Context) -> Common:
    given: Common = context.find_root().obj
    return given


@app.command(epilog=COMMON_HELP)
def up(context: typer.Context) -> None:
    """Start everything, print a line per process with its URL; Ctrl-C stops everything."""
    from supervisor import commands

    raise typer.Exit(commands.up(common_of(context).for_up()))


@app.command("test", context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
def run_tests(arguments: Annotated[list[str] | None, typer.Argument(metavar="[PYTEST ARGUMENTS]")] = None) -> None:
    """Run the tests: all of them side by side on every core, or what the pytest arguments say."""
    chosen = arguments or ["-n", "auto", "--dist", "loadscope"]
    raise typer.Exit(subprocess.run([sys.executable, "-m", "pytest", *chosen], cwd=ROOT, check=False).returncode)


@app.command(epilog=COMMON_HELP)
def status(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False
) -> None:
    """Show every process of the running system: name, state, pid, URL."""
    from supervisor import commands

    raise typer.Exit(commands.status(common_of(context).state_folder, as_json=as_json))


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


def run_options(common: Common, seed: int | None, strategy: str | None, out: Path | None) -> "RunOptions":
    """The common options as a run on a system of its own takes them: what was not asked for is chosen freely."""
    from scenarios.commands import any_seed
    from scenarios.simulate import Options as RunOptions

    chosen = any_seed() if seed is None else seed
    return RunOptions(common.config, chosen, common.overrides, common.port_base, common.state, strategy, out)


SEED = typer.Option(metavar="S", min=0, max=2**31 - 1, help="the same seed makes the same customers and lists")
STRATEGY = typer.Option(metavar="S", help="locking strategy, by name, dotted path or file")
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
def scenario_list() -> None:
    """What can be tried, and what is expected of it."""
    from scenarios import commands

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


@app.command(epilog=COMMON_HELP)
def check(run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR")]) -> None:
    """Judge a recorded run again: exit code 0 valid, 1 invalid, 2 unknown."""
    from checker.commands import check as judge_again

    raise typer.Exit(judge_again(run_dir))


@app.command(epilog=COMMON_HELP)
def compare(
    run_dirs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...")],
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Put runs side by side: throughput, percentiles, retries, refusals, anomalies, settings that differ."""
    from scenarios import commands

    raise typer.Exit(commands.compare(run_dirs, as_json=as_json))


@app.command()
def balance(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT")],
    server: Annotated[
        list[str],
        typer.Option(metavar="NAME=HOST:PORT", help='may be repeated; "a=HOST:PORT weight 3 maxconn 20 backup"'),
    ],
    admin: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="health, metrics and states")] = None,
    check_path: Annotated[str, typer.Option(metavar="PATH", help="asked to see whether a server lives")] = "/healthz",
    host: Annotated[list[str] | None, typer.Option(metavar="NAME", help="only these Host values are served")] = None,
    *,
    algorithm: Annotated[
        str, typer.Option("--balance", metavar="ALGORITHM", help="roundrobin, leastconn or random")
    ] = "roundrobin",
    cookie: Annotated[str, typer.Option(metavar="NAME", help="binds each client to the server it came to first")] = "",
    access_log: Annotated[Path | None, typer.Option(metavar="FILE", help="gets a line for every answer")] = None,
    access_log_format: Annotated[str, typer.Option(metavar="FORMAT", help="combined or json")] = "combined",
) -> None:
    """The load balancer alone, in front of anything."""
    from load_balancer import commands

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


command_line.register(balancer_app, lambda context: common_of(context).state_folder, COMMON_HELP)


@balancer_app.command("restart", epilog=COMMON_HELP)
def balancer_restart(context: typer.Context) -> None:
    """Put a new process in the load balancer's place, with the settings of now; no connection is refused meanwhile."""
    from supervisor import commands

    raise typer.Exit(commands.restart_balancer(common_of(context).state_folder))


@app.command()
def bench(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    quick: Annotated[bool, typer.Option(help="purchase: two strategies, short rounds, docs/ stays as it is")] = False,
    orders: Annotated[
        Path | None, typer.Option(metavar="FILE", help="purchase: a CSV of orders to take baskets from")
    ] = None,
) -> None:
    """Run a benchmark; its last line is one JSON object."""
    from bench import commands

    if name not in commands.BENCHMARKS:
        raise typer.BadParameter(f"no benchmark is called {name}; there are: {', '.join(commands.BENCHMARKS)}")
    try:
        commands.bench(name, quick=quick, orders=orders)
    except commands.UnknownOption as error:
        raise typer.BadParameter(str(error)) from error


def hoist_common_options(arguments: list[str]) -> list[str]:
    """Common options may stand after the command; typer wants them before it. pytest's arguments are left alone."""
    if arguments[:1] == ["test"]:
        return arguments
    common_words: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            return [*common_words, *others, word, *rest]
        if word in COMMON_OPTIONS:
            value = next(rest, None)
            if value is None:
                raise typer.BadParameter(f"option {word} needs a value")
            common_words += [word, value]
        elif word.startswith(tuple(f"{option}=" for option in COMMON_OPTIONS)):
            common_words.append(word)
        else:
            others.append(word)
    return [*common_words, *others]


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code."""
    try:
        code = app(hoist_common_options(arguments), prog_name="main.py", standalone_mode=False)
    except UsageError as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        sys.stderr.write(f"error: {message}\ntry: main.py --help\n")
        return EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort):
        return 130
    return code if isinstance(code, int) else 0


def main() -> None:
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more may be written, not even at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


if __name__ == "__main__":
    main()
