"""A running shop to be measured: its customers, its goods, its books at the end."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import requests

from bench.purchase.clients import Load
from bench.running_system import ROOT, RunningSystem, running_system, temporary_state
from distributor.strategies import CONTROLS
from settings import Runtime
from supervisor.postgres import superuser_password

PRODUCTS_MAX = 1_000
UNITS = 1_000_000  # of each product: nobody is to be refused
PORT_BASE = 30_000
CARD = {"number": "4242424242424242", "expiry": "12/39", "holder": "Bench"}
SETTINGS = (
    "manufacturers.count=1",
    f"manufacturers.products_per_manufacturer={PRODUCTS_MAX}",
    f"manufacturers.initial_units_per_product={UNITS}",
    f"manufacturers.capacity_units_per_product={UNITS}",
    "manufacturers.units_per_month=0",
    "simulation.month_seconds=86400",
    "customers.simulated=0",
    "customers.password_memory_kib=8",
    "customers.password_iterations=1",
    "rate_limits.customer_orders_per_minute=10000000",
)
OPENING_SECONDS_MAX = 120.0


@dataclass(frozen=True)
class Cell:
    """What is measured together: one strategy, so many customers at once, on so many products."""

    strategy: str
    customers: int
    products: int
    lines: int = 1


@dataclass(frozen=True)
class Measured:
    """``repeats`` by cause, from the instances' metrics; ``statuses`` of the answers, cut off connections too.

    ``cpu_ms``: CPU time by process, the clients too, per order that was placed. ``events_behind``: see the package.
    """

    cell: Cell
    seconds: float
    milliseconds: tuple[float, ...]
    statuses: dict[str, int]
    repeats: dict[str, int]
    cpu_ms: dict[str, float]
    events_behind: int

    @property
    def purchases_per_second(self) -> float:
        return len(self.milliseconds) / self.seconds

    def percentile(self, percent: int) -> float:
        if len(self.milliseconds) < 2:
            return float("nan")
        return statistics.quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]

    def summary(self) -> str:
        return (
            f"{self.purchases_per_second:.0f}/s, p50 {self.percentile(50):.1f} ms, p99 {self.percentile(99):.1f} ms, "
            f"answers {self.statuses}, repeats {self.repeats}, CPU ms a purchase {self.cpu_ms}"
        )

    def document(self) -> dict[str, Any]:
        return asdict(self.cell) | {
            "purchases_per_second": round(self.purchases_per_second, 1),
            "p50_ms": round(self.percentile(50), 2),
            "p99_ms": round(self.percentile(99), 2),
            "statuses": self.statuses,
            "repeats": self.repeats,
            "events_behind": self.events_behind,
        }


class Shop:
    """Counts every order that was acknowledged, so that `check` can hold the books against it."""

    def __init__(self, system: RunningSystem, strategy: str, customers: int) -> None:
        status = system.status()
        self._pids = {process["name"]: process["pid"] for process in status["processes"] if process["pid"]}
        self._address = urlsplit(status["shop"])
        self._shop = status["shop"]
        self._instances = [process["url"] for process in status["processes"] if process["name"].startswith("web-")]
        self._strategy = strategy
        self._seed = 0
        self._placed = 0
        self.database = status["database"].replace("+psycopg", "")
        self._secret = Runtime.read(system.state).secrets.postgres_password
        self.stock_ids = self._goods()
        self._tokens = [self._sign_up(number) for number in range(customers)]

    def _goods(self) -> list[int]:
        deadline = time.monotonic() + OPENING_SECONDS_MAX
        query = "SELECT id FROM stock WHERE (SELECT count(*) FROM month WHERE state = 'open') = 1 ORDER BY id"
        with psycopg.connect(self.database, autocommit=True) as connection:
            while len(found := connection.execute(query).fetchall()) < PRODUCTS_MAX:
                if time.monotonic() > deadline:
                    message = f"the month did not open with {PRODUCTS_MAX} products"
                    raise RuntimeError(message)
                time.sleep(0.2)
        return [row[0] for row in found]

    def _sign_up(self, number: int) -> str:
        account = {"email": f"buyer{number}@example.org", "password": f"a long pass phrase {number}"}
        names = {"first_name": "Bench", "last_name": "Buyer"}
        api = f"{self._shop}/api/v1"
        requests.post(f"{api}/customers", json=account | names, timeout=30).raise_for_status()
        answer = requests.post(f"{api}/session", json=account, timeout=30)
        answer.raise_for_status()
        token = str(answer.json()["token"])
        signed_in = {"Authorization": f"Bearer {token}"}
        requests.put(f"{api}/me/card", json=CARD, headers=signed_in, timeout=30).raise_for_status()
        return token

    def measure(self, cell: Cell, seconds: float, baskets: Sequence[Sequence[int]] = ()) -> Measured:
        """Load for ``seconds`` after a warm-up."""
        self._seed += 1
        load = Load(
            host=self._address.hostname or "",
            port=self._address.port or 0,
            tokens=self._tokens[: cell.customers],
            stock_ids=self.stock_ids[: cell.products],
            lines=cell.lines,
            seconds=seconds,
            seed=self._seed,
            baskets=baskets,
        )
        before, cpu_before = self._repeats(), self._cpu_seconds()
        answer = subprocess.run(
            [sys.executable, "-m", "bench.purchase.clients"],
            cwd=ROOT,
            input=json.dumps(asdict(load)),
            capture_output=True,
            text=True,
            check=True,
        )
        outcome = json.loads(answer.stdout)
        placed = outcome["placed_in_all"]
        spent = {name: used - cpu_before[name] for name, used in self._cpu_seconds().items()}
        spent["clients"] = outcome["cpu_seconds"]
        behind = self._events_behind()
        self._placed += placed
        repeats = {cause: count - before.get(cause, 0) for cause, count in self._repeats().items()}
        return Measured(
            cell,
            seconds,
            tuple(outcome["milliseconds"]),
            outcome["statuses"],
            {cause: count for cause, count in repeats.items() if count},
            {name: round(1_000 * used / max(1, placed), 3) for name, used in spent.items()},
            behind,
        )

    def _cpu_seconds(self) -> dict[str, float]:
        """So far, by kind of process with their children."""
        spent: dict[str, float] = {}
        for name, pid in self._pids.items():
            kind = name.rstrip("0123456789").rstrip("-")
            tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            spent[kind] = spent.get(kind, 0.0) + sum(_cpu_of(process) for process in tree)
        return spent

    def _events_behind(self) -> int:
        with psycopg.connect(self.database, autocommit=True) as connection:
            return _one(connection, "SELECT count(*) FROM outbox WHERE published_at IS NULL")

    def _repeats(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for instance in self._instances:
            for line in requests.get(f"{instance}/metrics", timeout=30).text.splitlines():
                if line.startswith("cds_purchase_repeats_total{"):
                    cause = line.split('"')[1]
                    found[cause] = found.get(cause, 0) + int(float(line.rsplit(" ", 1)[1]))
        return found

    def as_superuser(self, database: str) -> str:
        """The same server as PostgreSQL's own superuser, for settings and for a database beside the shop's."""
        parts = urlsplit(self.database)
        return f"postgresql://postgres:{superuser_password(self._secret)}@{parts.hostname}:{parts.port}/{database}"

    def slow_commits(self, microseconds: int) -> None:
        """Every flush of the log waits that long first, as on a slower disk; flushes are shared as before."""
        with psycopg.connect(self.as_superuser("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET commit_delay = {microseconds:d}")
            connection.execute("ALTER SYSTEM SET commit_siblings = 0")
            connection.execute("SELECT pg_reload_conf()")

    def check(self) -> None:
        """Raises when acknowledged orders are missing or were sold twice; a control may forget units."""
        with psycopg.connect(self.database) as connection:
            orders = _one(connection, "SELECT count(*) FROM orders")
            sold = _one(connection, "SELECT sum(sold) FROM stock")
            ordered = _one(connection, "SELECT sum(quantity) FROM order_line")
        if orders != self._placed:
            message = f"{self._strategy}: {self._placed} orders were acknowledged, {orders} are in the books"
            raise RuntimeError(message)
        if sold != ordered and self._strategy not in CONTROLS:
            message = f"{self._strategy}: {ordered} units were ordered, the stock says {sold}"
            raise RuntimeError(message)


def _cpu_of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # it ended since it was listed
        return 0.0
    return float(times.user + times.system)


def _one(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0] or 0) if row else 0


@contextmanager
def running_shop(strategy: str, customers: int) -> Iterator[Shop]:
    """With that many signed-in customers; ended with the block."""
    with (
        temporary_state() as folder,
        running_system(Path(folder) / "state", PORT_BASE, [*SETTINGS, f"distributor.strategy={strategy}"]) as system,
    ):
        yield Shop(system, strategy, customers)
