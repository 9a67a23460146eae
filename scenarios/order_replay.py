"""Real baskets bought by W workers, in the order of time; every customer says "finished" after the own last basket.

R1  Baskets start in the order of the file; W are under way at once.
R2  A good that the shop does not offer at the start makes its line be left out, counted, never an error.
"""

from collections import Counter, deque
from pathlib import Path
from typing import Any

from scenarios.buying import Bought, Buyer
from scenarios.figures import Figures
from scenarios.outcomes import End
from scenarios.shop import Shop
from scenarios.workload import Workload


class OrderReplay(Workload):
    """``plan["baskets"]``: [reference, customer's position, [[sku, quantity], …]]."""

    def __init__(self, plan: dict[str, Any], run_dir: Path, figures: Figures) -> None:
        super().__init__(plan, run_dir, figures)
        self._baskets = deque(enumerate(plan["baskets"], start=1))
        self._left_of_customer = Counter(basket[1] for basket in plan["baskets"])
        self._stock_ids: dict[str, int] = {}
        self.baskets_total = len(self._baskets)

    def prepare(self, shop: Shop) -> None:
        self._stock_ids = {item["sku"]: item["stock_id"] for item in shop.catalogue()}

    def shop(self, shop: Shop, buyer: Buyer) -> None:
        while self._baskets:
            number, (reference, customer, lines) = self._baskets.popleft()
            account = self.accounts[customer]
            wanted = {self._stock_ids[sku]: quantity for sku, quantity in lines if sku in self._stock_ids}
            self.figures.counters["lines not offered"] += len(lines) - len(wanted)
            keys = f"s{self.plan['seed']}-b{number}-{{}}".format
            bought = buyer.buy(account, wanted, keys) if wanted else Bought(End.SOLD_OUT)
            self.record(reference, account, wanted, bought)
            self._left_of_customer[customer] -= 1
            if not self._left_of_customer[customer]:
                shop.finished(account)
