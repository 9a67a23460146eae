"""How much of each good is made, and by whom: the scarcity of a run.

U1  Units of a good = round half up (factor x demand), at least 1, so that every good can be seen in the shop.
U2  Goods are shuffled by the seed and dealt round, so manufacturers differ by at most one good; same seed, same deal.
"""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scenarios.orders_import import CURRENCY, Good

HEADER = ("sku", "name", "manufacturer", "price_minor", "currency", "initial_units", "units_per_month")


@dataclass(frozen=True)
class Supplied:
    """One row of the manufacturers' catalogue; it lies in stock from the start and nothing more is made of it."""

    sku: str
    name: str
    manufacturer: str
    price_minor: int
    units: int


def deal(goods: Sequence[Good], factor: float, manufacturers: int, seed: int) -> list[Supplied]:
    """Units and manufacturer of every good (U1, U2), sorted by sku."""
    shuffled = sorted(goods, key=lambda good: good.sku)
    random.Random(seed).shuffle(shuffled)
    dealt = [
        Supplied(good.sku, good.name, f"m{position % manufacturers + 1}", good.price_minor, units(good.demand, factor))
        for position, good in enumerate(shuffled)
    ]
    return sorted(dealt, key=lambda row: row.sku)


def units(demand: int, factor: float) -> int:
    return max(1, int(demand * factor + 0.5))


def write_catalogue(path: Path, rows: Sequence[Supplied]) -> None:
    """Write the CSV that ``manufacturers.catalogue`` names."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows((row.sku, row.name, row.manufacturer, row.price_minor, CURRENCY, row.units, 0) for row in rows)
