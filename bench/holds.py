"""What timed holds cost a purchase and a cart, beside the same without them.

One client in one process, PostgreSQL with fsync on; off and on take turns purchase by purchase, so that both meet the same
disk and the same load of the machine. Medians of milliseconds, and their ratios on / off:

  beside         one line bought without a cart
  beside_held    the same while other customers hold units of that very row (HOLDERS carts)
  basket         LINES lines bought without a cart
  cart           one line put in the cart, then the cart bought
  put            one line put in a cart
"""

import hashlib
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, text

from bench.running_system import running_system, temporary_state
from distributor import queries
from distributor.database import make_engine, transaction
from distributor.sales import Line, Sales
from distributor.strategies import load
from distributor.tables import Customer
from settings import Runtime, Settings
from settings.model import Cart

PORT_BASE = 23_000
ROUNDS = 300
WARM_UP = 30
HOLDERS = 100
LINES = 20
STRATEGY = "conditional_update"
OPENING_SECONDS_MAX = 60.0
SYSTEM = (
    "broker.url=postgres",
    "customers.instances=1",
    "customers.simulated=0",
    "manufacturers.count=1",
    f"manufacturers.products_per_manufacturer={LINES + 1}",
    "manufacturers.initial_units_per_product=1000000",
    "manufacturers.capacity_units_per_product=1000000",
    "simulation.month_seconds=3600",
)
OFF = Cart()
ON = Cart(hold_seconds=3_600, hold_lines_max=5_000, hold_units_max=999_999)
_keys = itertools.count(1)


class Buyer:
    """One customer, in a shop whose carts hold or do not."""

    def __init__(self, engine: Engine, customer_id: int, limits: Cart) -> None:
        self._engine = engine
        self._customer_id = customer_id
        self._limits = limits
        self._sales = Sales(engine, load(STRATEGY), Settings(cart=limits))

    def buy(self, *stock_ids: int) -> None:
        lines = [Line(stock_id, 1) for stock_id in stock_ids] or None
        sha = hashlib.sha256(repr(lines).encode()).hexdigest()
        answer = self._sales.place(self._customer_id, f"bench-{next(_keys)}", lines, sha)
        if answer.status != 201:
            raise RuntimeError(f"a purchase was refused: {answer.body}")

    def put(self, stock_id: int) -> None:
        with transaction(self._engine) as connection:
            queries.put_in_cart(connection, self._customer_id, stock_id, 1, self._limits)

    def put_and_buy(self, stock_id: int) -> None:
        self.put(stock_id)
        self.buy()

    def put_afresh(self, stock_id: int) -> None:
        self.put(stock_id)
        with transaction(self._engine) as connection:
            queries.take_out_of_cart(connection, self._customer_id, stock_id)


def run() -> dict[str, Any]:
    with temporary_state() as folder, running_system(Path(folder) / "state", PORT_BASE, SYSTEM) as system:
        runtime = Runtime.read(system.state)
        engine = make_engine(runtime, runtime.settings.database, pool_size=2, application_name="bench holds")
        try:
            return _measure(engine)
        finally:
            engine.dispose()


def _measure(engine: Engine) -> dict[str, Any]:
    hot, *goods = _goods(engine)
    off, on = (Buyer(engine, _customer(engine), limits) for limits in (OFF, ON))
    acts: dict[str, Callable[[Buyer], None]] = {
        "beside": lambda buyer: buyer.buy(goods[0]),
        "basket": lambda buyer: buyer.buy(*goods),
        "cart": lambda buyer: buyer.put_and_buy(goods[0]),
        "put": lambda buyer: buyer.put_afresh(goods[1]),
    }
    figures = {name: _compare(name, act, off, on) for name, act in acts.items()}
    for _holder in range(HOLDERS):
        Buyer(engine, _customer(engine), ON).put(hot)
    figures["beside_held"] = _compare("beside_held", lambda buyer: buyer.buy(hot), off, on)
    return {"strategy": STRATEGY, "rounds": ROUNDS, "holders": HOLDERS, "lines": LINES, "ms": figures}


def _compare(name: str, act: Callable[[Buyer], None], off: Buyer, on: Buyer) -> dict[str, float]:
    taken: dict[str, list[float]] = {"off": [], "on": []}
    for number in range(WARM_UP + ROUNDS):
        for which, buyer in (("off", off), ("on", on)) if number % 2 else (("on", on), ("off", off)):
            began = time.perf_counter()
            act(buyer)
            if number >= WARM_UP:
                taken[which].append((time.perf_counter() - began) * 1_000)
    medians = {which: round(statistics.median(times), 3) for which, times in taken.items()}
    found = medians | {"ratio": round(medians["on"] / medians["off"], 3)}
    print(f"{name}: {found['off']} ms without holds, {found['on']} ms with them, ratio {found['ratio']}")
    return found


def _goods(engine: Engine) -> list[int]:
    deadline = time.monotonic() + OPENING_SECONDS_MAX
    query = text("SELECT id FROM stock WHERE EXISTS (SELECT FROM month WHERE state = 'open') ORDER BY id")
    while True:
        with transaction(engine) as connection:
            found = list(connection.scalars(query))
        if len(found) == LINES + 1:
            return found
        if time.monotonic() > deadline:
            raise RuntimeError(f"the month did not open with {LINES + 1} products")
        time.sleep(0.2)


def _customer(engine: Engine) -> int:
    card = {"card_token": "tok_bench", "card_brand": "visa", "card_last4": "4242", "card_expiry": "2099-12"}
    with transaction(engine) as connection:
        added = insert(Customer).values(first_name="Bench", last_name="Buyer", **card).returning(Customer.id)
        return connection.execute(added).scalar_one()
