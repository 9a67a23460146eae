"""What a shop does all day, as the functions that do it in the product; each at rows that chance chooses."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Engine

from bench.scale.filling import MAKERS, Size
from customers.accounts import sessions, store
from customers.accounts.sessions import Lifetimes
from distributor import queries
from distributor.database import reading, transaction, trip
from distributor.sales import Line, Sales
from distributor.strategies import load
from settings import Settings

STRATEGIES = ("conditional_update", "row_lock", "optimistic", "serializable", "group_commit")
WORDS = ("lantern", "kettle", "teapot", "clock", "chair", "basket", "candle", "mirror")
PER_PAGE = 24
DEPTH = 10_000
"""Rows back, as far as either shop goes."""
TOTAL_KNOWN = 1_000
"""The lengths of lists are counted apart from them, and kept for a while (customers/window/window.py)."""
LIFETIMES = Lifetimes(timedelta(hours=12), timedelta(days=1_000))

Operation = Callable[[], object]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Shop:
    """One database, and the size that it was filled with."""

    engine: Engine
    size: Size
    chance: random.Random
    keys: str
    """What the idempotency keys of this run begin with."""

    def operations(self) -> dict[str, Operation]:
        """By name; a call is one operation."""
        buying = {f"purchase {name}": self._purchase(name) for name in STRATEGIES}
        return buying | {
            "purchase 5 lines": self._purchase(STRATEGIES[0], lines=5),
            "idempotent repeat": self._repeat(),
            "catalogue first page": self._catalogue,
            "catalogue by price": lambda: self._catalogue(sort="price"),
            "catalogue deep page": self._deep_page,
            "catalogue search": self._search,
            "catalogue search, common word": lambda: self._catalogue(q=self.chance.choice(WORDS)),
            "catalogue search, no match": lambda: self._read(
                queries.catalogue, q="zzz", per_page=PER_PAGE, total=TOTAL_KNOWN
            ),
            "catalogue search by sku": lambda: self._catalogue(q=f"GOOD-{self._number(self.size.goods):07}"),
            "catalogue of a manufacturer": lambda: self._catalogue(manufacturer=f"works-{self._number(MAKERS)}"),
            "product": lambda: self._read(queries.product, self._stock_id()),
            "24 quantities": lambda: self._read(queries.quantities, [self._stock_id() for _ in range(PER_PAGE)]),
            "manufacturers": lambda: self._read(queries.manufacturers),
            "head of a page": lambda: self._read(queries.customer_status, self._customer_id()),
            "cart": lambda: self._read(queries.cart, 1 + 20 * self.chance.randrange(self.size.customers // 20)),
            "orders of a customer": lambda: self._read(queries.orders, self._customer_id(), 1, 20),
            "order": self._order,
            "session": self._session,
            "sign-in look-up": self._sign_in,
        }

    def _purchase(self, strategy: str, lines: int = 1) -> Operation:
        sales = Sales(self.engine, load(strategy), Settings())

        def purchase() -> None:
            basket = [Line(stock_id, 1) for stock_id in {self._stock_id() for _ in range(lines)}]
            key = f"{self.keys}-{self.chance.getrandbits(64):x}"
            answer = sales.place(self._customer_id(), key, basket, hashlib.sha256(repr(basket).encode()).hexdigest())
            if answer.status != 201:
                raise RuntimeError(f"a purchase was refused: {answer.body}")

        return purchase

    def _repeat(self) -> Operation:
        """Of an order of any time: its key is asked for again by who lost the answer."""
        sales = Sales(self.engine, load(STRATEGIES[0]), Settings())

        def repeat() -> None:
            order_id = self._number(self.size.orders)
            customer_id = self._buyer(order_id)
            answer = sales.place(customer_id, f"order-{order_id}", [Line(1, 1)], "0" * 64)
            if not answer.replayed:
                raise RuntimeError(f"order {order_id} was not found by its key")

        return repeat

    def _catalogue(self, **wanted: str) -> None:
        found = self._read(queries.catalogue, per_page=PER_PAGE, total=TOTAL_KNOWN, **wanted)
        if not found.items:
            raise RuntimeError(f"nothing was found by {wanted}")

    def _search(self) -> None:
        """For one good, by two words of its name, as filling.sql names it."""
        number = self._stock_id()
        self._catalogue(q=f"{WORDS[number // 8 % 8]} {number}")

    def _deep_page(self) -> None:
        page = self._number(DEPTH // PER_PAGE)
        self._read(queries.catalogue, per_page=PER_PAGE, total=TOTAL_KNOWN, page=page)

    def _order(self) -> None:
        order_id = self._number(self.size.orders)
        with reading(self.engine) as connection:
            if queries.order(connection, self._buyer(order_id), order_id) is None:
                raise RuntimeError(f"order {order_id} was not found")
            queries.facts_of(connection, [order_id])

    def _session(self) -> None:
        customer_id = 1 + 10 * self.chance.randrange(self.size.customers // 10)
        sha256 = hashlib.sha256(f"session {customer_id}".encode()).hexdigest()
        if self._read(sessions.find, sha256, LIFETIMES) is None:
            raise RuntimeError(f"the session of customer {customer_id} was not found")

    def _sign_in(self) -> None:
        with transaction(self.engine) as connection:
            trip(connection, [store.asking_for_credentials(f"customer{self._customer_id()}@example.org")])

    def _read(self, question: Callable[..., Found], *values: Any, **named: Any) -> Found:
        with reading(self.engine) as connection:
            return question(connection, *values, **named)

    def _number(self, highest: int) -> int:
        return self.chance.randint(1, highest)

    def _stock_id(self) -> int:
        return self._number(self.size.stock_rows)

    def _customer_id(self) -> int:
        return self._number(self.size.customers)

    def _buyer(self, order_id: int) -> int:
        """As filling.sql spreads orders over customers."""
        return 1 + order_id * 7879 % self.size.customers
