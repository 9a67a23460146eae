"""The options that every command takes, before or after its name."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from supervisor.options import Options

if TYPE_CHECKING:
    from scenarios.simulate import Options as RunOptions

ROOT = Path(__file__).resolve().parents[1]
# typer carries its own copy of click; this is the base of every usage error in it.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
PORT_BASE = 8000
PORT_BASE_MAX = 64_800  # the highest offset, settings.addresses.HIGHEST_OFFSET, still fits below 65536
CONFIG = ROOT / "config.yml"
COMMON_OPTIONS = ("--config", "--state", "--port-base", "--set")
COMMON_HELP = "Common options, before or after the command: --config FILE, --state DIR, --port-base N, --set a.b=value."

STRATEGY = typer.Option(metavar="S", help="locking strategy, by name, dotted path or file")


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


def common_of(context: typer.Context) -> Common:
    given: Common = context.find_root().obj
    return given


def refuse_common(context: typer.Context) -> None:
    """For a command that none of the common options would change: raises BadParameter naming the one that was given."""
    given = common_of(context)
    told = {
        "--config": given.config != CONFIG,
        "--state": given.state is not None,
        "--port-base": given.port_base is not None,
        "--set": bool(given.overrides),
    }
    for option in COMMON_OPTIONS:
        if told[option]:
            command = context.command_path.removeprefix("main.py ")
            raise typer.BadParameter(f"{option} changes nothing of `{command}`; see main.py {command} --help")


def run_options(common: Common, seed: int | None, strategy: str | None, out: Path | None) -> "RunOptions":
    """The common options as a run on a system of its own takes them: what was not asked for is chosen freely."""
    from scenarios.commands import any_seed
    from scenarios.simulate import Options as RunOptions

    chosen = any_seed() if seed is None else seed
    return RunOptions(common.config, chosen, common.overrides, common.port_base, common.state, strategy, out)


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
