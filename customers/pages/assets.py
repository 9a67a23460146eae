"""Style sheet, script and mark: addressed by their content, so that browsers keep them until they change."""

import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
VERSION_DIGITS = 12

_VERSIONS = {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:VERSION_DIGITS] for path in sorted(FOLDER.iterdir())
}


def address(name: str) -> str:
    return f"/static/{_VERSIONS[name]}/{name}"


def is_current(version: str, name: str) -> bool:
    """An instance of another version may be asked for a file of this one: it must not be kept for ever."""
    return _VERSIONS.get(name) == version
