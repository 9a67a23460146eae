"""`main.py sign-out`: ends sessions of the running shop, for whoever runs it (ASVS 5.0 7.4.5)."""

import sys
from pathlib import Path

from sqlalchemy import Connection

from customers.accounts import sessions
from distributor.database import make_engine, transaction
from distributor.errors import DistributorError
from settings import Runtime, SettingsError

EXIT_DONE = 0
EXIT_USAGE = 64
EXIT_CANNOT = 70


def sign_out(state: Path, customer_id: int | None) -> int:
    """Ends all sessions of one customer, or of everybody (None), on every instance with the very next request.

    0: done, also if there were none; 64: no such system; 70: its database does not answer."""
    try:
        runtime = Runtime.read(state)
    except SettingsError as error:
        return _complain(str(error), EXIT_USAGE)
    engine = make_engine(runtime, runtime.settings.database, pool_size=1, application_name="sign-out")
    try:
        with transaction(engine) as connection:
            ended = _ended(connection, customer_id)
    except DistributorError as error:
        return _complain(f"error: {error}; is the system running? main.py status", EXIT_CANNOT)
    finally:
        engine.dispose()
    whose = "everybody" if customer_id is None else f"customer {customer_id}"
    sys.stdout.write(f"{whose}: {ended} {'session' if ended == 1 else 'sessions'} ended\n")
    return EXIT_DONE


def _ended(connection: Connection, customer_id: int | None) -> int:
    return sessions.end_everybodys(connection) if customer_id is None else sessions.end_all(connection, customer_id)


def _complain(message: str, code: int) -> int:
    sys.stderr.write(message + "\n")
    return code
