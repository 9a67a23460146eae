"""Whatever customers hold, buy, let go and let run out: carts, holds and stock agree with a model made of plain sums."""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, text

from distributor import holds
from distributor.database import transaction
from distributor.errors import HoldRefused, NotEnoughStock, UnknownStock
from distributor.sales import Answer
from distributor.strategies import load
from settings.model import Cart
from tests.distributor_world import discrepancies, make_world
from tests.holds_world import HOLD_SECONDS, HoldingShop, overheld

ROWS = 3
CUSTOMERS = 3
EMPTY = "TRUNCATE customer, month, manufacturer, product, stock, supply_line, calendar, outbox RESTART IDENTITY CASCADE"
LIMITS = Cart(hold_seconds=HOLD_SECONDS, hold_extensions_max=1, hold_lines_max=2, hold_units_max=5)
ROW = st.integers(0, ROWS - 1)
CUSTOMER = st.integers(0, CUSTOMERS - 1)
UNITS = st.integers(1, 4)
LINES = text("""
    SELECT customer_id, stock_id, quantity, CASE WHEN held_until > clock_timestamp() THEN held ELSE 0 END AS held
    FROM cart_line
""")


@dataclass
class Line:
    """Of the model. ``held``: live units; ``begun``: how often the time of its hold was begun."""

    quantity: int
    held: int = 0
    begun: int = 0


class Carts(RuleBasedStateMachine):
    """The model: units left per row, and each customer's lines."""

    engine: Engine
    strategy: str

    @initialize(units=st.lists(st.integers(0, 9), min_size=ROWS, max_size=ROWS))
    def open(self, units: list[int]) -> None:
        with transaction(self.engine) as connection:
            connection.execute(text(EMPTY))
        world = make_world(self.engine, units, customers=CUSTOMERS)
        self.shop = HoldingShop(self.engine, world, load(self.strategy), LIMITS)
        self.left = list(units)
        self.lines: dict[tuple[int, int], Line] = {}

    # -- the model's arithmetic -----------------------------------------------------------------------------------

    def left_for(self, customer: int, row: int) -> int:
        return self.left[row] - sum(
            line.held for (who, what), line in self.lines.items() if what == row and who != customer
        )

    def room(self, customer: int, row: int) -> int:
        others = [line for (who, what), line in self.lines.items() if who == customer and what != row and line.held > 0]
        return 0 if len(others) >= LIMITS.hold_lines_max else max(0, 5 - sum(line.held for line in others))

    def set_line(self, customer: int, row: int, quantity: int) -> bool:
        """Whether the line can be had; then it is, and holds what it may."""
        if quantity > self.left_for(customer, row):
            return False
        line = self.lines.setdefault((customer, row), Line(quantity))
        line.quantity, line.held = quantity, min(line.held, quantity)
        may_hold = min(quantity, self.room(customer, row))
        if line.held > 0:
            line.held = max(line.held, may_hold)
        elif line.begun == 0 and may_hold:
            line.held, line.begun = may_hold, 1
        return True

    # -- what customers do ----------------------------------------------------------------------------------------

    @rule(customer=CUSTOMER, row=ROW, quantity=UNITS)
    def put(self, customer: int, row: int, quantity: int) -> None:
        possible = self.set_line(customer, row, quantity)
        try:
            self.shop.put(customer, row, quantity)
        except NotEnoughStock as error:
            assert not possible
            self.says_what_is_left(error, customer, row)
        else:
            assert possible

    @rule(customer=CUSTOMER, row=ROW, quantity=UNITS)
    def add(self, customer: int, row: int, quantity: int) -> None:
        before = self.lines[customer, row].quantity if (customer, row) in self.lines else 0
        possible = self.set_line(customer, row, before + quantity)
        try:
            self.shop.add(customer, row, quantity)
        except NotEnoughStock as error:
            assert not possible
            self.says_what_is_left(error, customer, row)
        else:
            assert possible

    @rule(customer=CUSTOMER, row=ROW)
    def hold_again(self, customer: int, row: int) -> None:
        line = self.lines.get((customer, row))
        expected: type[Exception] | None = None
        if line is None:
            expected = UnknownStock
        elif line.begun > LIMITS.hold_extensions_max or not self.room(customer, row):
            expected = HoldRefused
        elif line.quantity > self.left_for(customer, row):
            expected = NotEnoughStock
        if expected is not None or line is None:
            with pytest.raises(expected or UnknownStock):
                self.shop.again(customer, row)
        else:
            self.shop.again(customer, row)
            line.held, line.begun = min(line.quantity, self.room(customer, row)), line.begun + 1

    @rule(customer=CUSTOMER, row=ROW)
    def take_out(self, customer: int, row: int) -> None:
        self.shop.take_out(customer, row)
        self.lines.pop((customer, row), None)

    @rule(customer=CUSTOMER)
    def buy_the_cart(self, customer: int) -> None:
        wanted = {row: line.quantity for (who, row), line in self.lines.items() if who == customer}
        if self.bought(self.shop.buy(customer), customer, wanted):
            for row in wanted:
                del self.lines[customer, row]

    @rule(customer=CUSTOMER, wanted=st.dictionaries(ROW, UNITS, min_size=1))
    def buy_beside_the_cart(self, customer: int, wanted: dict[int, int]) -> None:
        if self.bought(self.shop.buy(customer, *wanted.items()), customer, wanted):
            for row, quantity in wanted.items():
                if (customer, row) in self.lines:
                    line = self.lines[customer, row]
                    line.held = max(0, line.held - quantity)

    def bought(self, answer: Answer, customer: int, wanted: dict[int, int]) -> bool:
        short = [row for row, quantity in sorted(wanted.items()) if quantity > self.left_for(customer, row)]
        if short:
            assert self.shop.refused(answer) == [
                (row, self.left_for(customer, row), self.left[row] - self.left_for(customer, row)) for row in short
            ]
        elif wanted:
            assert answer.status == 201, answer
            for row, quantity in wanted.items():
                self.left[row] -= quantity
        return bool(wanted) and not short

    def says_what_is_left(self, error: NotEnoughStock, customer: int, row: int) -> None:
        left = self.left_for(customer, row)
        assert self.shop.short(error) == ((row, left, self.left[row] - left),)

    # -- what happens to them -------------------------------------------------------------------------------------

    @rule(customer=CUSTOMER, row=ROW)
    def time_is_over(self, customer: int, row: int) -> None:
        self.shop.expire(customer, row)
        if (customer, row) in self.lines:
            self.lines[customer, row].held = 0

    @rule()
    def tidy(self) -> None:
        self.shop.tidy()
        assert self.shop.tidy() == 0

    @rule(row=ROW, units=UNITS)
    def supply(self, row: int, units: int) -> None:
        with transaction(self.engine) as connection:
            connection.execute(
                text("UPDATE stock SET supplied = supplied + :n WHERE id = :id"),
                {"n": units, "id": self.shop.world.stock[row]},
            )
        self.left[row] += units

    @rule(row=ROW, units=UNITS)
    def withdraw(self, row: int, units: int) -> None:
        """Holds are cut to what is left, those that end last first; only sums are modelled, so the cut is read back."""
        stock_id = self.shop.world.stock[row]
        taken = min(units, self.left[row])
        with transaction(self.engine) as connection:
            holds.lock_holders(connection, [stock_id])
            connection.execute(
                text("UPDATE stock SET withdrawn = withdrawn + :n WHERE id = :id"), {"n": taken, "id": stock_id}
            )
            holds.cut_to_fit(connection, [stock_id])
        self.left[row] -= taken
        held = {who: line.held for (who, what), line in self.lines.items() if what == row and line.held}
        expected = min(sum(held.values()), self.left[row])
        for who in held:
            self.lines[who, row].held = self.shop.line(who, row).held
        assert sum(self.lines[who, row].held for who in held) == expected

    # -- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def carts_are_as_the_model_says(self) -> None:
        world = self.shop.world
        with transaction(self.engine) as connection:
            lines = connection.execute(LINES).all()
            standings = holds.standings(connection, world.stock, world.customers)
        found = {(world.customers.index(line.customer_id), world.stock.index(line.stock_id)): line for line in lines}
        assert {place: (line.quantity, line.held) for place, line in found.items()} == {
            place: (line.quantity, line.held) for place, line in self.lines.items()
        }
        for customer, customer_id in enumerate(world.customers):
            left = [standings[stock_id].left_for(customer_id) for stock_id in world.stock]
            assert left == [self.left_for(customer, row) for row in range(ROWS)]

    @invariant()
    def nothing_is_held_that_is_not_there_nor_sold_twice(self) -> None:
        assert not overheld(self.engine)
        assert not discrepancies(self.engine)


@pytest.mark.parametrize(("strategy", "examples"), [("conditional_update", 6), ("group_commit", 2)])
def test_carts_agree_with_their_model(engine: Engine, strategy: str, examples: int) -> None:
    class OfStrategy(Carts):
        pass

    OfStrategy.engine, OfStrategy.strategy = engine, strategy
    run_state_machine_as_test(
        OfStrategy,
        settings=settings(
            max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert not discrepancies(engine)
