"""Brings the database's schema to the code's version, whoever asks first.

M1  One migrates at a time: the others wait for the advisory lock, then find nothing left to do.
M2  All steps and their version number commit together: a crash leaves the old schema, never a half one.
M3  A schema that is newer than the code is refused and left as it is.

Called by every distributor at its start; web instances only ask ``is_current``.
"""

import logging
import re
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from distributor.errors import DatabaseUnavailable, DistributorError

MIGRATION_LOCK = 0x4344_5302  # beside distributor.months.gate.SALES_GATE
CONNECT_TIMEOUT_SECONDS = 5
LOCK_TIMEOUT_MS = 120_000  # a step of another distributor may take that long; chosen
STATEMENT_TIMEOUT_MS = 600_000  # an index on a big table may take minutes; chosen

_FOLDER = Path(__file__).parent / "migrations"
_STEP_FILE = re.compile(r"^(\d{4})_[a-z0-9_]+\.py$")


class SchemaNotUsable(DistributorError):
    """The database's schema does not fit to this version of the code."""


def known_versions() -> list[str]:
    """Every version that the code can bring a database to, oldest first: the numbers that the step files begin with."""
    matches = (_STEP_FILE.match(path.name) for path in (_FOLDER / "versions").iterdir())
    return sorted(match.group(1) for match in matches if match)


def version(connection: Connection) -> str | None:
    """The schema's version, None for a database without schema."""
    exists = connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    if not exists:
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def is_current(connection: Connection) -> bool:
    """Whether the code may work on this database; never raises for an old or empty one."""
    return version(connection) == known_versions()[-1]


def upgrade(database_url: str) -> None:
    """Bring the schema to the newest version; raises SchemaNotUsable (M3) or DatabaseUnavailable."""
    engine = create_engine(database_url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS})
    try:
        with engine.begin() as connection:
            _upgrade(connection)
    except OperationalError as error:
        message = f"the schema could not be brought up to date: {_first_line(error)}"
        raise DatabaseUnavailable(message) from error
    except DBAPIError as error:  # no right to create tables, tables of something else in the way, …
        message = f"the schema could not be brought up to date: {_first_line(error)}"
        raise SchemaNotUsable(message) from error
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    connection.execute(
        text("SELECT set_config('lock_timeout', :lock, true), set_config('statement_timeout', :statement, true)"),
        {"lock": str(LOCK_TIMEOUT_MS), "statement": str(STATEMENT_TIMEOUT_MS)},
    )
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    known = known_versions()
    found = version(connection)
    if found == known[-1]:
        return
    if found is not None and found not in known:
        message = (
            f"the database's schema has version {found}, this code knows only up to {known[-1]}: "
            "start the newer code, or use another database"
        )
        raise SchemaNotUsable(message)
    _run_steps(connection)


def _run_steps(connection: Connection) -> None:
    """Imported only when there is something to do: Alembic would stay in memory for nothing."""
    from alembic import command
    from alembic.config import Config

    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # it announces each of its own parts
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).partition("\n")[0]
