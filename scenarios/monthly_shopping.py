"""Customers who live through the months: shopping lists, carts, refusals, "I am done for this month", the next month.

N1  A customer who said "finished" buys nothing more in that month.
N2  With ``plan["seconds"]`` customers shop so long, whatever the months; afterwards they only say that they are done.
"""

import random
import time
from itertools import count
from pathlib import Path
from typing import Any

import gevent

from scenarios.buying import Buyer
from scenarios.cart_trip import DIRECT_SHARE, Trip, wishes
from scenarios.figures import Figures
from scenarios.shop import Shop
from scenarios.workload import Workload

TRIPS_MAX = 3
"""Trips of one customer in one month, where customers say that they are done."""


class MonthlyShopping(Workload):
    """As many workers as customers, one account each; ``plan["pause_seconds"]`` bounds the pause between two steps."""

    def __init__(self, plan: dict[str, Any], run_dir: Path, figures: Figures) -> None:
        super().__init__(plan, run_dir, figures)
        self._next_account = 0
        self._seconds: float | None = plan.get("seconds")

    def shop(self, shop: Shop, buyer: Buyer) -> None:
        number = self._next_account
        self._next_account += 1
        month = 0
        while (opened := self.months.wait_open_after(month)) is not None:
            month = opened
            self._shop_one_month(shop, buyer, number, month)
            if self._seconds is None or self._time_is_over():
                shop.finished(self.accounts[number])

    def _shop_one_month(self, shop: Shop, buyer: Buyer, number: int, month: int) -> None:
        rng = random.Random(f"{self.plan['seed']}/{number}/{month}")
        trips = count(1) if self._seconds is not None else range(1, rng.randint(1, TRIPS_MAX) + 1)
        pause = self.plan["pause_seconds"]
        trip = Trip(shop, buyer, self.accounts[number], lambda: gevent.sleep(rng.random() * pause), self.plan["seed"])
        for turn in trips:
            if not self.months.goes_on(month) or self._time_is_over():
                return
            keys = f"s{self.plan['seed']}-c{number}-m{month}-t{turn}-{{}}".format
            wanted, bought = trip.make(wishes(rng), keys, direct=rng.random() < DIRECT_SHARE)
            gevent.sleep(rng.random() * pause)
            if wanted:
                self.record(f"month {month}", self.accounts[number], wanted, bought)

    def _time_is_over(self) -> bool:
        return self._seconds is not None and time.monotonic() - self.figures.started >= self._seconds
