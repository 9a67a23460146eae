"""`main.py grade` and `main.py strategy new`: each function returns the exit code.

Exit codes of `grade`: 0 all marks passed, 1 some failed, 2 it cannot be graded (not there, cannot be loaded, no database),
64 wrong usage or configuration.
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grading.grader import Grader, Plan
from grading.report import render, text
from grading.report.page import PAGE_FILE, REPORT_FILE
from grading.server import NoDatabase, fresh_database
from grading.supervision import Nursery, NurseryFailed
from grading.template import mine
from scenarios.teller import Teller
from settings import Settings, SettingsError, load
from settings.addresses import Addresses

EXIT_PASSED, EXIT_FAILED, EXIT_NOT_GRADED, EXIT_USAGE = 0, 1, 2, 64


@dataclass(frozen=True)
class Wish:
    """What the command line says. ``folder``: where the page and the JSON go; None: nowhere. ``state``, ``port_base``: where the
    grading's own PostgreSQL keeps its files and listens; None: anywhere."""

    strategy: str
    config: Path
    overrides: tuple[str, ...]
    seed: int
    quick: bool
    as_json: bool
    folder: Path | None
    state: Path | None = None
    port_base: int | None = None


def grade(wish: Wish) -> int:
    """Grade one strategy; prints the report, progress goes to standard error."""
    try:
        named = f"distributor.strategy={json.dumps(wish.strategy)}"
        settings = load(wish.config, overrides=(*wish.overrides, named))
    except SettingsError as error:
        return _complain(str(error), EXIT_USAGE)
    strategy = settings.distributor.strategy
    if strategy.endswith(".py") and not Path(strategy).is_file():
        return _complain(f"error: {strategy} does not exist; `main.py strategy new {wish.strategy}` makes a first one")
    if refusal := _refusal(wish, settings):
        return _complain(f"error: {refusal}", EXIT_USAGE)
    teller = Teller()
    try:
        report = _graded(strategy, settings, wish, teller.phase)
    except (NoDatabase, NurseryFailed) as error:
        return _complain(f"error: cannot be graded: {error}")
    finally:
        teller.close()
    if wish.folder is not None:
        _keep(report, wish.folder)
    sys.stdout.write(json.dumps(report, indent=2) + "\n" if wish.as_json else text(report))
    if wish.folder is not None and not wish.as_json:
        sys.stdout.write(f"report:  {wish.folder / PAGE_FILE}\n")
    return (EXIT_PASSED if report["passed"] else EXIT_FAILED) if report["loaded"] else EXIT_NOT_GRADED


def _refusal(wish: Wish, settings: Settings) -> str:
    """What is wrong with the folders and ports that are wished for, or ""; makes the folders."""
    if settings.database.url != "auto" and (wish.state is not None or wish.port_base is not None):
        return "--state and --port-base say where the grading's own PostgreSQL runs; with database.url there is none"
    for option, folder in (("--state", wish.state), ("--report", wish.folder)):
        try:
            if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                return f"{option} {folder}: needs a folder that is empty or absent"
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            return f"{option} {str(folder)!r}: {getattr(error, 'strerror', None) or error}"
    return ""


def _graded(strategy: str, settings: Settings, wish: Wish, say: Callable[[str], None]) -> dict[str, Any]:
    plan = Plan.of(wish.seed, quick=wish.quick)
    say(f"grading {Path(strategy).name} (seed {wish.seed}): a database of its own")
    port = None if wish.port_base is None else Addresses(wish.port_base).postgres
    with fresh_database(settings.database, wish.state, port) as url, Nursery() as nursery:
        return Grader(nursery, url, settings, plan, say).grade(strategy)


def _keep(report: dict[str, Any], folder: Path) -> None:
    (folder / PAGE_FILE).write_text(render(report), encoding="utf-8")
    (folder / REPORT_FILE).write_text(json.dumps(report, indent=2), encoding="utf-8")


def new(path: Path) -> int:
    """Write the template to ``path``, which must not exist."""
    if path.suffix != ".py":
        return _complain(f"error: {path}: a strategy is a Python file; its name ends with .py", EXIT_USAGE)
    if path.exists():
        return _complain(f"error: {path} exists already; nothing was changed", EXIT_USAGE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(mine.__file__, path)
    except OSError as error:
        return _complain(f"error: {path} cannot be written: {error.strerror}", EXIT_USAGE)
    sys.stdout.write(
        f"{path}: a correct row lock, commented. Change it, then:\n"
        f"  python main.py grade {path}\n  python main.py up --strategy {path}\n"
        "docs/strategies.md says how to write one, and explains each anomaly.\n"
    )
    return EXIT_PASSED


def _complain(line: str, code: int = EXIT_NOT_GRADED) -> int:
    sys.stderr.write(line + "\n")
    return code
