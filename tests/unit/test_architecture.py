"""Who may import whom, and the house rules of size and naming, as tests (docs/architecture.md states them)."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ANYTHING = None
MAY_IMPORT: dict[str, set[str] | None] = {
    "settings": set(),
    "checker": set(),
    "broker": {"settings"},
    "load_balancer": {"settings"},
    "supervisor": {"settings"},
    "distributor": {"broker", "settings"},
    "manufacturers": {"broker", "settings"},
    "customers": {"distributor", "settings"},
    "scenarios": {"checker", "settings"},
    "grading": {"distributor", "scenarios", "settings", "supervisor"},
    "bench": ANYTHING,
    "command_line": ANYTHING,
}
NEVER = {"distributor": {"flask"}, "checker": {"sqlalchemy"}, "supervisor": {"flask", "sqlalchemy"}}
# The load balancer's core decides, its asyncio side moves bytes: neither sockets nor a clock in the core.
CORE = ("load_balancer/http1", "load_balancer/balancing")
CORE_NEVER_IMPORTS = {"asyncio", "logging", "os", "select", "socket", "ssl", "threading", "time", "uvloop"}
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "lib"}


def python_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


FILES = python_files()


def imported(path: Path, *, whole: bool = False) -> Iterator[str]:
    """Top-level packages that a file imports, or ``whole`` the modules' full names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        else:
            continue
        yield from names if whole else (name.partition(".")[0] for name in names)


@pytest.mark.parametrize("package", [package for package, allowed in MAY_IMPORT.items() if allowed is not ANYTHING])
def test_a_package_imports_only_what_it_may(package: str) -> None:
    allowed = (MAY_IMPORT[package] or set()) | {package}
    forbidden = (set(MAY_IMPORT) | {"main", "tests"}) - allowed | NEVER.get(package, set())
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in FILES
        if path.relative_to(ROOT).parts[0] == package
        for name in imported(path)
        if name in forbidden
    ]
    assert found == []


def test_every_package_has_a_rule_and_every_rule_a_package() -> None:
    with_code = {path.parent.name for path in FILES if path.name == "__init__.py" and path.parent.parent == ROOT}
    assert with_code - {"tests"} == set(MAY_IMPORT)


def test_uvicorn_is_known_in_one_folder_only() -> None:
    knowing = {path.parent.relative_to(ROOT).as_posix() for path in FILES if "uvicorn" in imported(path)}
    assert knowing == {"customers/serving"}


@pytest.mark.parametrize("core", CORE)
def test_the_load_balancers_core_does_no_io_and_imports_no_other_part(core: str) -> None:
    files = [path for path in FILES if path.relative_to(ROOT).as_posix().startswith(f"{core}/")]
    assert files
    package = core.replace("/", ".")
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported(path, whole=True)
        if name.partition(".")[0] in CORE_NEVER_IMPORTS
        or (name.startswith("load_balancer.") and not name.startswith(package))
    ]
    assert found == []


def test_nothing_imports_bench_and_only_load_processes_import_locust() -> None:
    """Locust brings gevent, which must never get into a server process."""
    product = [path for path in FILES if path.relative_to(ROOT).parts[0] not in ("tests", "bench")]
    assert [path for path in product if "bench" in imported(path) and path.parent.name != "command_line"] == []
    locust = {path.relative_to(ROOT).parts[0] for path in product if {"locust", "gevent"} & set(imported(path))}
    assert locust <= {"scenarios"}


def test_the_map_of_the_code_names_what_is_there() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    places = {"/" + path for path in listed} | {f"/{folder}/" for path in listed for folder in Path(path).parents}
    named = re.findall(
        r"`([\w/.]+(?:\.(?:py|html|css|sql|yml)|/))`", (ROOT / "docs/architecture.md").read_text("utf-8")
    )
    assert len(named) > 50
    assert [name for name in named if not any(place.endswith("/" + name) for place in places)] == []


def test_every_package_says_what_it_is() -> None:
    missing = [
        str(path.relative_to(ROOT))
        for path in FILES
        if path.name == "__init__.py"
        and "tests" not in path.parts
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert missing == []


def test_files_and_functions_stay_short() -> None:
    long_files = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in FILES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    ]
    long_functions = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long_files + long_functions == []


def test_names_say_what_is_inside() -> None:
    vague = [
        str(path.relative_to(ROOT))
        for path in FILES
        if VAGUE_NAMES & {part.removesuffix(".py").lower() for part in path.relative_to(ROOT).parts}
    ]
    assert vague == []


def test_nothing_is_left_open_in_the_code() -> None:
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    left = [str(path.relative_to(ROOT)) for path in FILES if marks.search(path.read_text(encoding="utf-8"))]
    assert left == []


def test_every_test_checks_something() -> None:
    """A test without an assertion, a raises or a call of a checking function cannot fail."""
    empty = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in FILES
        if path.relative_to(ROOT).parts[0] == "tests"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not any(_checks(inner) for inner in ast.walk(node))
    ]
    assert empty == []


def _checks(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    name = getattr(getattr(node, "func", None), "attr", None) or getattr(getattr(node, "func", None), "id", "")
    return isinstance(node, ast.Call) and bool(
        re.search(r"raises|fail|assert|expect|check|verify|wait_|holds|matches", str(name))
    )
