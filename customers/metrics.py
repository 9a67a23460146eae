"""What an instance counts for /metrics: requests by route and status class, their time, orders by outcome, the pool.

On the process's one registry, beside what `distributor.sales` counts there.
"""

from collections.abc import Callable
from functools import cache, lru_cache

from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import Engine, QueuePool

# Seconds. From a small answer to the load balancer's patience; denser where purchases lie.
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
UNMATCHED = "unmatched"
ROUTES_KEPT = 1_000  # with methods and classes; the shop has some 60 routes

_REQUESTS = Counter("cds_shop_requests", "Requests answered", ["route", "method", "status_class"])
_SECONDS = Histogram("cds_shop_request_seconds", "Time to answer", ["route"], buckets=BUCKETS)
_ORDERS = Counter("cds_shop_orders", "Purchases asked for, by outcome", ["outcome"])
_PASSWORD_SECONDS = Histogram("cds_shop_password_seconds", "Time to hash one password", buckets=BUCKETS)
_POOL_IN_USE = Gauge("cds_shop_pool_connections_in_use", "Database connections in use")
_POOL_MAX = Gauge("cds_shop_pool_connections_max", "Database connections that the pool may open")
_WAITING = Gauge("cds_shop_requests_waiting", "Requests that have no thread yet")


def request_answered(route: str, method: str, status: int, seconds: float) -> None:
    answered, took = _of_route(route, method, status // 100)
    answered.inc()
    took.observe(seconds)


@lru_cache(maxsize=ROUTES_KEPT)
def _of_route(route: str, method: str, status_class: int) -> tuple[Counter, Histogram]:
    """Finding them by their labels costs more than counting."""
    return _REQUESTS.labels(route, method, f"{status_class}xx"), _SECONDS.labels(route)


def order_asked(outcome: str) -> None:
    _orders(outcome).inc()


@cache
def _orders(outcome: str) -> Counter:
    return _ORDERS.labels(outcome)


def password_hashed(seconds: float) -> None:
    """Without the wait for a turn."""
    _PASSWORD_SECONDS.observe(seconds)


def watch_pool(engine: Engine) -> None:
    """Read the pool's state whenever it is asked for."""
    pool = engine.pool
    if isinstance(pool, QueuePool):
        _POOL_IN_USE.set_function(pool.checkedout)
        _POOL_MAX.set(pool.size())


def watch_waiting(waiting: Callable[[], int]) -> None:
    """Ask for the number of waiting requests whenever it is asked for."""
    _WAITING.set_function(waiting)
