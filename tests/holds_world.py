"""A small shop whose carts hold goods: each act is a transaction of its own, and time passes by moving the ends of holds."""

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, text

from distributor import holds, queries
from distributor.database import transaction
from distributor.errors import NotEnoughStock, ShortLine
from distributor.sales import Answer, Line, Sales
from distributor.strategies import load
from distributor.strategies.contract import Strategy
from settings.model import Cart as Limits
from tests.distributor_world import World, patient_settings, rows

HOLD_SECONDS = 600  # far longer than any test: holds end only when a test says so


@dataclass
class HoldingShop:
    """Customers and stock rows are named by their position in ``world``."""

    engine: Engine
    world: World
    strategy: Strategy = field(default_factory=lambda: load("conditional_update"))
    limits: Limits = field(default_factory=lambda: Limits(hold_seconds=HOLD_SECONDS))

    def __post_init__(self) -> None:
        self.sales = Sales(self.engine, self.strategy, patient_settings(cart=self.limits.model_dump()))
        self._keys = itertools.count(1)

    def put(self, customer: int, stock: int, quantity: int) -> None:
        with transaction(self.engine) as connection:
            queries.put_in_cart(
                connection, self.world.customers[customer], self.world.stock[stock], quantity, self.limits
            )

    def add(self, customer: int, stock: int, quantity: int) -> None:
        with transaction(self.engine) as connection:
            queries.add_to_cart(
                connection, self.world.customers[customer], self.world.stock[stock], quantity, self.limits
            )

    def again(self, customer: int, stock: int) -> None:
        with transaction(self.engine) as connection:
            queries.hold_again(connection, self.world.customers[customer], self.world.stock[stock], self.limits)

    def take_out(self, customer: int, stock: int) -> None:
        with transaction(self.engine) as connection:
            queries.take_out_of_cart(connection, self.world.customers[customer], self.world.stock[stock])

    def cart(self, customer: int) -> queries.Cart:
        with transaction(self.engine) as connection:
            return queries.cart(connection, self.world.customers[customer], self.limits)

    def line(self, customer: int, stock: int) -> queries.CartLine:
        (found,) = [line for line in self.cart(customer).lines if line.item.stock_id == self.world.stock[stock]]
        return found

    def expire(self, customer: int, stock: int) -> None:
        """Its time is over, by the database's clock."""
        with transaction(self.engine) as connection:
            connection.execute(
                text("UPDATE cart_line SET held_until = clock_timestamp() WHERE customer_id = :c AND stock_id = :s"
                     " AND held > 0"),
                {"c": self.world.customers[customer], "s": self.world.stock[stock]},
            )  # fmt: skip

    def buy(self, customer: int, *lines: tuple[int, int]) -> Answer:
        """The cart, or ``lines`` of stock and quantity beside it."""
        wanted = [Line(self.world.stock[stock], quantity) for stock, quantity in lines] or None
        sha = hashlib.sha256(repr(wanted).encode()).hexdigest()
        return self.sales.place(self.world.customers[customer], f"k{next(self._keys)}", wanted, sha)

    def tidy(self) -> int:
        with transaction(self.engine) as connection:
            return holds.tidy(connection)

    def left_for(self, customer: int | None, stock: int) -> int:
        reader = None if customer is None else self.world.customers[customer]
        stock_id = self.world.stock[stock]
        with transaction(self.engine) as connection:
            return holds.standings(connection, [stock_id], [] if reader is None else [reader])[stock_id].left_for(
                reader
            )

    def short(self, error: NotEnoughStock) -> tuple[tuple[int, int, int | None], ...]:
        """(stock, available, in others' carts) of each short line."""
        return tuple((self._stock(line), line.available, line.in_other_carts) for line in error.lines)

    def refused(self, answer: Answer) -> list[tuple[int, int, int]]:
        """As ``short``, of a refusal for stock."""
        assert (answer.status, answer.body["reason"]) == (409, "not_enough_stock"), answer
        return [
            (self.world.stock.index(line["stock_id"]), line["available"], line["in_other_carts"])
            for line in answer.body["lines"]
        ]

    def _stock(self, line: ShortLine) -> int:
        return self.world.stock.index(line.stock_id)


def overheld(engine: Engine) -> list[Any]:
    """Stock rows of which more is held than is there (H2)."""
    return rows(
        engine,
        """SELECT stock.id, supplied - withdrawn - sold AS available, sum(held) AS held
           FROM stock JOIN cart_line ON cart_line.stock_id = stock.id AND held_until > clock_timestamp()
           GROUP BY stock.id HAVING sum(held) > supplied - withdrawn - sold""",
    )
