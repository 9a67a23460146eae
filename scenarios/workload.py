"""What all loads have in common: accounts signed up by many workers, the state of the months, the end of the work.

W1  Shopping begins when every customer is signed up: a month can only end "finished" when all have said so.
W2  A worker that meets what no shop should do ends the whole load with that error; nothing goes on half blind.
"""

import abc
import csv
import hashlib
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import gevent
import gevent.event
import gevent.lock
from locust import FastHttpUser, constant, task
from locust.env import Environment
from locust.exception import StopUser

from scenarios.buying import Bought, Buyer
from scenarios.figures import Figures
from scenarios.history import History
from scenarios.outcomes import Patience
from scenarios.run_files import HISTORY_FILE, ORDERS_FILE, ORDERS_HEADER
from scenarios.shop import REQUEST_SECONDS_MAX, Account, Shop

SIGN_UPS_AT_ONCE = 12  # below the shop's room for waiting sign-ins, so that nobody is sent away


class Hall(Environment):
    """Locust's environment, with the work that its users do."""

    workload: "Workload"


class Worker(FastHttpUser):
    """A Locust user; what it does is the workload's business."""

    wait_time = constant(0)
    network_timeout = REQUEST_SECONDS_MAX
    connection_timeout = 5.0
    max_retries = 0
    max_redirects = 0
    concurrency = 1

    environment: Hall

    @task
    def work(self) -> None:
        self.environment.workload.run(Shop(self.client))
        raise StopUser


@dataclass
class Months:
    """Which month is open, as the driver or the poll of the distributor told us last."""

    number: int = 0
    """The newest month that was seen open."""
    is_open: bool = False
    over: bool = False
    """No further month will open."""

    def __post_init__(self) -> None:
        self._changed = gevent.event.Event()

    def tell(self, number: int, *, is_open: bool, over: bool) -> None:
        self.number = max(self.number, number) if is_open else self.number
        self.is_open = is_open
        self.over = over
        self._changed.set()
        self._changed.clear()

    def wait_open_after(self, number: int) -> int | None:
        """The number of an open month later than ``number``; None when there will be none."""
        while not self.over:
            if self.is_open and self.number > number:
                return self.number
            self._changed.wait(timeout=1.0)
        return None

    def goes_on(self, number: int) -> bool:
        """Whether month ``number`` is still open."""
        return self.is_open and self.number == number and not self.over


class Workload(abc.ABC):
    """Base of the loads. Subclasses say what a worker does once everybody is signed up."""

    def __init__(self, plan: dict[str, Any], run_dir: Path, figures: Figures) -> None:
        self.plan = plan
        self.figures = figures
        self.months = Months()
        self.accounts = accounts_of(plan)
        self.history = History(run_dir / HISTORY_FILE)
        self.patience = Patience(**plan.get("patience", {}))
        self.done = gevent.event.Event()
        self.signed_up = gevent.event.Event()
        self.signed_up_count = 0
        self.baskets_ended = 0
        self.baskets_total = 0
        self.error: str | None = None
        self._waiting_accounts = deque(self.accounts)
        self._sign_up_room = gevent.lock.BoundedSemaphore(SIGN_UPS_AT_ONCE)
        self._workers_left = int(plan["workers"])
        self._orders: IO[str] = (run_dir / ORDERS_FILE).open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._orders)
        self._csv.writerow(ORDERS_HEADER)

    # -- what a worker does -------------------------------------------------------------------------------------

    def run(self, shop: Shop) -> None:
        """One worker's life."""
        self._sign_up(shop)
        self.signed_up.wait()
        self.shop(shop, Buyer(shop, self.history.new_process(), self.patience, lambda: self.months.over))
        self._workers_left -= 1
        if not self._workers_left:
            self.done.set()

    def prepare(self, shop: Shop) -> None:  # noqa: B027 - not every load has something to prepare
        """Once, when everybody is signed up, before anybody shops."""

    @abc.abstractmethod
    def shop(self, shop: Shop, buyer: Buyer) -> None:
        """Everything a worker buys."""

    def _sign_up(self, shop: Shop) -> None:
        while self._waiting_accounts:
            account = self._waiting_accounts.popleft()
            with self._sign_up_room:
                shop.sign_up(account)
            self.signed_up_count += 1
            if self.signed_up_count == len(self.accounts):
                self.prepare(shop)
                self.figures.started = time.monotonic()
                self.signed_up.set()

    # -- what is kept of it -------------------------------------------------------------------------------------

    def record(self, reference: str, account: Account, wanted: dict[int, int], bought: Bought) -> None:
        """One basket's outcome, written at once."""
        self.baskets_ended += 1
        self.figures.counters[f"baskets {bought.end.value}"] += 1
        self.figures.counters["keys"] += bought.keys
        self.figures.counters["order requests"] += bought.requests
        self.figures.counters["unknown answers"] += bought.unknowns
        if bought.unknowns and bought.end.value != "unknown":
            self.figures.counters["unknown answers resolved"] += bought.unknowns
        for met in bought.met:
            self.figures.contention(met)
        self.figures.per_second[int(time.monotonic() - self.figures.started)] += 1
        self._csv.writerow(
            (
                *(self.baskets_ended, reference, account.customer_id, bought.month, bought.end.value, bought.order_id),
                *(len(wanted), len(bought.lines), sum(wanted.values()), sum(bought.lines.values())),
                *(bought.total_minor, bought.keys, bought.requests, bought.unknowns),
                *(f"{bought.seconds:.3f}", bought.problem),
            )
        )
        self._orders.flush()

    def fail(self, error: str) -> None:
        """End the load: something happened that makes its figures worthless (W2)."""
        self.error = self.error or error
        self.done.set()

    def close(self) -> None:
        self.history.close()
        self._orders.close()


def accounts_of(plan: dict[str, Any]) -> list[Account]:
    """One account per planned customer. Addresses carry the run's seed, passwords come from it (a lab's accounts)."""
    return [account(str(plan["seed"]), number, name) for number, name in enumerate(plan["customers"], start=1)]


def account(secret: str, number: int, name: str) -> Account:
    password = hashlib.sha256(f"{secret}/{number}".encode()).hexdigest()[:24]
    tag = hashlib.sha256(f"tag/{secret}".encode()).hexdigest()[:6]
    return Account(f"customer-{number}.{tag}@example.org", password, "Customer", name)
