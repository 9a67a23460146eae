"""What the database answers and what `/readyz` makes of it: R1 of `customers/readiness.py`, with errors of a real database."""

import pytest
from flask import Flask
from sqlalchemy import text

from customers.instance import instance_of
from customers.readiness import NOT_CURRENT, reason_against
from distributor.database import transaction
from tests.distributor_world import engine_for

RAISES = """
CREATE OR REPLACE FUNCTION refuse() RETURNS text LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'not for you' USING ERRCODE = '{sqlstate}'; END $$
"""


def test_an_error_that_the_database_answers_with_is_a_reason_and_no_silence(empty_database_url: str) -> None:
    engine = engine_for(empty_database_url, pool_size=1)
    for sqlstate in ("42501", "53200", "57014"):  # no right, no memory, too late
        with transaction(engine) as connection:
            connection.execute(text(RAISES.format(sqlstate=sqlstate)))
            connection.execute(text("CREATE OR REPLACE VIEW alembic_version AS SELECT refuse() AS version_num"))
        assert reason_against(engine)
    engine.dispose()


def test_with_the_schema_of_another_version_it_is_not_asked_even_where_nobody_else_is(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retry-After makes the balancer ask it at last (load_balancer S7)."""
    for reason, is_asked in ((NOT_CURRENT, False), ("too many clients", True)):
        monkeypatch.setattr(instance_of(app).readiness, "_look", lambda reason=reason: reason)
        answer = app.test_client().get("/readyz")
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, is_asked)
