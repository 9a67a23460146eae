"""A running system with 10,000 products in stock, and what its processes have computed so far."""

import time
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg

from bench.running_system import RunningSystem

PRODUCTS = 10_000
MANUFACTURERS = 20
UNITS = 1_000
OPEN_SECONDS_MAX = 60.0

_FILL = """
    INSERT INTO manufacturer (code, name) SELECT 'works-' || n, 'Works number ' || n FROM generate_series(1, %(makers)s) n;
    INSERT INTO product (sku) SELECT 'BENCH-' || lpad(n::text, 5, '0') FROM generate_series(1, %(products)s) n;
    INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied)
    SELECT product.id, manufacturer.id,
           (ARRAY['Red', 'Blue', 'Large', 'Small', 'Vintage', 'Wooden', 'Glass', 'Garden'])[1 + n %% 8] || ' ' ||
           (ARRAY['lantern', 'kettle', 'teapot', 'clock', 'chair', 'basket', 'candle', 'mirror'])[1 + (n / 8) %% 8] ||
           ' no ' || n,
           100 + (n * 7919) %% 9000, 'GBP', %(units)s
    FROM generate_series(1, %(products)s) n
    JOIN product ON product.sku = 'BENCH-' || lpad(n::text, 5, '0')
    JOIN manufacturer ON manufacturer.code = 'works-' || (1 + n %% %(makers)s);
"""


@dataclass(frozen=True)
class Computed:
    """CPU seconds since the processes began."""

    web: float
    load_balancer: float
    postgres: float

    def since(self, before: "Computed") -> "Computed":
        return Computed(
            self.web - before.web, self.load_balancer - before.load_balancer, self.postgres - before.postgres
        )

    @property
    def total(self) -> float:
        return self.web + self.load_balancer + self.postgres


@dataclass(frozen=True)
class LargeShop:
    """``instance``: URL of web-1. ``stock_ids``: every row, in the order of the catalogue."""

    balancer: str
    instance: str
    urls: dict[str, str]
    processes: dict[str, psutil.Process]
    stock_ids: tuple[int, ...]

    @property
    def products(self) -> int:
        return len(self.stock_ids)

    @classmethod
    def fill(cls, system: RunningSystem) -> "LargeShop":
        status = system.status()
        with psycopg.connect(status["database"].replace("+psycopg", ""), autocommit=True) as connection:
            _wait_for_an_open_month(connection)
            values = {"makers": MANUFACTURERS, "products": PRODUCTS, "units": UNITS}
            psycopg.ClientCursor(connection).execute(_FILL, values)
            connection.execute("VACUUM ANALYZE")
            rows = connection.execute(
                "SELECT id FROM stock WHERE supplied > withdrawn + sold ORDER BY name, id"
            ).fetchall()
        urls = {process["name"]: process["url"] for process in status["processes"]}
        pids = {process["name"]: process["pid"] for process in status["processes"] if process["pid"]}
        return cls(
            balancer=status["shop"],
            instance=urls["web-1"],
            urls=urls,
            processes={name: psutil.Process(pid) for name, pid in pids.items()},
            stock_ids=tuple(row[0] for row in rows),
        )

    def computed(self) -> Computed:
        return Computed(
            web=sum(_seconds(process) for name, process in self.processes.items() if name.startswith("web-")),
            load_balancer=_seconds(self.processes["load_balancer"]),
            postgres=_seconds(self.processes["postgres"]),
        )


def _seconds(process: psutil.Process) -> float:
    """Of a process with its living and its ended children (PostgreSQL serves each connection in a process)."""
    own = process.cpu_times()
    children = sum(sum(child.cpu_times()[:2]) for child in process.children(recursive=True))
    return float(own.user + own.system + own.children_user + own.children_system + children)


def _wait_for_an_open_month(connection: psycopg.Connection[Any]) -> None:
    deadline = time.monotonic() + OPEN_SECONDS_MAX
    while connection.execute("SELECT 1 FROM month WHERE state = 'open'").fetchone() is None:
        if time.monotonic() > deadline:
            message = "the first month did not open"
            raise RuntimeError(message)
        time.sleep(0.1)
