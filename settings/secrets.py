"""Secrets of one state folder: made on first start, readable by the owner only, shared by all processes.

S1  A secret is written once; later starts read the same one (a login survives a restart).
S2  The file is never readable by group or others; a file that is, is refused.
"""

import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from settings.errors import Problem, SettingsError

FILE = "secrets.json"
KEY_BYTES = 32  # 256 bits; ASVS 5.0 11.5.1 asks for 128 at least


class Secrets(BaseModel):
    """``manufacturer_keys``: manufacturer code -> HMAC key. ``broker_passwords``: RabbitMQ user -> password."""

    model_config = ConfigDict(frozen=True)

    installation_id: str
    session_key: str
    control_token: str
    postgres_password: str
    erlang_cookie: str
    manufacturer_keys: dict[str, str]
    broker_passwords: dict[str, str]

    @classmethod
    def read(cls, state: Path) -> "Secrets":
        """Read the secrets of the state folder; raises SettingsError where it cannot, others can, or it is damaged."""
        path = state / FILE
        try:
            mode, raw = path.stat().st_mode, path.read_bytes()
        except OSError as error:
            raise SettingsError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from error
        if os.name == "posix" and mode & 0o077:
            raise SettingsError([Problem(str(path), "", f"others can read the secrets; fix it with: chmod 600 {path}")])
        try:
            return cls.model_validate_json(raw)
        except ValueError as error:
            raise SettingsError(
                [Problem(str(path), "", "the file is damaged; restore it, or remove it to make new secrets")]
            ) from error

    @classmethod
    def read_or_make(cls, state: Path, manufacturer_codes: list[str]) -> "Secrets":
        """The secrets of the state folder, made where they are missing; new manufacturers get keys of their own."""
        known = cls.read(state) if (state / FILE).exists() else _fresh()
        complete = known.model_copy(
            update={
                "manufacturer_keys": _with_missing(known.manufacturer_keys, manufacturer_codes),
                "broker_passwords": _with_missing(known.broker_passwords, ["admin", "relay", *manufacturer_codes]),
            }
        )
        if complete != known or not (state / FILE).exists():
            write_text_owner_only(state / FILE, complete.model_dump_json(indent=2))
        return complete


def _fresh() -> Secrets:
    return Secrets(
        installation_id=secrets.token_hex(8),
        session_key=secrets.token_urlsafe(KEY_BYTES),
        control_token=secrets.token_urlsafe(KEY_BYTES),
        postgres_password=secrets.token_urlsafe(KEY_BYTES),
        erlang_cookie=secrets.token_hex(KEY_BYTES),
        manufacturer_keys={},
        broker_passwords={},
    )


def _with_missing(known: dict[str, str], wanted: list[str]) -> dict[str, str]:
    return known | {name: secrets.token_urlsafe(KEY_BYTES) for name in wanted if name not in known}


def write_text_owner_only(path: Path, text: str) -> None:
    """Readable by the owner only. Written beside, then renamed: a process that dies here leaves the old file whole."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def write_owner_only(path: Path, content: object) -> None:
    """Write JSON that only the owner may read, atomically."""
    write_text_owner_only(path, json.dumps(content, indent=2))
