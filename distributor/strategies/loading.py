"""From the name in config.yml to a strategy: a name of ours, a dotted path, or a Python file of the student's own.

N1  Whatever is wrong with a strategy is said at start, as UnusableStrategy: neither at the first purchase nor as a
    traceback of ours. Importing somebody's file runs it, so anything may be raised, SystemExit too.
N2  What is said names the file and the line where its author has to look.
"""

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import get_args

from distributor.errors import DistributorError
from distributor.strategies.contract import IsolationLevel, Strategy

NAMES = {
    "naive": "distributor.strategies.naive.Naive",
    "row_lock": "distributor.strategies.row_lock.RowLock",
    "nowait": "distributor.strategies.nowait.Nowait",
    "conditional_update": "distributor.strategies.conditional_update.ConditionalUpdate",
    "optimistic": "distributor.strategies.optimistic.Optimistic",
    "serializable": "distributor.strategies.serializable.Serializable",
    "advisory_lock": "distributor.strategies.advisory_lock.AdvisoryLock",
    "group_commit": "distributor.strategies.group_commit.GroupCommit",
    "process_mutex": "distributor.strategies.process_mutex.ProcessMutex",
    "row_lock_unordered": "distributor.strategies.row_lock_unordered.RowLockUnordered",
}
CONTROLS = ("naive", "process_mutex", "row_lock_unordered")
"""Wrong on purpose, each in its own way: a test or a scenario that finds nothing wrong with them proves nothing."""
NAME_LENGTH_MAX = 40  # the column orders.strategy
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")


class UnusableStrategy(DistributorError):
    """There is no such strategy, or it does not fit the contract in distributor/strategies/contract.py."""


def load(name: str) -> Strategy:
    """The strategy called ``name``; raises UnusableStrategy, saying what is wrong and what comes nearest."""
    if name.endswith(".py"):
        return _instance(_only_class(_module_of_file(Path(name)), name), name)
    path = NAMES.get(name, name)
    if not _DOTTED.fullmatch(path):
        raise UnusableStrategy(f"there is no strategy {name!r}{_nearest(name)}; there are: {', '.join(NAMES)}")
    module_name, _, class_name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise UnusableStrategy(
            f"strategy {name!r}: module {module_name!r} cannot be imported: {_told(error, None)}"
        ) from error
    found = getattr(module, class_name, None)
    if not inspect.isclass(found):
        raise UnusableStrategy(f"strategy {name!r}: module {module_name!r} has no class {class_name!r}")
    return _instance(found, name)


def _nearest(name: str) -> str:
    near = get_close_matches(name, NAMES, n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def _module_of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UnusableStrategy(f"strategy file {str(path)!r} does not exist (looked in {Path.cwd()})")
    # Two files of the same name are two modules; a name that no import statement can mean hides nobody's module.
    module_name = f"strategy_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UnusableStrategy(f"strategy file {str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and typing look up the module of a class there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise UnusableStrategy(f"strategy file {str(path)!r}: {_told(error, path)}") from error
    return module


def _told(error: BaseException, path: Path | None) -> str:
    """What was raised, and at which line of the student's file (N2)."""
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, SyntaxError) or path is None:  # a SyntaxError names its line itself
        return said
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).resolve() == path.resolve()
    ]
    return f"line {frames[-1].lineno}: {said}" if frames else said


def _only_class(module: ModuleType, name: str) -> type:
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__ and callable(getattr(value, "take", None))
    ]
    if len(classes) != 1:
        raise UnusableStrategy(f"strategy file {name!r} must define one class with a method take, found {len(classes)}")
    return classes[0]


def _instance(strategy_class: type, name: str) -> Strategy:
    path = Path(name) if name.endswith(".py") else None
    try:
        inspect.signature(strategy_class).bind()
    except TypeError as error:
        raise UnusableStrategy(f"strategy {name!r}: {strategy_class.__name__} needs arguments: {error}") from error
    except ValueError:  # a class whose signature Python does not know; making one tells
        pass
    try:
        strategy: Strategy = strategy_class()
        problem = _problem(strategy)
    except (Exception, SystemExit) as error:
        raise UnusableStrategy(f"strategy {name!r}: {strategy_class.__name__}: {_told(error, path)}") from error
    if problem:
        raise UnusableStrategy(f"strategy {name!r}: {strategy_class.__name__}: {problem}")
    return strategy


def _problem(strategy: object) -> str | None:
    """What does not fit the contract (N1)."""
    name = getattr(strategy, "name", None)
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        return f"`name` must be a text of 1 to {NAME_LENGTH_MAX} characters that can be printed"
    if getattr(strategy, "isolation", None) not in get_args(IsolationLevel):
        return f"`isolation` must be one of {', '.join(get_args(IsolationLevel))}"
    retry_on = getattr(strategy, "retry_on", None)
    if not isinstance(retry_on, frozenset) or not all(isinstance(s, str) and _SQLSTATE.fullmatch(s) for s in retry_on):
        return "`retry_on` must be a frozenset of SQLSTATEs, such as frozenset({'40001'})"
    groups_max = getattr(strategy, "groups_max", None)
    if not isinstance(groups_max, int) or isinstance(groups_max, bool) or groups_max < 1:
        return "`groups_max` must be a whole number from 1"
    return _problem_of_take(getattr(strategy, "take", None))


def _problem_of_take(take: object) -> str | None:
    if not callable(take):
        return "a method `take(connection, baskets)` is missing"
    if inspect.iscoroutinefunction(take) or inspect.isasyncgenfunction(take):
        return "`take` must be an ordinary method, not `async def`: it is called from a thread"
    if inspect.isgeneratorfunction(take):
        return "`take` must return a list; with `yield` in it nothing runs before somebody reads"
    try:
        inspect.signature(take).bind("connection", "baskets")
    except TypeError:
        return f"`take` must accept (self, connection, baskets), not (self, {str(inspect.signature(take))[1:]}"
    return None
