"""Statements that are written out once and then sent by `database.trip`, which goes around SQLAlchemy's execution."""

import re
from typing import Any

from psycopg.sql import quote
from sqlalchemy import Executable
from sqlalchemy.dialects import postgresql

from distributor.database import Statement

_LITERAL = re.compile(r"(__\[POSTCOMPILE_(\w+)\])")  # SQLAlchemy's mark for one
_DIALECT = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own has no types


class Prepared:
    """A statement of SQLAlchemy written out once, to be sent by `trip`: for what runs with every page.

    What is the same each time is a part of the text: it is neither converted nor sent, and PostgreSQL's plan knows it.
    Of what SQLAlchemy would write anew for each execution it may hold ``literal_execute`` texts, but no ``in_`` of values.
    """

    def __init__(self, statement: Executable) -> None:
        written = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        self._sql = str(written)
        for name, value in written.params.items():
            if value is not None:
                self._sql = self._sql.replace(f"%({name})s", _literal(value))
        self._literals = dict(_LITERAL.findall(self._sql))
        """Where the texts are to be written into the statement, so that PostgreSQL plans for them: by place their names."""

    def __call__(self, **values: Any) -> Statement:
        sql = self._sql
        for place, name in self._literals.items():
            sql = sql.replace(place, _literal(values.pop(name)))
        return sql, values


def _literal(value: Any) -> str:
    return quote(value).replace("%", "%%")
