"""An error is an answer: R1 of `customers/readiness.py`, with errors of a real database."""

from sqlalchemy import text

from customers.readiness import reason_against
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
