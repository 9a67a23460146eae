"""Races: many buy at the same time, and the books must agree with what they were told (P1, P2).

Each race meets after the first look at the stock, so that it takes place wherever the strategy lets it.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import text

from distributor import queries
from distributor.database import transaction
from distributor.errors import Busy, NotEnoughStock, TransactionConflict
from distributor.sales import Answer, Line, Sales
from grading.checks import RACES, Check
from grading.conduct import Rendezvous
from grading.crowd import Ground, at_once, buy, tally, told
from grading.world import World, make_world

MEETING_SECONDS = 0.3
HOLD_SECONDS = 600


def run(ground: Ground) -> None:
    for race in (last_unit, hot_product, opposite_baskets, holds, withdrawal):
        ground.begin(race.__name__)
        race(ground)
        ground.conduct.rendezvous = None


def _judge(ground: Ground, name: str, sentence: str, world: World, wrong: str) -> None:
    """One check; the books come first, for they are what is promised."""
    seen = ground.books(world.stock) or wrong
    ground.tell(Check(RACES, name, sentence, not seen, seen, clause="P1"))


def _meet(ground: Ground, parties: int) -> None:
    ground.conduct.rendezvous = Rendezvous(parties, MEETING_SECONDS)


def last_unit(ground: Ground) -> None:
    """One unit, then three, wanted by many."""
    buyers = 6 if ground.quick else 20
    for units in (1, 3):
        world = make_world(ground.engine, [units], customers=buyers)
        _meet(ground, buyers)
        results = _everybody(ground.sales(), world, f"last{units}", [Line(world.stock[0], 1)])
        expected = {"201": units, "409": buyers - units}
        wrong = "" if tally(results) == expected else f"{buyers} buyers ended as {told(results)}, expected {expected}"
        sentence = (
            "The last unit is sold once." if units == 1 else f"The last {units} units are sold to {units} buyers."
        )
        _judge(ground, f"last_unit_{units}", sentence, world, wrong)


def _everybody(sales: Sales, world: World, key: str, lines: Sequence[Line]) -> list[Any]:
    return at_once([partial(buy, sales, customer, key, *lines) for customer in world.customers])


def hot_product(ground: Ground) -> None:
    """Plenty of one good, bought again and again by all: no sale may be forgotten by the counter."""
    buyers, times = (4, 4) if ground.quick else (16, 12)
    world = make_world(ground.engine, [1_000_000], customers=buyers)
    sales = ground.sales()
    _meet(ground, buyers)
    results = _again_and_again(sales, world, times, lambda _rng: [Line(world.stock[0], 2)], ground.seed)
    wrong = _all_sold(results, buyers * times)
    _judge(ground, "hot_product", "All buy one good at once, and the counter forgets no sale.", world, wrong)


def _again_and_again(
    sales: Sales, world: World, times: int, basket: Callable[[random.Random], list[Line]], seed: int
) -> list[Any]:
    def shop(customer: int) -> list[Any]:
        rng = random.Random(f"{seed}/{customer}")
        found: list[Any] = []
        for number in range(times):
            try:
                found.append(buy(sales, customer, f"k{number}", *basket(rng)))
            except Exception as error:  # noqa: BLE001 - judged below
                found.append(error)
        return found

    lists = at_once([partial(shop, customer) for customer in world.customers])
    return [result for results in lists for result in (results if isinstance(results, list) else [results])]


def _all_sold(results: Sequence[Any], count: int) -> str:
    return "" if tally(results) == {"201": count} else f"{count} purchases ended as {told(results)}, all could be had"


def opposite_baskets(ground: Ground) -> None:
    """Baskets with the same goods, named in opposite orders."""
    buyers, times = (4, 3) if ground.quick else (6, 6)
    world = make_world(ground.engine, [1_000_000] * 6, customers=buyers)
    _meet(ground, 2)

    def basket(rng: random.Random) -> list[Line]:
        return [Line(stock_id, 1) for stock_id in (world.stock if rng.random() < 0.5 else world.stock[::-1])]

    before = ground.causes["40P01"]
    results = _again_and_again(ground.sales(), world, times, basket, ground.seed)
    _judge(
        ground,
        "opposite_baskets",
        "Baskets with the same goods in opposite order are all sold.",
        world,
        _all_sold(results, buyers * times),
    )
    ground.causes["deadlocks of opposite baskets"] += ground.causes["40P01"] - before
    ground.causes["opposite baskets"] += buyers * times


def holds(ground: Ground) -> None:
    """Goods in other people's carts are not sold, to anybody; who holds them gets them."""
    people = 4 if ground.quick else 12
    units = people // 2
    world = make_world(ground.engine, [units], customers=2 * people)
    cart = ground.settings.cart.model_copy(update={"hold_seconds": HOLD_SECONDS})
    settings = ground.settings.model_copy(update={"cart": cart})
    sales = ground.sales(settings)
    stock_id = world.stock[0]

    def put(customer: int) -> str:
        for _attempt in range(50):
            try:
                with transaction(ground.engine) as connection:
                    queries.put_in_cart(connection, customer, stock_id, 1, settings.cart)
            except NotEnoughStock:
                return "refused"
            except (TransactionConflict, Busy):
                continue
            return "held"
        return "never held"

    holders, passers = world.customers[:people], world.customers[people:]
    wishes: list[Callable[[], object]] = [partial(put, customer) for customer in holders]
    wishes += [partial(buy, sales, customer, "beside", Line(stock_id, 1)) for customer in passers]
    results = at_once(wishes)
    held = [customer for customer, result in zip(holders, results, strict=False) if result == "held"]
    bought = sum(isinstance(result, Answer) and result.status == 201 for result in results[people:])
    got = at_once([partial(sales.place, customer, "cart", None, "0" * 64) for customer in held]) if held else []
    wrong = ""
    if len(held) + bought > units:
        wrong = f"of {units} units {len(held)} were held and {bought} sold to others at the same time"
    elif tally(got) not in ({}, {"201": len(held)}):
        wrong = f"{len(held)} customers who held a unit each got {told(got)}"
    elif len(held) + bought < units:
        wrong = f"of {units} units only {len(held)} were held and {bought} sold, although {2 * people} wanted one"
    _judge(ground, "holds", "What is held in carts is sold to nobody else, and surely to who holds it.", world, wrong)


def withdrawal(ground: Ground) -> None:
    """Goods are taken back, as when a manufacturer cancels its offer, while they are bought."""
    buyers = 4 if ground.quick else 12
    units, back = 3 * buyers, buyers
    world = make_world(ground.engine, [units], customers=buyers)
    stock_id = world.stock[0]
    sales = ground.sales()

    def take_back() -> int:
        taken = 0
        for _round in range(back):
            with transaction(ground.engine) as connection:
                taken += connection.execute(
                    text(
                        "UPDATE stock SET withdrawn = withdrawn + 1 WHERE id = :id AND supplied - withdrawn - sold >= 1"
                    ),
                    {"id": stock_id},
                ).rowcount
        return taken

    def shop(customer: int) -> list[Any]:
        return [buy(sales, customer, f"w{number}", Line(stock_id, 1)) for number in range(3)]

    _meet(ground, 2)
    taken, *lists = at_once([take_back, *[partial(shop, customer) for customer in world.customers]])
    odd = [result for result in [taken, *lists] if isinstance(result, Exception)]
    answers = [result for results in lists if isinstance(results, list) for result in results]
    wrong = ""
    if odd:
        wrong = f"{type(odd[0]).__name__}: {str(odd[0]).partition(chr(10))[0]:.160}"
    elif sum(a.status == 201 for a in answers) + taken != units:
        wrong = f"{units} units: {taken} taken back, purchases {tally(answers)}: every unit was wanted"
    _judge(ground, "withdrawal", "Units that are taken back meanwhile are not sold as well.", world, wrong)


def instance(ground: Ground, world: World, number: int, wait: Callable[[], None]) -> dict[str, Any]:
    """One of several web instances that sell at the same time; whoever started them all judges the books.

    World: a last unit, a plentiful good, four more; the customers are shared out by ``number``. Returns the tallies.
    """
    mine = World(world.stock, world.customers[number::2])
    sales = ground.sales()
    wait()
    _meet(ground, len(mine.customers))
    last = _everybody(sales, mine, "last", [Line(world.stock[0], 1)])
    _meet(ground, len(mine.customers))

    def basket(rng: random.Random) -> list[Line]:
        return [Line(stock_id, 1) for stock_id in rng.sample(world.stock[1:], 3)]

    times = 2 if ground.quick else 8
    rest = _again_and_again(sales, mine, times, basket, ground.seed)
    return {"last": tally(last), "rest": tally(rest), "said": told(rest)}
