"""The customers of a living shop, as the supervisor starts them, against a small shop of the tests' own."""

import dataclasses
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from settings import Runtime, Secrets, Settings
from settings.addresses import Addresses
from tests.scenarios_world import Running, running_shop

ROOT = Path(__file__).resolve().parents[2]
WaitUntil = Callable[..., None]


@pytest.fixture
def shop() -> Iterator[Running]:
    with running_shop() as running:
        running.books.stock = dict.fromkeys(range(1, 6), 10_000)
        yield running


@dataclasses.dataclass
class Traffic:
    process: subprocess.Popen[bytes]
    runtime: Runtime

    def wish(self, customers: int) -> None:
        """What the supervisor does for `main.py traffic N`."""
        raw = self.runtime.settings.model_dump()
        raw["customers"]["simulated"] = customers
        self.runtime = dataclasses.replace(self.runtime, settings=Settings.model_validate(raw))
        self.runtime.write()

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.runtime.addresses.traffic}{path}", timeout=60) as answer:
            return str(answer.read(), "utf-8")

    def customers(self) -> float:
        lines = self.page("/metrics").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("traffic_customers "))


@pytest.fixture
def traffic(shop: Running, tmp_path: Path, wait_until: WaitUntil) -> Iterator[Traffic]:
    raw = Settings().model_dump()
    raw["customers"] |= {"simulated": 2, "simulated_pause_seconds": 0.02}
    port = int(shop.url.rpartition(":")[2])
    runtime = Runtime(
        state=tmp_path,
        settings=Settings.model_validate(raw),
        addresses=Addresses(port),
        database_url="postgresql+psycopg://none",
        broker_url="postgres",
        broker_is_ours=True,
        secrets=Secrets.read_or_make(tmp_path, ["m1"]),
    )
    runtime.write()
    argv = [sys.executable, "-m", "scenarios.traffic", "--state", str(tmp_path)]
    with (tmp_path / "traffic.log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=ROOT, stderr=log)
    running = Traffic(process, runtime)
    wait_until(lambda: "listening" in (tmp_path / "traffic.log").read_text(), 20, "traffic listens")
    yield running
    process.kill()
    process.wait()


def test_as_many_customers_shop_as_the_settings_say_also_when_they_change(
    shop: Running, traffic: Traffic, wait_until: WaitUntil
) -> None:
    """T1, T2, T3."""
    assert json.loads(traffic.page("/readyz")) == {"ready": True, "reason": None}
    wait_until(lambda: len(set(shop.books.finished)) == 2, 20, "both customers are done for the month")
    known = set(shop.books.customers)
    traffic.wish(0)
    wait_until(lambda: traffic.customers() == 0, 10, "nobody shops")
    traffic.wish(3)
    wait_until(lambda: traffic.customers() == 3, 10, "three customers shop")
    wait_until(lambda: len(shop.books.customers) == 3, 10, "a third customer signed up")
    assert known < set(shop.books.customers), "the first two are the same people as before"


def test_customers_come_again_with_the_next_month(shop: Running, traffic: Traffic, wait_until: WaitUntil) -> None:
    """T2."""
    wait_until(lambda: len(shop.books.finished) == 2, 20, "both customers are done for month 1")
    bought = shop.books.orders
    known = set(shop.books.customers)
    shop.books.month = 2
    wait_until(lambda: shop.books.orders > bought, 20, "somebody buys in month 2")
    assert set(shop.books.customers) == known, "the same people"


def test_a_lost_account_is_opened_anew(shop: Running, traffic: Traffic, wait_until: WaitUntil) -> None:
    """T4: the database was reset under them."""
    wait_until(lambda: shop.books.orders > 0, 20, "somebody bought")
    with shop.books.lock:
        shop.books.customers.clear()
    shop.books.month = 2
    wait_until(lambda: len(shop.books.customers) == 2, 30, "both have accounts again")
    assert traffic.process.poll() is None


def test_a_signal_ends_it_with_exit_code_0(traffic: Traffic, wait_until: WaitUntil) -> None:
    wait_until(lambda: traffic.customers() == 2, 10, "two customers shop")
    traffic.process.send_signal(signal.SIGTERM)
    assert traffic.process.wait(timeout=60) == 0


def test_without_a_running_system_it_says_so_and_is_not_started_again(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "scenarios.traffic", "--state", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 64
    assert "no system was started with this state folder" in done.stderr
