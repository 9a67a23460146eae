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
from typing import Annotated  # noqa: E402

import typer  # noqa: E402

from command_line import balancer, experiments, strategies, system  # noqa: E402
from command_line.options import CONFIG, PORT_BASE_MAX, Common, UsageError, hoist_common_options  # noqa: E402
from supervisor.restart import EXIT_USAGE  # noqa: E402

app = typer.Typer(
    help="A real distributed shop with scarce stock, and the laboratory in which its concurrency is watched.",
    epilog="Exit codes: 0 fine or valid, 1 invalid, 2 unknown, 64 wrong usage or configuration, 70 cannot start.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def common(
    context: typer.Context,
    config: Annotated[Path, typer.Option(metavar="FILE", help="settings")] = CONFIG,
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
        system.up(context)


for part in (system, balancer, experiments, strategies):
    app.add_typer(part.app)


@app.command("test", context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
def run_tests(arguments: Annotated[list[str] | None, typer.Argument(metavar="[PYTEST ARGUMENTS]")] = None) -> None:
    """Run the tests: all of them side by side on every core, or what the pytest arguments say."""
    chosen = arguments or ["-n", "auto", "--dist", "loadscope"]
    raise typer.Exit(subprocess.run([sys.executable, "-m", "pytest", *chosen], cwd=ROOT, check=False).returncode)


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
