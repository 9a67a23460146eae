"""The embedded PostgreSQL (invariants G1 to G4 of supervisor/postgres.py)."""

import psycopg

from tests.conftest import Server, plain


def test_a_fresh_database_is_durable_and_takes_passwords_only(postgres_server: Server, empty_database_url: str) -> None:
    """G2."""
    with psycopg.connect(plain(empty_database_url)) as connection:
        names = ["fsync", "synchronous_commit", "unix_socket_directories", "listen_addresses"]
        values = [connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
        assert [value[0] for value in values if value] == ["on", "on", "", "127.0.0.1"]
        connection.execute("CREATE TABLE t (v int)")
