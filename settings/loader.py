"""config.yml + environment + ``--set`` -> Settings, or every mistake at once with its place.

Order of precedence: default < file < environment (``CDS_A__B=value``) < ``--set a.b=value``.

A strategy's own file (``distributor.strategy``: ``mine.py``) is made absolute here, for processes and runs work in folders of
their own: what the file config.yml says counts from its folder, what is said on the command line from where one stands.
"""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from settings.errors import Problem, SettingsError
from settings.model import Settings
from settings.tls import file_fault

ENVIRONMENT_PREFIX = "CDS_"
# Variables of this prefix that are not settings: used by the tests and by the set-up.
NOT_SETTINGS = frozenset({"CDS_REQUIRE_ALL", "CDS_ENVIRONMENT_READY"})
FILE_BYTES_MAX = 1_000_000
# What PyYAML raises for a value that is not what its tag says: not only errors of its own.
_UNREADABLE = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)


@dataclass
class _Gathered:
    """Values so far, where each key came from, and the mistakes found on the way."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def put(self, key: str, value: Any, place: str) -> None:
        *sections, last = key.split(".")
        level = self.values
        for section in sections:
            inner = level.setdefault(section, {})
            if not isinstance(inner, dict):
                self.problems.append(Problem(place, key, f"{section} is a value, not a section"))
                return
            level = inner
        level[last] = value
        self.places[key] = place


def load(path: Path, environment: Mapping[str, str] | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Read and check all sources; raises SettingsError with every mistake that was found."""
    gathered = _Gathered()
    _read_file(path, gathered)
    _find_strategy(gathered, path.parent)
    for name, text in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in NOT_SETTINGS:
            _override(name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", "."), text, name, gathered)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            gathered.problems.append(Problem("--set", key, "expected a.b=value"))
            continue
        _override(key.strip(), text, "--set", gathered)
    _find_strategy(gathered, Path.cwd())
    try:
        settings = Settings.model_validate(gathered.values)
        gathered.problems += _file_problems(settings, gathered.places, str(path))
    except ValidationError as error:
        gathered.problems += [_explain(mistake, gathered.places, str(path)) for mistake in error.errors()]
    if gathered.problems:
        raise SettingsError(gathered.problems)
    return settings.behind_tls()


def _file_problems(settings: Settings, places: Mapping[str, str], path: str) -> list[Problem]:
    """What is wrong with files that are named; looked at here only, for a system that runs has read them."""
    tls = settings.load_balancer.tls
    pairs = [("", tls.certificate, tls.key)] if tls.certificate else []
    pairs += [(f"further.{place}.", pair.certificate, pair.key) for place, pair in enumerate(tls.further)]
    problems = []
    for prefix, certificate, private in pairs:
        fault = file_fault(certificate, private)
        if fault is not None:
            key = f"load_balancer.tls.{prefix}{fault.key}"
            problems.append(Problem(_nearest_place(key, places, path), key, fault.what))
    return problems


def _find_strategy(gathered: _Gathered, folder: Path) -> None:
    """A file of one's own, relative to ``folder``, as an absolute path; names and dotted paths stay as they are."""
    section = gathered.values.get("distributor")
    named = section.get("strategy") if isinstance(section, dict) else None
    if isinstance(section, dict) and isinstance(named, str) and named.endswith(".py"):
        section["strategy"] = str((folder / Path(named).expanduser()).resolve())


def _override(key: str, text: str, place: str, gathered: _Gathered) -> None:
    """One key from the environment or the command line; the text is read as YAML reads a plain value."""
    if key not in _known_keys():
        gathered.problems.append(Problem(place, key, "unknown key" + _nearest(key)))
        return
    try:
        value = yaml.safe_load(text)
    except _UNREADABLE:
        gathered.problems.append(Problem(place, key, f"{text!r} cannot be read as a value"))
        return
    gathered.put(key, "" if value is None else value, place)


def _read_file(path: Path, gathered: _Gathered) -> None:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from error
    if len(raw) > FILE_BYTES_MAX:
        raise SettingsError([Problem(str(path), "", f"is larger than {FILE_BYTES_MAX} bytes")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError([Problem(f"{path}:{line}", "", "is not UTF-8")]) from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _walk(root, "", path, gathered)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or str(error)
        raise SettingsError([Problem(place, "", f"is not valid YAML: {what}")]) from error


def _walk(node: yaml.Node, prefix: str, path: Path, gathered: _Gathered) -> None:
    """Put every leaf below ``node``; duplicate keys are mistakes, for YAML silently keeps the last."""
    if not isinstance(node, yaml.MappingNode):
        gathered.problems.append(Problem(_place(path, node), prefix, "expected sections with keys"))
        return
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        name = str(key_node.value)
        key = f"{prefix}.{name}" if prefix else name
        if name in seen:
            gathered.problems.append(Problem(_place(path, key_node), key, f"duplicate key, first on line {seen[name]}"))
            continue
        seen[name] = key_node.start_mark.line + 1
        gathered.places[key] = _place(path, key_node)
        if not prefix and name in Settings.model_fields:
            _walk_section(value_node, key, path, gathered)
        else:
            _put_leaf(value_node, key, path, _place(path, key_node), gathered)


def _walk_section(node: yaml.Node, key: str, path: Path, gathered: _Gathered) -> None:
    empty = isinstance(node, yaml.ScalarNode) and node.value == ""
    if not empty:
        _walk(node, key, path, gathered)


def _put_leaf(node: yaml.Node, key: str, path: Path, place: str, gathered: _Gathered) -> None:
    loader = yaml.SafeLoader("")
    try:
        value = loader.construct_object(node, deep=True)
    except _UNREADABLE:
        gathered.problems.append(Problem(place, key, "cannot be read as a value"))
        return
    _note_places(node, key, path, gathered)
    gathered.put(key, value, place)


def _note_places(node: yaml.Node, key: str, path: Path, gathered: _Gathered) -> None:
    """Where each key below stands."""
    if isinstance(node, yaml.MappingNode):
        for inner, value in node.value:
            below = f"{key}.{inner.value}"
            gathered.places[below] = _place(path, inner)
            _note_places(value, below, path, gathered)


def _place(path: Path, node: yaml.Node) -> str:
    return f"{path}:{node.start_mark.line + 1}"


def _explain(mistake: Any, places: Mapping[str, str], path: str) -> Problem:
    key = ".".join(str(part) for part in mistake["loc"])
    place = _nearest_place(key, places, path)
    if mistake["type"] == "extra_forbidden":
        return Problem(place, key, "unknown key" + _nearest(key))
    what = str(mistake["msg"]).removeprefix("Value error, ")
    what = what[:1].lower() + what[1:]
    given = mistake.get("input")
    if isinstance(given, (str, int, float, bool)) or given is None:
        what += f" (given: {given!r})"
    return Problem(place, key, what)


def _nearest_place(key: str, places: Mapping[str, str], path: str) -> str:
    """Where the key stands, or what it stands in."""
    return next((places[above] for above in _upwards(key) if above in places), path)


def _upwards(key: str) -> Iterator[str]:
    """The key, and what it stands in."""
    while key:
        yield key
        key = key.rpartition(".")[0]


def _known_keys() -> list[str]:
    """Every ``section.key`` that exists, and what stands in those that are sections themselves."""
    return [key for key in _keys_below("", Settings) if "." in key]


def _keys_below(prefix: str, section: type[BaseModel]) -> list[str]:
    keys: list[str] = []
    for name, info in section.model_fields.items():
        keys.append(f"{prefix}{name}")
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            keys += _keys_below(f"{prefix}{name}.", info.annotation)
    return keys


def _nearest(key: str) -> str:
    known = _known_keys() if "." in key else list(Settings.model_fields)
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    section = key.partition(".")[0]
    choices = [name for name in known if name.startswith(section + ".")] or list(Settings.model_fields)
    return f"; known here: {', '.join(choices)}"
