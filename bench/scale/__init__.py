"""Whether what a shop does costs more where there is more: a small and a large shop on one PostgreSQL, act by act.

The large one has a million rows of stock, a million customers and five million orders of a year (``rows`` makes it smaller);
the small one a hundredth of each. Both lie in the true tables, with balanced books.
Each operation is the product's own function, at rows that chance chooses over the whole shop, so what it needs is seldom
in any cache: the worst case. They take turns, small and large, round by round; of each, medians over rounds:

  blocks         pages of tables and indexes that PostgreSQL looked at: what does not depend on who else uses the machine
  postgres_ms    CPU of the connection's process        own_ms     CPU of this one
  ms             what the caller waits
  ratio          (postgres_ms + own_ms) large / small

Purchases write: the shops grow by some thousand orders meanwhile, both alike.
"""

import json
import random
import shutil
import statistics
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.pages import machine
from bench.running_system import temporary_state
from bench.scale.filling import Size, fill
from bench.scale.measuring import Turn, measure
from bench.scale.operations import Shop
from bench.scale.server import FILLING, make_server
from distributor.database import make_engine
from settings.model import Database

PORT = 26_432
ROWS = 1_000_000
ORDERS_PER_ROW = 5
SMALL_PART = 100
BYTES_PER_ROW = 12_000  # of disk for each row of stock with five orders and all that belongs to them; measured 6,000
ROUNDS = 5
CALLS = 40  # a round
TARGET = 1.2


def run(rows: int = ROWS) -> dict[str, Any]:
    """``rows``: of stock, and customers, in the large shop."""
    large = Size(rows, rows, ORDERS_PER_ROW * rows)
    small = large.scaled(1 / SMALL_PART)
    before = machine()
    with temporary_state() as folder, ExitStack() as ending:
        state = Path(folder)
        _require_space(state, rows * BYTES_PER_ROW)
        server = make_server(state, PORT)
        with server.running(state, *FILLING):
            seconds = {
                name: fill(server.make_database(name), size) for name, size in (("small", small), ("large", large))
            }
        print(f"filled: {small} in {seconds['small']:.0f} s, {large} in {seconds['large']:.0f} s")
        ending.enter_context(server.running(state, "autovacuum=off"))
        shops = []
        for name, size in (("small", small), ("large", large)):
            engine = make_engine(server.url(name), Database(), pool_size=1, application_name=f"bench {name}")
            ending.callback(engine.dispose)
            shops.append(Shop(engine, size, random.Random(1), uuid.uuid4().hex[:8]))
        table = _compare(shops[0], shops[1])
    return {
        "rows": rows,
        "filling_seconds": {name: round(value, 1) for name, value in seconds.items()},
        "machine": {"before": before, "after": machine()},
        "target_ratio": TARGET,
        "above_target": sorted(name for name, figures in table.items() if figures["ratio"] > TARGET),
        "operations": table,
    }


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        message = f"{folder} has {free >> 20} MB left, and this takes up to {needed >> 20} MB; use fewer --rows"
        raise RuntimeError(message)


def _compare(small: Shop, large: Shop) -> dict[str, dict[str, Any]]:
    table = {}
    for name, in_small in small.operations().items():
        in_large = large.operations()[name]
        turns: dict[str, list[Turn]] = {"small": [], "large": []}
        for _round in range(ROUNDS + 1):  # the first one warms up
            turns["small"].append(measure(small.engine, in_small, CALLS))
            turns["large"].append(measure(large.engine, in_large, CALLS))
        table[name] = _document(turns["small"][1:], turns["large"][1:])
        print(json.dumps({name: table[name]}))
    return table


def _document(small: list[Turn], large: list[Turn]) -> dict[str, Any]:
    def medians(turns: list[Turn]) -> dict[str, float]:
        return {
            "blocks": round(statistics.median(turn.blocks for turn in turns), 1),
            "postgres_ms": round(statistics.median(turn.postgres_ms for turn in turns), 3),
            "own_ms": round(statistics.median(turn.own_ms for turn in turns), 3),
            "ms": round(statistics.median(turn.ms for turn in turns), 3),
        }

    ratios = [one.cpu_ms / other.cpu_ms for one, other in zip(large, small, strict=True)]
    return {"ratio": round(statistics.median(ratios), 2), "small": medians(small), "large": medians(large)}
