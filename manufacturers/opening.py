"""From the settings to plants that can start: catalogue, ledgers, and the plans of the lines."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from manufacturers import catalogue, goods
from manufacturers.catalogue import Good
from manufacturers.ledger import Books
from manufacturers.line import LOOK_SECONDS_MIN, Plan, chances, look_seconds, share_out
from manufacturers.plant import Plant
from settings import Runtime, Settings
from settings.runtime import manufacturer_codes

LEDGER_FOLDER = "manufacturers"


@dataclass(frozen=True)
class Opened:
    """A plant, and (plan, random numbers) of each of its lines."""

    plant: Plant
    lines: list[tuple[Plan, Callable[[int], float]]]


def goods_of(settings: Settings, codes: Sequence[str]) -> dict[str, list[Good]]:
    """What the manufacturers ``codes`` make; raises CatalogueError."""
    ours = settings.manufacturers
    everyone = tuple(manufacturer_codes(settings))
    if ours.catalogue is not None:
        from_file = catalogue.read(Path(ours.catalogue), everyone)
        return {code: from_file[code] for code in codes}
    plan = goods.Plan(
        settings.simulation.seed,
        everyone,
        ours.products_per_manufacturer,
        ours.initial_units_per_product,
        ours.units_per_month,
    )
    return {code: goods.goods_of(plan, code) for code in codes}


async def open_plants(runtime: Runtime, codes: Sequence[str], pool: Executor) -> list[Opened]:
    """Open the ledgers, several at a time: making one waits for the disk. Raises CatalogueError, LedgerUnusable."""
    folder = runtime.state / LEDGER_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    made = goods_of(runtime.settings, codes)
    names = goods.manufacturer_names(runtime.settings.simulation.seed, tuple(manufacturer_codes(runtime.settings)))
    loop = asyncio.get_running_loop()
    opening = [
        loop.run_in_executor(
            pool, Books, folder / f"{code}.sqlite", code, names[code], [good.product for good in made[code]]
        )
        for code in codes
    ]
    try:
        books = await asyncio.gather(*opening)
    except BaseException:
        await asyncio.gather(*opening, return_exceptions=True)
        raise
    capacity = runtime.settings.manufacturers.capacity_units_per_product
    plants = [Plant(code, names[code], book, capacity, pool) for code, book in zip(codes, books, strict=True)]
    await asyncio.gather(*(plant.open() for plant in plants))
    pause = look_seconds(sum(len(made[code]) for code in codes))
    return [Opened(plant, lines_of(runtime.settings, plant.code, made[plant.code], pause)) for plant in plants]


def lines_of(
    settings: Settings, code: str, made: Sequence[Good], pause: float = LOOK_SECONDS_MIN
) -> list[tuple[Plan, Callable[[int], float]]]:
    """The manufacturer's lines: each makes its share of the goods, at the rate of units a month.

    ``pause``: seconds between two looks of a line, for its process's sake.
    """
    ours = settings.manufacturers
    rates = {good.product.sku: good.units_per_month / settings.simulation.month_seconds for good in made}
    return [
        (
            Plan(
                share,
                ours.batch_units,
                ours.lead_time_seconds,
                ours.breakdown_probability,
                ours.repair_seconds,
                pause,
            ),
            chances(settings.simulation.seed, code, number),
        )
        for number, share in enumerate(share_out(rates, ours.lines), start=1)
    ]
