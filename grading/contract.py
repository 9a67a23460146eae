"""The contract's cases: what every strategy must do when nobody else buys (distributor/strategies/contract.py).

Each case makes a world of its own, so all of them may run on one database. Our own tests run them over every strategy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from distributor.database import send, transaction
from distributor.errors import ShortLine
from distributor.strategies.answers import problem_of
from distributor.strategies.contract import Line, Short, Strategy, Taken
from grading.world import PRICE_MINOR, World, make_world

LARGE_BASKET_LINES = 60


class Unmet(Exception):
    """The strategy did not do what a case expects; the text says what was seen."""


@dataclass(frozen=True)
class Case:
    """``clause`` of the contract; ``run`` raises Unmet, or whatever the strategy raises."""

    clause: str
    sentence: str
    run: Callable[[Engine, Strategy], None]

    @property
    def name(self) -> str:
        return self.run.__name__


CASES: list[Case] = []


def _case(clause: str, sentence: str) -> Callable[[Callable[[Engine, Strategy], None]], Case]:
    def add(run: Callable[[Engine, Strategy], None]) -> Case:
        CASES.append(Case(clause, sentence, run))
        return CASES[-1]

    return add


def expect(what: str, seen: object, expected: object) -> None:
    """Raise Unmet, naming both, unless they are equal."""
    if seen != expected:
        raise Unmet(f"{what}: {seen!r:.300}, expected {expected!r:.300}")


def take(engine: Engine, strategy: Strategy, *lines: Line) -> Taken | Short:
    """As the caller does: one transaction, rolled back where the basket is short (C3)."""
    with transaction(engine, strategy.isolation) as connection:
        result = checked(strategy, connection, [lines])[0]
        if isinstance(result, Short):
            connection.rollback()
            connection.begin()
    return result


def checked(strategy: Strategy, connection: Connection, baskets: list[tuple[Line, ...]]) -> list[Taken | Short]:
    results = strategy.take(connection, baskets)
    problem = problem_of(baskets, results)
    if problem:
        raise Unmet(f"take {problem}")
    return results


def world_of(engine: Engine) -> World:
    return make_world(engine, [5, 3, 0, 40])


def sold(engine: Engine, world: World) -> list[int]:
    with transaction(engine) as connection:
        rows = connection.execute(
            text("SELECT sold FROM stock WHERE id = ANY(:ids) ORDER BY id"), {"ids": [*world.stock]}
        )
        return [int(row.sold) for row in rows]


@_case("C2", "A basket is taken, with the facts that the order must record.")
def facts_of_a_taken_basket(engine: Engine, strategy: Strategy) -> None:
    world = world_of(engine)
    first, second = world.stock[:2]
    with transaction(engine) as connection:
        sku, name = connection.execute(
            text("SELECT sku, name FROM stock JOIN product ON product.id = product_id WHERE stock.id = :id"),
            {"id": second},
        ).one()
    result = take(engine, strategy, Line(first, 2), Line(second, 3))
    if not isinstance(result, Taken):
        raise Unmet(f"2 of 5 and 3 of 3 units were refused: {result!r:.200}")
    expect("units left", [line.left for line in result.lines], [3, 0])
    line = result.lines[1]
    expect("price and currency", (line.price_minor, line.currency), (PRICE_MINOR, "GBP"))
    expect("sku and name", (line.sku, line.name), (sku, name))
    expect("manufacturer", (line.manufacturer, line.manufacturer_name), ("m2", "Second Works"))
    expect("stock.sold of the four rows", sold(engine, world), [2, 3, 0, 0])


@_case("C3", "Every short line is named, with what is left, and nothing is taken.")
def every_short_line_is_named(engine: Engine, strategy: Strategy) -> None:
    world = world_of(engine)
    first, second, empty, plenty = world.stock
    result = take(engine, strategy, Line(first, 1), Line(second, 4), Line(empty, 1), Line(plenty, 40))
    expect("result", result, Short((ShortLine(second, 4, 3), ShortLine(empty, 1, 0))))
    expect("stock.sold of the four rows", sold(engine, world), [0, 0, 0, 0])


@_case("C3", "A stock row that does not exist is short, with nothing left.")
def an_unknown_row_is_short(engine: Engine, strategy: Strategy) -> None:
    world = world_of(engine)
    result = take(engine, strategy, Line(world.stock[0], 1), Line(2**62, 1))
    expect("result", result, Short((ShortLine(2**62, 1, 0),)))


@_case("C1", "What is rolled back after take was never sold: commit and rollback are the caller's.")
def the_caller_rolls_back(engine: Engine, strategy: Strategy) -> None:
    world = world_of(engine)
    try:
        with transaction(engine, strategy.isolation) as connection:
            checked(strategy, connection, [(Line(world.stock[0], 1),)])
            raise KeyError
    except KeyError:
        pass
    expect("stock.sold after the rollback", sold(engine, world)[0], 0)


@_case("C1", "take ends in the transaction in which it began.")
def one_transaction(engine: Engine, strategy: Strategy) -> None:
    world = world_of(engine)
    with transaction(engine, strategy.isolation) as connection:
        before = _transaction_number(connection)
        checked(strategy, connection, [(Line(world.stock[0], 1),)])
        expect("number of the transaction after take", _transaction_number(connection), before)


def _transaction_number(connection: Connection) -> str:
    query = "SELECT virtualtransaction FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'virtualxid'"
    return str(connection.scalar(text(query)))


@_case("C3", "No basket is no work, and no result.")
def no_basket(engine: Engine, strategy: Strategy) -> None:
    with transaction(engine, strategy.isolation) as connection:
        expect("result", list(strategy.take(connection, [])), [])


@_case("C3", "Units that were withdrawn cannot be taken.")
def withdrawn_units(engine: Engine, strategy: Strategy) -> None:
    world = world_of(engine)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET withdrawn = 4 WHERE id = :id"), {"id": world.stock[0]})
    expect("result", take(engine, strategy, Line(world.stock[0], 2)), Short((ShortLine(world.stock[0], 2, 1),)))


@_case("C3", "Who comes second finds what the first one left; nothing is remembered from an earlier purchase.")
def one_after_the_other(engine: Engine, strategy: Strategy) -> None:
    world = world_of(engine)
    line = Line(world.stock[0], 2)
    left = []
    for price in (PRICE_MINOR, PRICE_MINOR + 1):
        with transaction(engine) as connection:
            connection.execute(
                text("UPDATE stock SET price_minor = :price WHERE id = :id"), {"price": price, "id": line.stock_id}
            )
        result = take(engine, strategy, line)
        if not isinstance(result, Taken):
            raise Unmet(f"2 units were refused although 3 or more were left: {result!r:.200}")
        left.append((result.lines[0].left, result.lines[0].price_minor))
    expect("units left and price, twice", left, [(3, PRICE_MINOR), (1, PRICE_MINOR + 1)])
    expect("the third", take(engine, strategy, line), Short((ShortLine(line.stock_id, 2, 1),)))


@_case("C3", f"A basket of {LARGE_BASKET_LINES} lines is taken whole.")
def a_large_basket(engine: Engine, strategy: Strategy) -> None:
    world = make_world(engine, [9] * LARGE_BASKET_LINES)
    result = take(engine, strategy, *[Line(stock_id, 2) for stock_id in world.stock])
    if not isinstance(result, Taken):
        raise Unmet(f"refused although there is enough: {result!r:.200}")
    expect("stock.sold of every row", set(sold(engine, world)), {2})


@_case(
    "C3", "Several baskets in one call (groups_max above 1): one result each, in order; a short one changed nothing."
)
def several_baskets(engine: Engine, strategy: Strategy) -> None:
    if strategy.groups_max == 1:
        return
    world = world_of(engine)
    first, second = world.stock[:2]
    baskets = [(Line(first, 3),), (Line(first, 3), Line(second, 1)), (Line(first, 2),)]
    with transaction(engine, strategy.isolation) as connection:
        results = checked(strategy, connection, baskets[: strategy.groups_max])
    kinds = [type(result).__name__ for result in results]
    expect("results", kinds, ["Taken", "Short", "Taken"][: strategy.groups_max])
    expect("stock.sold of the two rows", sold(engine, world)[:2], [5 if len(results) == 3 else 3, 0])


@_case("C5", "After take the rows are written, as counting sold does, and so locked until the caller's commit.")
def rows_are_locked(engine: Engine, strategy: Strategy) -> None:
    world = world_of(engine)
    with transaction(engine, strategy.isolation) as connection:
        checked(strategy, connection, [(Line(world.stock[0], 1),)])
        send(connection)
        if not _is_locked(engine, world.stock[0]):
            raise Unmet("another session could lock the row that had been taken from")


def _is_locked(engine: Engine, stock_id: int) -> bool:
    try:
        with engine.connect() as rival:
            rival.execute(text("SELECT FROM stock WHERE id = :id FOR NO KEY UPDATE NOWAIT"), {"id": stock_id})
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            return True
        raise
    return False


@_case("C5", "Only the counter sold of what was bought has changed.")
def nothing_else_is_written(engine: Engine, strategy: Strategy) -> None:
    world = world_of(engine)
    before = _everything(engine, world)
    take(engine, strategy, Line(world.stock[0], 1))
    before[0]["sold"] += 1
    for expected, seen in zip(before, _everything(engine, world), strict=True):
        expect("a row of stock", seen, expected)


def _everything(engine: Engine, world: World) -> list[dict[str, int]]:
    columns = "id, product_id, manufacturer_id, price_minor, supplied, withdrawn, sold, holds_made"
    query = text(f"SELECT {columns} FROM stock WHERE id = ANY(:ids) ORDER BY id")  # noqa: S608 - columns of ours
    with transaction(engine) as connection:
        return [dict(row) for row in connection.execute(query, {"ids": [*world.stock]}).mappings()]
