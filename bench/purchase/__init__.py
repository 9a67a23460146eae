"""How many purchases a second the whole shop makes, beside what PostgreSQL makes of the same rows by itself.

Everything is on this machine: clients, load balancer, three web instances, distributor, a manufacturer, broker, PostgreSQL with
fsync and synchronous_commit on. Figures are medians over rounds; shop and pgbench take turns in one run, against the same
PostgreSQL server.

  hot_ratio       all customers on one product, purchases of the shop per transaction of pgbench with 16 clients
  spread_ratio    the same over 1,000 products
  slow_commit_group_over_row_lock   one product, every commit 2 ms slower: group_commit per row_lock, each at its best

The shop's customers are `CUSTOMERS_HEADLINE`, as a sale that begins brings them; pgbench's 16 clients keep one row, or
both cores, as busy as more of them would. A slower disk is played by PostgreSQL's own commit_delay with
commit_siblings = 0: every flush of the log waits 2 ms first, and commits that come meanwhile share it, as they share a real
one. Events still on their way to the broker when a measurement ends are counted (``events_behind``): work that is put off
is not saved.
"""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.purchase import baseline, baskets, picture
from bench.purchase.shop import Cell, Measured, Shop, running_shop
from distributor.strategies import NAMES

CUSTOMERS_HEADLINE = 192
HEADLINE = "group_commit"
COMPARED = ("group_commit", "row_lock")
BESIDE = ("row_lock", "naive")
CUSTOMERS_BESIDE = 16
SLOWER_MICROSECONDS = 2_000
DEADLOCK = "40P01"
DOCS = Path(__file__).parents[2] / "docs"
CUSTOMERS = (1, 4, 16, 64)
PRODUCTS = (1, 10, 1_000)
ROUNDS = 3
ROUND_SECONDS = 5.0
CELL_SECONDS = 1.2  # a cell has at least some hundred purchases then


def run(*, headline: bool = False, orders: Path | None = None, strategy: str | None = None) -> dict[str, Any]:
    """All figures in some nine minutes, the table and the picture in docs/ rewritten; ``headline``: the ratios only, in two.

    ``orders``: a CSV of real baskets; without it they are made. ``strategy``: only this one (a name, a dotted path or a
    file), beside row_lock and naive.
    """
    if strategy is not None:
        return _beside_ours(strategy)
    figures = _beside_pgbench(orders)
    cells, slow = ([], _slower(COMPARED)) if headline else _every_strategy()
    best = {strategy: _rate(slow, strategy) for strategy in COMPARED}
    figures["slow_commit_group_over_row_lock"] = round(best["group_commit"] / best["row_lock"], 2)
    if not headline:
        picture.write(DOCS, cells, slow, figures)
    return figures | {
        "slow_commit_purchases_per_second": best,
        "cells": [cell.document() for cell in cells],
        "slow_commit_cells": [cell.document() for cell in slow],
    }


def _beside_ours(strategy: str) -> dict[str, Any]:
    """Somebody's strategy on one product and on a thousand, then the same of ours; docs/ stays as it is."""
    named = str(Path(strategy).resolve()) if strategy.endswith(".py") else strategy
    cells: list[Measured] = []
    wrong: list[str] = []
    for name in (named, *BESIDE):
        with running_shop(name, CUSTOMERS_BESIDE) as shop:
            cells += [_measure(shop, Cell(name, CUSTOMERS_BESIDE, products)) for products in (1, 1_000)]
            try:
                shop.check()
            except RuntimeError as error:
                wrong.append(str(error))
    rates = {(m.cell.strategy, m.cell.products): m.purchases_per_second for m in cells}
    ratios = {n: round(rates[named, n] / rates["row_lock", n], 2) for n in (1, 1_000) if rates["row_lock", n]}
    return {
        "strategy": strategy,
        "hot_over_row_lock": ratios.get(1),
        "spread_over_row_lock": ratios.get(1_000),
        "wrong_books": wrong,
        "cells": [cell.document() for cell in cells],
    }


def _beside_pgbench(orders: Path | None) -> dict[str, Any]:
    """pgbench and the shop in turns, on one product and on a thousand; then baskets of twenty lines."""
    shop_measured: dict[int, list[Measured]] = {1: [], 1_000: []}
    bench_rates: dict[int, list[float]] = {1: [], 1_000: []}
    with running_shop(HEADLINE, CUSTOMERS_HEADLINE) as shop:
        bench = baseline.prepare(shop)
        for _round in range(ROUNDS):
            for products in (1, 1_000):
                bench_rates[products].append(bench.transactions_per_second(products, ROUND_SECONDS))
                measured = shop.measure(Cell(HEADLINE, CUSTOMERS_HEADLINE, products), ROUND_SECONDS)
                shop_measured[products].append(measured)
                print(f"{products} products: pgbench {bench_rates[products][-1]:.0f}/s, shop {measured.summary()}")
        many = _baskets(shop, orders)
        shop.check()
    rates = {products: [m.purchases_per_second for m in rounds] for products, rounds in shop_measured.items()}
    ratio = {n: statistics.median(rates[n]) / statistics.median(bench_rates[n]) for n in rates}
    return {
        "strategy": HEADLINE,
        "customers": CUSTOMERS_HEADLINE,
        "hot_ratio": round(ratio[1], 3),
        "spread_ratio": round(ratio[1_000], 3),
        "hot_purchases_per_second": [round(rate, 1) for rate in rates[1]],
        "hot_pgbench_per_second": [round(rate, 1) for rate in bench_rates[1]],
        "spread_purchases_per_second": [round(rate, 1) for rate in rates[1_000]],
        "spread_pgbench_per_second": [round(rate, 1) for rate in bench_rates[1_000]],
        "hot_cpu_ms_per_purchase": shop_measured[1][-1].cpu_ms,
        "spread_cpu_ms_per_purchase": shop_measured[1_000][-1].cpu_ms,
        "events_behind": [measured.events_behind for rounds in shop_measured.values() for measured in rounds],
        "baskets": many,
    }


def _baskets(shop: Shop, orders: Path | None) -> dict[str, Any]:
    """Twenty lines each: no deadlock is allowed, and repeats are told per purchase."""
    chosen = baskets.of_file(orders, shop.stock_ids) if orders else baskets.made(shop.stock_ids, seed=1)
    cell = Cell(HEADLINE, CUSTOMERS_HEADLINE, len(shop.stock_ids), baskets.LINES)
    measured = shop.measure(cell, ROUND_SECONDS, chosen)
    print(f"baskets of {baskets.LINES} lines: {measured.summary()}")
    return measured.document() | {
        "from": str(orders.name) if orders else "made by Zipf's law",
        "deadlocks": measured.repeats.get(DEADLOCK, 0),
        "repeats_per_purchase": round(sum(measured.repeats.values()) / max(1, len(measured.milliseconds)), 4),
    }


def _every_strategy() -> tuple[list[Measured], list[Measured]]:
    """Each on as many products and with as many customers as the table has, and on one product with a slower disk."""
    cells: list[Measured] = []
    slow: list[Measured] = []
    for strategy in NAMES:
        with running_shop(strategy, CUSTOMERS_HEADLINE if strategy in COMPARED else max(CUSTOMERS)) as shop:
            cells += [
                _measure(shop, Cell(strategy, customers, products)) for products in PRODUCTS for customers in CUSTOMERS
            ]
            slow += _slow_cells(shop, strategy)
            shop.check()
    return cells, slow


def _slower(strategies: Sequence[str]) -> list[Measured]:
    slow: list[Measured] = []
    for strategy in strategies:
        with running_shop(strategy, CUSTOMERS_HEADLINE) as shop:
            slow += _slow_cells(shop, strategy)
            shop.check()
    return slow


def _slow_cells(shop: Shop, strategy: str) -> list[Measured]:
    """The compared ones also with all customers: how many are best for a strategy is part of its figure."""
    shop.slow_commits(SLOWER_MICROSECONDS)
    counts = (*CUSTOMERS, CUSTOMERS_HEADLINE) if strategy in COMPARED else CUSTOMERS
    return [_measure(shop, Cell(strategy, customers, 1)) for customers in counts]


def _measure(shop: Shop, cell: Cell) -> Measured:
    measured = shop.measure(cell, CELL_SECONDS)
    print(json.dumps(measured.document()))
    return measured


def _rate(measured: list[Measured], strategy: str) -> float:
    """The best that a strategy reaches at any number of customers."""
    return max(m.purchases_per_second for m in measured if m.cell.strategy == strategy)
