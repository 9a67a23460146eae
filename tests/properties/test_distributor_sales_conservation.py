"""Whatever people do in whatever order, units are conserved: a model of the shop beside the real one (P1, P2, P3)."""

import hashlib
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text

from distributor import queries
from distributor.database import transaction
from distributor.errors import KeyReused, NotEnoughStock, ShopClosed
from distributor.sales import Answer, Line, Sales
from distributor.strategies import load
from settings.model import Cart
from tests.distributor_world import World, discrepancies, make_world, patient_settings, rows, set_month

ROWS = 4
CUSTOMERS = 2
EMPTY = "TRUNCATE customer, month, manufacturer, product, stock, supply_line, calendar, outbox RESTART IDENTITY CASCADE"
ROW = st.integers(0, ROWS - 1)
CUSTOMER = st.integers(0, CUSTOMERS - 1)
LINES = st.lists(st.tuples(ROW, st.integers(1, 4)), min_size=1, max_size=5)


class Shop(RuleBasedStateMachine):
    """The model: units available per row, what each key was answered, what is in each cart."""

    engine: Engine
    strategy: str
    keys = Bundle("keys")

    @initialize(units=st.lists(st.integers(0, 9), min_size=ROWS, max_size=ROWS))
    def open(self, units: list[int]) -> None:
        with transaction(self.engine) as connection:
            connection.execute(text(EMPTY))
        self.world: World = make_world(self.engine, units, customers=CUSTOMERS)
        self.sales = Sales(self.engine, load(self.strategy), patient_settings())
        self.left = list(units)
        self.supplied = list(units)
        self.carts: list[dict[int, int]] = [{} for _customer in range(CUSTOMERS)]
        self.is_open = True
        self.sold = 0
        self.number = 0

    @rule(target=keys, customer=CUSTOMER, lines=LINES)
    def buy(self, customer: int, lines: list[tuple[int, int]]) -> tuple[int, str, list[Line], Answer | None]:
        self.number += 1
        key, wanted = f"k{self.number}", [Line(self.world.stock[row], quantity) for row, quantity in lines]
        summed: dict[int, int] = {}
        for row, quantity in lines:
            summed[row] = summed.get(row, 0) + quantity
        return customer, key, wanted, self._place(customer, key, wanted, summed)

    @rule(customer=CUSTOMER)
    def buy_the_cart(self, customer: int) -> None:
        self.number += 1
        answer = self._place(customer, f"k{self.number}", None, self.carts[customer])
        if answer is not None and answer.status == 201:
            self.carts[customer] = {}

    def _place(self, customer: int, key: str, lines: list[Line] | None, summed: dict[int, int]) -> Answer | None:
        sha = hashlib.sha256(repr(lines).encode()).hexdigest()
        try:
            answer = self.sales.place(self.world.customers[customer], key, lines, sha)
        except ShopClosed:
            assert not self.is_open
            return None
        assert self.is_open
        enough = bool(summed) and all(self.left[row] >= quantity for row, quantity in summed.items())
        assert answer.status == (201 if enough else 409)
        if enough:
            self.sold += 1
            for row, quantity in summed.items():
                self.left[row] -= quantity
        elif summed:
            short = {line["stock_id"]: line["available"] for line in answer.body["lines"]}
            expected = {self.world.stock[r]: self.left[r] for r, quantity in summed.items() if quantity > self.left[r]}
            assert short == expected
        return answer

    @rule(before=keys)
    def ask_again(self, before: tuple[int, str, list[Line], Answer | None]) -> None:
        customer, key, lines, answer = before
        if answer is None:
            return
        sha = hashlib.sha256(repr(lines).encode()).hexdigest()
        again = self.sales.place(self.world.customers[customer], key, lines, sha)
        assert (again.status, again.body, again.replayed) == (answer.status, answer.body, True)

    @rule(before=consumes(keys))
    def reuse_a_key(self, before: tuple[int, str, list[Line], Answer | None]) -> None:
        customer, key, lines, answer = before
        if answer is not None:
            with pytest.raises(KeyReused):
                self.sales.place(self.world.customers[customer], key, lines, "f" * 64)

    @rule(customer=CUSTOMER, row=ROW, quantity=st.integers(1, 4))
    def put(self, customer: int, row: int, quantity: int) -> None:
        try:
            with transaction(self.engine) as connection:
                queries.put_in_cart(connection, self.world.customers[customer], self.world.stock[row], quantity, Cart())
        except NotEnoughStock:
            assert quantity > self.left[row]
        else:
            assert quantity <= self.left[row]
            self.carts[customer][row] = quantity

    @rule(row=ROW, units=st.integers(1, 5))
    def supply(self, row: int, units: int) -> None:
        self._count("supplied", row, units)
        self.left[row] += units
        self.supplied[row] += units

    @rule(row=ROW, units=st.integers(1, 3))
    def withdraw(self, row: int, units: int) -> None:
        taken = min(units, self.left[row])
        self._count("withdrawn", row, taken)
        self.left[row] -= taken

    def _count(self, column: str, row: int, units: int) -> None:
        with transaction(self.engine) as connection:
            connection.execute(
                text(f"UPDATE stock SET {column} = {column} + :units WHERE id = :id"),
                {"units": units, "id": self.world.stock[row]},
            )

    @rule()
    def open_or_close(self) -> None:
        self.is_open = not self.is_open
        set_month(self.engine, "open" if self.is_open else "closing")

    @invariant()
    def units_and_money_are_conserved(self) -> None:
        if not hasattr(self, "world"):
            return
        found: list[Any] = rows(self.engine, "SELECT supplied - withdrawn - sold AS left FROM stock ORDER BY id")
        assert [row.left for row in found] == self.left
        assert not discrepancies(self.engine)
        (books,) = rows(
            self.engine,
            """SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM charge) AS charges,
                      (SELECT coalesce(sum(total_minor), 0) FROM orders) AS ordered,
                      (SELECT coalesce(sum(amount_minor), 0) FROM charge) AS charged,
                      (SELECT coalesce(sum(quantity * price_minor), 0) FROM order_line) AS lines""",
        )
        assert books.orders == books.charges == self.sold
        assert books.ordered == books.charged == books.lines


@pytest.mark.parametrize("name", ["row_lock", "conditional_update", "naive"])
def test_units_and_money_are_conserved(engine: Engine, name: str) -> None:
    """One purchase at a time, so ``naive`` keeps the books as well: its fault is concurrency alone."""

    class Bound(Shop):
        pass

    Bound.engine, Bound.strategy = engine, name
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=8, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert not discrepancies(engine)
