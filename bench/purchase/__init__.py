"""How many purchases a second the whole shop makes, beside what PostgreSQL makes of the same rows by itself.

Everything is on this machine: clients, load balancer, three web instances, distributor, a manufacturer, PostgreSQL with
fsync and synchronous_commit on. Figures are medians over rounds; shop and pgbench take turns in one run, against the same
PostgreSQL server.

  hot_ratio       all customers on one product, purchases of the shop per transaction of pgbench with 16 clients
  spread_ratio    the same over 1,000 products
  slow_commit_group_over_row_lock   one product, every commit 2 ms slower: group_commit per row_lock
"""

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.purchase import baseline, picture
from bench.purchase.shop import Cell, Measured, Shop, running_shop
from distributor.strategies import NAMES

ROUNDS = 3
ROUND_SECONDS = 5.0
CELL_SECONDS = 2.0
CUSTOMERS_HEADLINE = 48
CUSTOMERS = (1, 4, 16, 64)
PRODUCTS = (1, 10, 1_000)
SLOWER_MICROSECONDS = 2_000
BASKET_LINES = 20
DOCS = Path(__file__).parents[2] / "docs"


def run() -> dict[str, Any]:
    """All figures; rewrites the table and the picture in docs/."""
    headline = _headline("group_commit")
    cells, slow = _every_strategy(NAMES)
    picture.write(DOCS, cells, slow, headline)
    best = {strategy: _rate(slow, strategy) for strategy in ("group_commit", "row_lock")}
    return headline | {
        "slow_commit_group_over_row_lock": round(best["group_commit"] / best["row_lock"], 2),
        "slow_commit_purchases_per_second": best,
        "cells": [cell.document() for cell in cells],
        "slow_commit_cells": [cell.document() for cell in slow],
    }


def _headline(strategy: str) -> dict[str, Any]:
    """pgbench and the shop in turns, on one product and on a thousand; then baskets of twenty lines."""
    shop_rates: dict[int, list[float]] = {1: [], 1_000: []}
    bench_rates: dict[int, list[float]] = {1: [], 1_000: []}
    with running_shop(strategy) as shop:
        bench = baseline.prepare(shop)
        for _round in range(ROUNDS):
            for products in (1, 1_000):
                bench_rates[products].append(bench.transactions_per_second(products, ROUND_SECONDS))
                measured = shop.measure(Cell(strategy, CUSTOMERS_HEADLINE, products), ROUND_SECONDS)
                shop_rates[products].append(measured.purchases_per_second)
                print(f"{products} products: pgbench {bench_rates[products][-1]:.0f}/s, shop {measured.summary()}")
        baskets = shop.measure(Cell(strategy, CUSTOMERS_HEADLINE, 1_000, BASKET_LINES), ROUND_SECONDS)
        print(f"baskets of {BASKET_LINES} lines: {baskets.summary()}")
        shop.check()
    shop_median = {products: statistics.median(rates) for products, rates in shop_rates.items()}
    bench_median = {products: statistics.median(rates) for products, rates in bench_rates.items()}
    return {
        "strategy": strategy,
        "hot_ratio": round(shop_median[1] / bench_median[1], 3),
        "spread_ratio": round(shop_median[1_000] / bench_median[1_000], 3),
        "hot_purchases_per_second": [round(rate, 1) for rate in shop_rates[1]],
        "hot_pgbench_per_second": [round(rate, 1) for rate in bench_rates[1]],
        "spread_purchases_per_second": [round(rate, 1) for rate in shop_rates[1_000]],
        "spread_pgbench_per_second": [round(rate, 1) for rate in bench_rates[1_000]],
        "baskets": baskets.document(),
    }


def _every_strategy(names: Iterable[str]) -> tuple[list[Measured], list[Measured]]:
    cells: list[Measured] = []
    slow: list[Measured] = []
    for strategy in names:
        with running_shop(strategy) as shop:
            wanted = [Cell(strategy, customers, products) for products in PRODUCTS for customers in CUSTOMERS]
            cells += [_measure(shop, cell) for cell in wanted]
            shop.slow_commits(SLOWER_MICROSECONDS)
            slow += [_measure(shop, Cell(strategy, customers, 1)) for customers in CUSTOMERS]
            shop.check()
    return cells, slow


def _measure(shop: Shop, cell: Cell) -> Measured:
    measured = shop.measure(cell, CELL_SECONDS)
    print(json.dumps(measured.document()))
    return measured


def _rate(measured: list[Measured], strategy: str) -> float:
    """The best that a strategy reaches at any number of customers."""
    return max(m.purchases_per_second for m in measured if m.cell.strategy == strategy)
