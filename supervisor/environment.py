"""The packages that everything else needs: use them where they are, else fill a ``.venv`` beside main.py and go on there.

Standard library only, for it runs before anything is installed. All it says goes to standard error.

E1  An environment that has the packages already is used as it is, and never changed.
E2  A set-up that was cut off is begun anew: a marker beside the .venv exists from before its first file until its last.
E3  Two set-ups at once are safe: the second one waits for the first one's lock and then finds its work done.
E4  A .venv that carries the lock file's hash is trusted without looking further: later starts cost no second.
E5  The packages are compiled once, here. Where Python may write no bytecode (PYTHONDONTWRITEBYTECODE, a folder of somebody
    else's), every process would compile them at each of its starts: measured, 2.8 s of CPU for a web instance, not 1.2.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READY_FLAG = "CDS_ENVIRONMENT_READY"
EXIT_CANNOT_START = 70
LINES_OF_FAILURE = 20


class SetUpError(Exception):
    """The environment cannot be made; the text says why and what to do."""


def ensure(root: Path, *, for_tests: bool) -> None:
    """Return when the packages are there; else make the .venv and continue this very command in it."""
    lock_file = root / ("requirements-test.txt" if for_tests else "requirements.txt")
    folder = root / ".venv"
    if is_stamped(folder, lock_file) and _runs_in(folder):
        return
    missing = lacking(root / "pyproject.toml", for_tests=for_tests)
    if not missing:
        return
    if os.environ.get(READY_FLAG) == "1":
        raise SetUpError(f"after the set-up these packages are still missing: {', '.join(missing)}; remove {folder}")
    if not is_stamped(folder, lock_file):
        _set_up(root, folder, lock_file, for_tests=for_tests)
    python = folder / "bin" / "python"
    sys.stderr.flush()
    os.execve(python, [str(python), str(root / "main.py"), *sys.argv[1:]], os.environ | {READY_FLAG: "1"})  # noqa: S606


def lacking(pyproject: Path, *, for_tests: bool) -> list[str]:
    """The required packages that this interpreter does not have at a usable version."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    if for_tests:
        wanted += project["optional-dependencies"]["test"]
    return [requirement for requirement in wanted if not _is_satisfied(requirement)]


def _is_satisfied(requirement: str) -> bool:
    """Reads the few forms that pyproject.toml uses: name, [extras], >=version, and a marker that excludes Windows."""
    parsed = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?(?:>=([0-9.]+))?", requirement)
    if parsed is None:
        return False
    name, least = parsed[1], parsed[2]
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return least is None or _numbers(found) >= _numbers(least)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _runs_in(folder: Path) -> bool:
    return Path(sys.prefix).resolve() == folder.resolve()


def marker(folder: Path) -> Path:
    """Exists while a set-up is at work, and after one that was cut off (E2)."""
    return folder.with_name(folder.name + ".in-progress")


def _stamp(folder: Path, lock_file: Path) -> Path:
    return folder / f"cds-{lock_file.stem}.sha256"


def is_stamped(folder: Path, lock_file: Path) -> bool:
    """E4; a set-up in progress makes every stamp worthless (E2)."""
    try:
        stamp = _stamp(folder, lock_file).read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return stamp == _hash(lock_file) and not marker(folder).exists() and (folder / "bin" / "python").exists()


def _hash(lock_file: Path) -> str:
    return hashlib.sha256(lock_file.read_bytes()).hexdigest()


def _set_up(root: Path, folder: Path, lock_file: Path, *, for_tests: bool) -> None:
    with _only_one(root):
        if is_stamped(folder, lock_file):
            return
        if not _has_packages(root, folder, for_tests=for_tests):
            _say(f"set-up: filling {folder} from {lock_file.name} (once)")
            _fill(folder, lock_file)
        _stamp(folder, lock_file).write_text(_hash(lock_file), encoding="ascii")


def _has_packages(root: Path, folder: Path, *, for_tests: bool) -> bool:
    """Whether a .venv that somebody else made is good already (E1)."""
    python = folder / "bin" / "python"
    if not python.exists() or marker(folder).exists():
        return False
    question = [str(python), str(Path(__file__)), str(root / "pyproject.toml"), "test" if for_tests else "run"]
    return subprocess.run(question, check=False, stdout=subprocess.DEVNULL).returncode == 0


@contextmanager
def _only_one(root: Path) -> Iterator[None]:
    """E3."""
    import fcntl

    try:
        file = (root / ".venv.lock").open("w", encoding="ascii")
    except OSError as error:
        raise SetUpError(f"the packages are missing, and {root} cannot be written to: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("set-up: another one is at work in this folder; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fill(folder: Path, lock_file: Path) -> None:
    """Make the .venv where it is missing, broken or half made, and install the locked packages into it (E2)."""
    uv = _working_uv()
    cut_off = marker(folder).exists()
    marker(folder).touch()
    if cut_off or not _works(folder):
        shutil.rmtree(folder, ignore_errors=True)
        if uv:
            _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        else:
            _make_with_venv(folder)
    python = str(folder / "bin" / "python")
    if uv:
        quiet = [] if sys.stderr.isatty() else ["--quiet"]
        compiled = [uv, "pip", "install", *quiet, "--compile-bytecode"]  # E5; pip does so by itself
        _run([*compiled, "--python", python, "--require-hashes", "-r", str(lock_file)])
    else:
        _install_with_pip(python, lock_file)
    marker(folder).unlink()


def _works(folder: Path) -> bool:
    """A .venv whose interpreter was removed or upgraded away does not."""
    python = folder / "bin" / "python"
    return python.exists() and subprocess.run([str(python), "-c", ""], check=False).returncode == 0


def _working_uv() -> str | None:
    """Some launchers on PATH only say that uv is not there."""
    uv = shutil.which("uv")
    if uv is None or subprocess.run([uv, "--version"], check=False, capture_output=True).returncode != 0:
        return None
    return uv


def _make_with_venv(folder: Path) -> None:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SetUpError(
            f"this Python {version} comes without venv and ensurepip, so the packages cannot be installed;\n"
            "on Debian and Ubuntu: apt install python3-venv    (or install uv)"
        )
    _run([sys.executable, "-m", "venv", str(folder)])


def _install_with_pip(python: str, lock_file: Path) -> None:
    """pip's many lines become one that counts."""
    total = len(re.findall(r"^[A-Za-z0-9._-]+(?:\[.*?\])?==", lock_file.read_text(encoding="utf-8"), re.MULTILINE))
    argv = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    argv += ["--require-hashes", "-r", str(lock_file)]
    lines: list[str] = []
    seen = 0
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        for line in pip.stdout or ():
            lines.append(line.rstrip())
            if line.startswith("Collecting "):
                seen += 1
                _progress(f"set-up: {seen} of {total} packages: {line.split()[1]}", every_line=seen % 20 == 0)
            elif line.startswith("Installing "):
                _progress("set-up: installing", every_line=True)
    _progress("", every_line=False)
    if pip.returncode != 0:
        raise SetUpError(
            "\n".join(lines[-LINES_OF_FAILURE:]) + "\nthe packages could not be installed; is there a network?"
        )


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, check=False, stdout=sys.stderr)
    if done.returncode != 0:
        raise SetUpError(f"{' '.join(argv[:3])} ended with exit code {done.returncode}; its lines above say why")


def _progress(text: str, *, every_line: bool) -> None:
    """One line that is written over on a terminal; now and then a line where nobody can write over anything."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text[:78]}")
        sys.stderr.flush()
    elif every_line:
        _say(text)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(1 if lacking(Path(sys.argv[1]), for_tests=sys.argv[2] == "test") else 0)
