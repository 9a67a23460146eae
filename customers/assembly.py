"""What one web instance is made of: its pools of connections, and the services that use them, as the settings have it."""

from functools import partial

from sqlalchemy import Engine

from customers import metrics
from customers.accounts import Accounts
from customers.instance import Instance
from customers.pages import as_of
from customers.rate_limits import RateLimits
from customers.readiness import Readiness, reason_against, reason_without
from customers.serving.draining import Draining, DrainLimits
from customers.shop import Shop
from distributor import strategies
from distributor.database import make_engine
from distributor.patience import Patience
from distributor.sales import Sales
from settings import Runtime
from settings.model import Database

DESK_THREADS = 1  # order_desk.py: it sells in groups beside the threads of pages and calls
HEALTH_TIMEOUT_MS = 500  # of the server's own for what the health thread asks
ANSWER_UNDER_WAY_MS = 500  # more than the server allows itself; then it stands still, or the network does


def assembled(runtime: Runtime, name: str) -> Instance:
    """Connects to nothing yet. Raises UnusableStrategy."""
    settings = runtime.settings
    threads, database = settings.customers.threads, settings.database
    health_engine = _health_engine(runtime, database, name)
    readiness = Readiness(partial(reason_against, health_engine), database.silence_ms / 1000)
    engine = make_engine(
        runtime,
        database,
        pool_size=threads + DESK_THREADS,
        application_name=name,
        patience=Patience((database.statement_timeout_ms + ANSWER_UNDER_WAY_MS) / 1000, readiness.is_silent),
    )
    readiness.connect = partial(reason_without, engine)
    metrics.watch_pool(engine)
    balancer = settings.load_balancer
    check_seconds = (balancer.check_inter_ms + balancer.check_timeout_ms) / 1000
    limits = DrainLimits(
        seconds_max=balancer.drain_seconds, quiet_seconds=check_seconds, refusals_wanted=balancer.check_fall
    )
    quotas = RateLimits(engine, settings.rate_limits)
    return Instance(
        name=name,
        runtime=runtime,
        engine=engine,
        health_engine=health_engine,
        accounts=Accounts(engine, settings.customers, quotas, runtime.secrets.session_key),
        rate_limits=quotas,
        shop=Shop(engine, settings.cart, as_of.note),
        sales=Sales(engine, strategies.load_guarded(settings.distributor.strategy, settings.database), settings),
        draining=Draining(limits),
        readiness=readiness,
    )


def _health_engine(runtime: Runtime, database: Database, name: str) -> Engine:
    waits = {"pool_wait_ms": HEALTH_TIMEOUT_MS, "lock_timeout_ms": HEALTH_TIMEOUT_MS - 100}
    waits["statement_timeout_ms"] = HEALTH_TIMEOUT_MS
    return make_engine(
        runtime,
        Database.model_validate(database.model_dump() | waits),
        pool_size=1,
        application_name=f"{name} health",
        patience=Patience((HEALTH_TIMEOUT_MS + ANSWER_UNDER_WAY_MS) / 1000),
    )
