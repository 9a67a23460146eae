"""Many customers, one scarce good, the same instant: round after round, each with a good of its own.

X1  In each round every customer asks for one unit, all let go at once; the next round starts when all have an answer.
X2  A round's winners are the customers who were told that they got it; more winners than units is an oversale.
"""

import csv
import time
from pathlib import Path
from typing import Any

import gevent.event

from scenarios.buying import Buyer
from scenarios.figures import Figures
from scenarios.outcomes import End
from scenarios.run_files import ROUNDS_FILE
from scenarios.shop import Shop
from scenarios.workload import Workload


class StockRace(Workload):
    """As many workers as customers; ``plan["seconds"]`` bounds the rounds."""

    def __init__(self, plan: dict[str, Any], run_dir: Path, figures: Figures) -> None:
        super().__init__(plan, run_dir, figures)
        self._goods: list[dict[str, Any]] = []
        self._next_account = 0
        self._waiting = 0
        self._go = gevent.event.Event()
        self._ends_at = 0.0
        self._time_over = False
        self._winners: list[int] = []
        self._rounds = 0
        self._rounds_path = run_dir / ROUNDS_FILE

    def prepare(self, shop: Shop) -> None:
        self._goods = sorted(shop.catalogue(), key=lambda item: item["stock_id"])
        self._winners = [0] * len(self._goods)
        self.baskets_total = len(self._goods) * len(self.accounts)
        self._ends_at = time.monotonic() + float(self.plan["seconds"])

    def shop(self, shop: Shop, buyer: Buyer) -> None:
        account = self.accounts[self._next_account]
        self._next_account += 1
        number = self._next_account
        for position, good in enumerate(self._goods):
            if not self._wait_for_all():
                break
            wanted = {good["stock_id"]: 1}
            keys = f"s{self.plan['seed']}-r{position + 1}-c{number}-{{}}".format
            bought = buyer.buy(account, wanted, keys)
            self._winners[position] += bought.end is End.BOUGHT
            self.record(f"round {position + 1}", account, wanted, bought)
        shop.finished(account)

    def _wait_for_all(self) -> bool:
        """The barrier (X1); False when the time is over, for all alike: the last to arrive decides."""
        self._waiting += 1
        if self._waiting < len(self.accounts):
            go = self._go
            go.wait()
        else:
            self._waiting = 0
            self._time_over = time.monotonic() >= self._ends_at
            self._rounds += not self._time_over
            go, self._go = self._go, gevent.event.Event()
            go.set()
        return not self._time_over

    def close(self) -> None:
        super().close()
        with self._rounds_path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("round", "sku", "units", "winners"))
            for position, good in enumerate(self._goods[: self._rounds]):
                writer.writerow((position + 1, good["sku"], good["available"], self._winners[position]))
