"""References checked by the statement instead of row by row: for the tables that a month's supply writes by the million.

A foreign key of PostgreSQL asks once for every row and locks the row that it points at: of what a booked offer cost, two fifths.
Here one statement's rows are looked up together, and nothing is locked:

N1  A row that points nowhere is refused, with SQLSTATE 23503 as a foreign key would: AFTER INSERT.
N2  A row that is pointed at cannot be deleted. The deletion locks the pointing table against writers first, so that neither of
    two transactions can miss what the other does (READ COMMITTED; the product deletes none of these rows).
N3  Neither end of a reference ever changes: an UPDATE that names one of these columns is refused.

TRUNCATE is not held back: it must name both tables.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import DDL, event


@dataclass(frozen=True)
class Reference:
    """``table``.``column`` is the ``id`` of a row of ``target``."""

    table: str
    column: str
    target: str


REFERENCES = (
    Reference("stock", "product_id", "product"),
    Reference("stock", "manufacturer_id", "manufacturer"),
    Reference("supply_line", "supply_id", "supply"),
    Reference("supply_line", "stock_id", "stock"),
)

# EXECUTE, so that each statement is planned for the tables as they are now: a plan kept from when they were empty reads
# all of them.
FUNCTIONS = (
    """
    CREATE FUNCTION check_references() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE missing bigint;
    BEGIN
        FOR n IN 0 .. TG_NARGS - 1 BY 2 LOOP
            EXECUTE format('SELECT %1$I FROM written WHERE NOT EXISTS (SELECT FROM %2$I WHERE id = written.%1$I) LIMIT 1',
                           TG_ARGV[n], TG_ARGV[n + 1]) INTO missing;
            IF missing IS NOT NULL THEN
                RAISE foreign_key_violation USING
                    MESSAGE = format('%s.%s: there is no %s %s', TG_TABLE_NAME, TG_ARGV[n], TG_ARGV[n + 1], missing);
            END IF;
        END LOOP;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION check_not_referenced() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE needed bigint;
    BEGIN
        FOR n IN 0 .. TG_NARGS - 1 BY 2 LOOP
            EXECUTE format('LOCK TABLE %I IN SHARE MODE', TG_ARGV[n]);
            EXECUTE format('SELECT id FROM gone WHERE EXISTS (SELECT FROM %I WHERE %I = gone.id) LIMIT 1',
                           TG_ARGV[n], TG_ARGV[n + 1]) INTO needed;
            IF needed IS NOT NULL THEN
                RAISE foreign_key_violation USING
                    MESSAGE = format('%s %s is pointed at by %s.%s', TG_TABLE_NAME, needed, TG_ARGV[n], TG_ARGV[n + 1]);
            END IF;
        END LOOP;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION refuse_another_reference() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE foreign_key_violation USING MESSAGE = format('%s: neither end of a reference may change', TG_TABLE_NAME);
    END $$
    """,
)


def triggers_of(table: str) -> list[str]:
    """What the table ``table`` needs for both ends of its references (N1, N2, N3)."""
    own = [reference for reference in REFERENCES if reference.table == table]
    others = [reference for reference in REFERENCES if reference.target == table]
    fixed = ", ".join([*(["id"] if others else []), *(reference.column for reference in own)])
    made = []
    if own:
        pairs = ", ".join(f"'{each.column}', '{each.target}'" for each in own)
        made.append(
            f"CREATE TRIGGER {table}_references AFTER INSERT ON {table} REFERENCING NEW TABLE AS written"
            f" FOR EACH STATEMENT EXECUTE FUNCTION check_references({pairs})"
        )
    if others:
        pairs = ", ".join(f"'{each.table}', '{each.column}'" for each in others)
        made.append(
            f"CREATE TRIGGER {table}_referenced AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone"
            f" FOR EACH STATEMENT EXECUTE FUNCTION check_not_referenced({pairs})"
        )
    if fixed:
        made.append(
            f"CREATE TRIGGER {table}_references_stay BEFORE UPDATE OF {fixed} ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION refuse_another_reference()"
        )
    return made


def keep_references(metadata: Any) -> None:
    """Functions and triggers are made with the tables of ``metadata``, as the migrations make them."""
    for statement in (*FUNCTIONS, *(made for table in metadata.tables for made in triggers_of(table))):
        event.listen(metadata, "after_create", DDL(statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
