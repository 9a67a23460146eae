"""What accounts cost, and whether time tells who has one.

One client in one process, PostgreSQL with fsync on, passwords at the shipped costs. The variants take turns in an order of
chance, so that all meet the same disk and the same load of the machine. Medians of milliseconds:

  wrong_password, unknown_account, no_address   sign-ins that fail; the ratios to the first tell what time gives away
  right_password                                a sign-in
  session, session_noted                        who a token belongs to; the same when its use is written down (once a minute)
  limit_here, limit_everywhere                  counting one request in memory, and in the database
"""

import logging
import random
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from bench.running_system import running_system, temporary_state
from customers import security_log
from customers.accounts import Accounts, Registration
from customers.errors import WrongCredentials
from customers.rate_limits import Quota, RateLimits
from customers.rate_limits.counters import DatabaseCounter, InstanceCounter
from distributor.database import make_engine, transaction
from settings import Runtime
from settings.model import Customers
from settings.model import RateLimits as Limits

PORT_BASE = 25_000
ROUNDS = 200
WARM_UP = 20
SYSTEM = ("broker.url=postgres", "customers.instances=1", "customers.simulated=0", "manufacturers.count=1")
SETTINGS = Customers(login_failures_max=1_000)
EMAIL, PASSWORD, ADDRESS = "bench@example.org", "correct horse battery", "192.0.2.1"


def run() -> dict[str, Any]:
    logging.getLogger(security_log.__name__).addHandler(
        logging.NullHandler()
    )  # hundreds of wrong passwords are meant here
    with temporary_state() as folder, running_system(Path(folder) / "state", PORT_BASE, SYSTEM) as system:
        runtime = Runtime.read(system.state)
        engine = make_engine(runtime, runtime.settings.database, pool_size=2, application_name="bench accounts")
        try:
            return _figures(_variants(engine))
        finally:
            engine.dispose()


def _variants(engine: Engine) -> dict[str, Callable[[], object]]:
    accounts = Accounts(engine, SETTINGS, RateLimits(engine, Limits()), key="of a shop")
    accounts.register(Registration(EMAIL, PASSWORD, "Ada", "Lovelace"), ADDRESS)
    token = accounts.sign_in(EMAIL, PASSWORD, ADDRESS).token
    quota = Quota("bench", 1_000_000)
    here, everywhere = InstanceCounter(time.monotonic), DatabaseCounter(engine)

    def fail(email: str) -> Callable[[], object]:
        def attempt() -> None:
            with suppress(WrongCredentials):
                accounts.sign_in(email, "a wrong password", ADDRESS)

        return attempt

    def noted() -> float:
        """Its own time: making the session old, and forgetting the failures of a round, is not part of it."""
        with transaction(engine) as connection:
            connection.execute(text("UPDATE customer_session SET seen_at = seen_at - interval '2 minutes'"))
            connection.execute(text("DELETE FROM login_failure"))
        begun = time.perf_counter()
        accounts.customer_of_token(token)
        return time.perf_counter() - begun

    return {
        "wrong_password": fail(EMAIL),
        "unknown_account": fail("nobody@example.org"),
        "no_address": fail("no address"),
        "right_password": lambda: accounts.sign_in(EMAIL, PASSWORD, ADDRESS),
        "session": lambda: accounts.customer_of_token(token),
        "session_noted": noted,
        "limit_here": lambda: here.spend(quota, "ada"),
        "limit_everywhere": lambda: everywhere.spend(quota, "ada"),
    }


def _figures(variants: dict[str, Callable[[], object]]) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(WARM_UP + ROUNDS):
        for name, call in random.sample(list(variants.items()), len(variants)):
            begun = time.perf_counter()
            own = call()
            taken = own if isinstance(own, float) else time.perf_counter() - begun
            if number >= WARM_UP:
                seconds[name].append(taken)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    wrong = medians["wrong_password"]
    return {
        "rounds": ROUNDS,
        "ms": {name: round(median * 1_000, 4) for name, median in medians.items()},
        "to_wrong_password": {
            name: round(medians[name] / wrong, 3) for name in ("unknown_account", "no_address", "right_password")
        },
    }
