"""Databases for the tests: emptied and used again where that is safe, for making a new one takes ten times as long.

D1  Whoever gets a database finds it as migrations leave it: no rows, sequences at their start, no statistics, nobody else
    connected.
D2  One whose schema or settings were changed, that was vacuumed or analysed, or that has grown, is dropped instead.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg

GROWTH_BYTES_MAX = 4_000_000  # beyond it, dead rows and large indexes would make the next test another one; chosen

# What a test may change: version, tables, indexes, columns, constraints, triggers, functions, settings of the database.
_SCHEMA = """
    SELECT md5(string_agg(fact, ' ' ORDER BY fact)) FROM (
        SELECT concat('class ', oid, relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat('column ', attrelid, attname, atttypid, attnotnull, atthasdef)
            FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat('constraint ', oid, conname, convalidated) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT concat('trigger ', oid, tgenabled) FROM pg_trigger
        UNION ALL SELECT concat('function ', oid, md5(prosrc)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT concat('setting ', setrole, setconfig) FROM pg_db_role_setting
            WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
        UNION ALL SELECT concat('version ', version_num) FROM alembic_version
    ) AS facts (fact)
"""
_VACUUMED = """
    SELECT EXISTS (SELECT FROM pg_stat_user_tables
                   WHERE coalesce(last_vacuum, last_autovacuum, last_analyze, last_autoanalyze) IS NOT NULL)
"""
_END_OTHERS = """
    SELECT count(pg_terminate_backend(pid, 30000)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_EMPTY = """
    DO $$
    DECLARE relation record; has_rows boolean;
    BEGIN
        SET LOCAL session_replication_role = replica;  -- no foreign keys, in whatever order
        FOR relation IN SELECT oid::regclass AS name FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
        LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', relation.name) INTO has_rows;
            IF has_rows THEN EXECUTE format('DELETE FROM %s', relation.name); END IF;
        END LOOP;
        FOR relation IN SELECT oid AS id FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' LOOP
            PERFORM setval(relation.id, (SELECT seqstart FROM pg_sequence WHERE seqrelid = relation.id), false);
        END LOOP;
    END $$
"""


class Administrator(Protocol):
    """Where the databases live; conftest's server."""

    def url(self, database: str) -> str: ...

    def administer(self, statement: str) -> None: ...

    def drop(self, database: str) -> None: ...

    def superuser_conninfo(self, database: str) -> str: ...


class CleanDatabases:
    """The databases of one session. ``template``: the database that they are made from."""

    def __init__(self, server: Administrator, owner: str, template: str) -> None:
        self._server = server
        self._make = f"OWNER {owner} TEMPLATE {template}"
        self._free: list[str] = []
        self._schema: str | None = None
        self._bytes = 0

    @contextmanager
    def one(self) -> Iterator[str]:
        """A clean database's URL (D1)."""
        name = self._free.pop() if self._free else self._new()
        yield self._server.url(name)
        if self._cleaned(name):
            self._free.append(name)
        else:
            self._server.drop(name)

    def _new(self) -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._server.administer(f"CREATE DATABASE {name} {self._make}")
        if self._schema is None:
            with self._connected(name) as connection:
                self._schema, self._bytes = _value(connection, _SCHEMA), _size(connection)
        return name

    def _cleaned(self, name: str) -> bool:
        """Empty it, or say that it cannot be used again (D2)."""
        with self._connected(name) as connection:
            connection.execute(_END_OTHERS)
            if _size(connection) > self._bytes + GROWTH_BYTES_MAX or _value(connection, _VACUUMED):
                return False
            if _value(connection, _SCHEMA) != self._schema:
                return False
            connection.execute(_EMPTY)
            connection.execute("SELECT pg_stat_reset()")
        return True

    def _connected(self, name: str) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._server.superuser_conninfo(name), autocommit=True)


def _value(connection: "psycopg.Connection[Any]", query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def _size(connection: "psycopg.Connection[Any]") -> int:
    return int(_value(connection, "SELECT pg_database_size(current_database())"))
