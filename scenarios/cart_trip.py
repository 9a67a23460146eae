"""One trip through the shop as a person makes it: look around, fill the cart, check it, buy it, look at the order.

V1  Shopping lists come from the seed alone (customer, month, trip); what is in stock decides only what of it can be had.
V2  All customers know the same favourites, so that they compete for the same rows.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.buying import Bought, Buyer
from scenarios.outcomes import End, reduce_lines
from scenarios.shop import Account, Shop

LINES_MAX = 4
QUANTITY_MAX = 3
DIRECT_SHARE = 0.25
"""Share of trips that order their lines at once, without a cart, as programs do."""
Pause = Callable[[], None]


@dataclass(frozen=True)
class Wish:
    """One line of a shopping list: the ``rank``-th favourite (0..1 of all goods), and how many of it."""

    rank: float
    quantity: int


def wishes(rng: random.Random) -> list[Wish]:
    """A shopping list (V1); squaring the rank makes the favourites be wanted most (V2)."""
    return [Wish(rng.random() ** 2, rng.randint(1, QUANTITY_MAX)) for _ in range(rng.randint(1, LINES_MAX))]


def favourites(items: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """The goods in the order in which everybody likes them; the same for all who have the seed (V2)."""
    return sorted(items, key=lambda item: random.Random(f"{seed}/{item['sku']}/{item['stock_id']}").random())


def chosen(wanted: Sequence[Wish], goods: Sequence[dict[str, Any]]) -> dict[int, int]:
    """Stock id -> units: the list applied to what the shop shows, never more than it says there is."""
    lines: dict[int, int] = {}
    for wish in wanted:
        good = goods[min(int(wish.rank * len(goods)), len(goods) - 1)]
        quantity = min(lines.get(good["stock_id"], 0) + wish.quantity, good["available"])
        if quantity > 0:
            lines[good["stock_id"]] = quantity
    return lines


class Trip:
    """One customer's trip; ``pause`` is called between its steps."""

    def __init__(self, shop: Shop, buyer: Buyer, account: Account, pause: Pause, seed: int) -> None:
        self._shop = shop
        self._buyer = buyer
        self._account = account
        self._pause = pause
        self._seed = seed
        self._held: dict[int, tuple[int, str]] = {}

    def make(
        self, wanted: Sequence[Wish], keys: Callable[[int], str], *, direct: bool
    ) -> tuple[dict[int, int], Bought]:
        """What was wanted of what the shop showed, and what became of it."""
        goods = favourites(self._shop.page(1), self._seed)
        lines = chosen(wanted, goods) if goods else {}
        self._pause()
        if not lines:
            return lines, Bought(End.SOLD_OUT)
        if direct:
            return lines, self._buyer.buy(self._account, lines, keys)
        in_cart = self._fill(lines)
        self._pause()
        if not in_cart:
            return lines, Bought(End.SOLD_OUT)
        bought = self._buyer.buy(self._account, in_cart, keys, refill=self._fill, held=lambda: self._held)
        if bought.order_id is not None:
            self._pause()
            self._ask("GET", f"/orders/{bought.order_id}", "GET /orders/{id}")
            self._ask("GET", "/orders", "GET /orders")
        return lines, bought

    def _fill(self, lines: dict[int, int]) -> dict[int, int]:
        """Make the cart have ``lines``, as far as there is enough; returns what it has then. Putting a line again also
        accepts its new price."""
        there = self._cart()
        for stock_id in there:
            if stock_id not in lines:
                self._ask("DELETE", f"/cart/{stock_id}", "DELETE /cart/{id}")
        for stock_id, quantity in lines.items():
            self._put(stock_id, quantity, is_there=stock_id in there)
            self._pause()
        return self._cart()

    def _put(self, stock_id: int, quantity: int, *, is_there: bool) -> None:
        """Put a line; where there is less by now, put what is left, or take the line out."""
        path = f"/cart/{stock_id}"
        answer = self._ask("PUT", path, "PUT /cart/{id}", {"quantity": quantity})
        if answer.status != 409:
            return
        left = reduce_lines({stock_id: quantity}, answer.body.get("lines")).get(stock_id, 0)
        again = self._ask("PUT", path, "PUT /cart/{id}", {"quantity": left}) if 0 < left < quantity else answer
        if again.status == 409 and is_there:
            self._ask("DELETE", path, "DELETE /cart/{id}")

    def _cart(self) -> dict[int, int]:
        answer = self._ask("GET", "/cart", "GET /cart")
        lines = answer.body.get("lines")
        found = lines if isinstance(lines, list) else []
        self._held = {line["stock_id"]: (line["held"], line["held_until"]) for line in found if line.get("held_until")}
        return {line["stock_id"]: line["quantity"] for line in found}

    def _ask(self, method: str, path: str, name: str, body: object = None) -> Any:
        """As this customer; a session that is gone is renewed once."""
        reply = self._shop.call_until_answered(method, path, name, body, token=self._account.token)
        if reply.status == 401:
            self._shop.sign_in(self._account)
            reply = self._shop.call_until_answered(method, path, name, body, token=self._account.token)
        return reply
