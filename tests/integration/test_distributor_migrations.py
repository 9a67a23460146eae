"""The migrations arrive at exactly what ``tables.py`` says, whoever starts first. Numbers (M1 …) are migrate.py's."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from distributor import migrate
from distributor.errors import DatabaseUnavailable
from distributor.migrate import SchemaNotUsable, is_current, known_versions, upgrade, version
from distributor.tables import Base
from tests.conftest import free_port


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


CONSTRAINTS = text(
    """
    SELECT conrelid::regclass::text AS relation, contype::text, pg_get_constraintdef(oid) AS definition,
           CASE WHEN contype = 'c' THEN conname END AS name
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
      AND conrelid::regclass::text <> 'alembic_version'
    UNION ALL
    SELECT tablename, 'index', indexdef, indexname FROM pg_indexes
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    UNION ALL
    SELECT tgrelid::regclass::text, 'trigger', pg_get_triggerdef(oid), tgname FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT '', 'function', pg_get_functiondef(oid), proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT relname, 'option', reloptions::text, '' FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND reloptions IS NOT NULL
    """
)


def everything(url: str) -> set[tuple[str, ...]]:
    """All that Alembic does not compare, as the database itself writes it: CHECKs, partial indexes, triggers, functions …"""
    with connected(url) as connection:
        return {tuple(map(str, row)) for row in connection.execute(CONSTRAINTS)}


def test_the_migrations_arrive_at_the_tables(database_url: str) -> None:
    engine: Engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
    assert differences == []


def test_constraints_and_indexes_are_those_of_the_tables(database_url: str, empty_database_url: str) -> None:
    """Alembic compares no CHECK and no index condition; the database's own words do."""
    with connected(empty_database_url) as connection:
        Base.metadata.create_all(connection)
    assert everything(database_url) == everything(empty_database_url)


def test_file_names_begin_with_the_version() -> None:
    """Otherwise ``known_versions``, which reads only the names, would not know what Alembic does."""
    script = ScriptDirectory(str(migrate._FOLDER))
    assert known_versions() == sorted(step.revision for step in script.walk_revisions())
    assert script.get_current_head() == known_versions()[-1]


def test_an_empty_database_is_brought_up_and_then_left_alone(empty_database_url: str) -> None:
    with connected(empty_database_url) as connection:
        assert version(connection) is None
        assert not is_current(connection)
    upgrade(empty_database_url)
    upgrade(empty_database_url)
    with connected(empty_database_url) as connection:
        assert is_current(connection)


def test_two_at_once_are_safe(empty_database_url: str) -> None:
    """M1"""
    failures: list[Exception] = []
    together = threading.Barrier(4)

    def start() -> None:
        together.wait()
        try:
            upgrade(empty_database_url)
        except Exception as error:  # noqa: BLE001 - the test shows it
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    with connected(empty_database_url) as connection:
        assert is_current(connection)


def test_a_step_that_fails_leaves_nothing_behind(empty_database_url: str) -> None:
    """M2: the last table of the first step is there already, so that the step fails at its end."""
    with connected(empty_database_url) as connection:
        connection.execute(text("CREATE TABLE outbox (id int)"))
    with pytest.raises(SchemaNotUsable, match='relation "outbox" already exists'):
        upgrade(empty_database_url)
    with connected(empty_database_url) as connection:
        assert version(connection) is None
        assert connection.scalar(text("SELECT to_regclass('month')")) is None


def test_a_newer_schema_is_refused_and_left_as_it_is(database_url: str) -> None:
    """M3"""
    with connected(database_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaNotUsable, match="version 9999, this code knows only up to"):
        upgrade(database_url)
    with connected(database_url) as connection:
        assert version(connection) == "9999"
        assert not is_current(connection)


def test_a_database_that_is_away_is_said_so() -> None:
    with pytest.raises(DatabaseUnavailable, match="could not be brought up to date"):
        upgrade(f"postgresql+psycopg://cds@127.0.0.1:{free_port()}/cds")


def test_a_database_that_may_not_be_changed_is_said_so(empty_database_url: str) -> None:
    """Not retried for ever: somebody has to do something."""
    with connected(empty_database_url) as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET default_transaction_read_only = on"))
    with pytest.raises(SchemaNotUsable, match="read-only transaction"):
        upgrade(empty_database_url)


def test_a_current_schema_is_found_without_loading_alembic(database_url: str) -> None:
    """It would stay in the memory of every distributor for nothing."""
    code = f"import sys; from distributor.migrate import upgrade; upgrade({database_url!r}); print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
