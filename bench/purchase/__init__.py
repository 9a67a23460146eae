"""How many purchases a second the whole shop makes, beside what PostgreSQL makes of the same rows by itself.

Everything is on this machine: clients, load balancer, three web instances, distributor, a manufacturer, broker, PostgreSQL with
fsync and synchronous_commit on. Figures are medians over rounds; shop and pgbench take turns in one run, against the same
PostgreSQL server.

  hot_ratio       all customers on one product, purchases of the shop per transaction of pgbench with 16 clients
  spread_ratio    the same over 1,000 products
  slow_commit_group_over_row_lock   one product, every commit 2 ms slower: group_commit per row_lock, each at its best

A slower disk is played by PostgreSQL's own commit_delay with commit_siblings = 0: every flush of the log waits 2 ms first, and
commits that come meanwhile share it, as they share a real one. Events still on their way to the broker when a measurement
ends are counted (``events_behind``): work that is put off is not saved.
"""

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.purchase import baseline, baskets, picture
from bench.purchase.shop import Cell, Measured, Shop, running_shop
from distributor.strategies import NAMES

CUSTOMERS_HEADLINE = 48
SLOWER_MICROSECONDS = 2_000
DEADLOCK = "40P01"
DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Plan:
    """How much is measured. The whole takes about nine minutes, the quick one about one and a half."""

    strategies: tuple[str, ...]
    customers: tuple[int, ...]
    products: tuple[int, ...]
    rounds: int
    round_seconds: float
    cell_seconds: float


WHOLE = Plan(tuple(NAMES), (1, 4, 16, 64), (1, 10, 1_000), rounds=3, round_seconds=5.0, cell_seconds=1.2)
QUICK = Plan(("row_lock", "group_commit"), (1, 16, 64), (1, 1_000), rounds=1, round_seconds=4.0, cell_seconds=1.0)


def run(*, quick: bool = False, orders: Path | None = None) -> dict[str, Any]:
    """All figures; the whole rewrites the table and the picture in docs/. ``orders``: a CSV of real baskets."""
    plan = QUICK if quick else WHOLE
    headline = _headline(plan, "group_commit", orders)
    cells, slow = _every_strategy(plan, plan.strategies)
    best = {strategy: _rate(slow, strategy) for strategy in ("group_commit", "row_lock")}
    headline["slow_commit_group_over_row_lock"] = round(best["group_commit"] / best["row_lock"], 2)
    if not quick:
        picture.write(DOCS, cells, slow, headline)
    return headline | {
        "slow_commit_purchases_per_second": best,
        "cells": [cell.document() for cell in cells],
        "slow_commit_cells": [cell.document() for cell in slow],
    }


def _headline(plan: Plan, strategy: str, orders: Path | None) -> dict[str, Any]:
    """pgbench and the shop in turns, on one product and on a thousand; then baskets of twenty lines."""
    shop_measured: dict[int, list[Measured]] = {1: [], 1_000: []}
    bench_rates: dict[int, list[float]] = {1: [], 1_000: []}
    with running_shop(strategy) as shop:
        bench = baseline.prepare(shop)
        for _round in range(plan.rounds):
            for products in (1, 1_000):
                bench_rates[products].append(bench.transactions_per_second(products, plan.round_seconds))
                measured = shop.measure(Cell(strategy, CUSTOMERS_HEADLINE, products), plan.round_seconds)
                shop_measured[products].append(measured)
                print(f"{products} products: pgbench {bench_rates[products][-1]:.0f}/s, shop {measured.summary()}")
        many = _baskets(shop, strategy, plan.round_seconds, orders)
        shop.check()
    rates = {products: [m.purchases_per_second for m in rounds] for products, rounds in shop_measured.items()}
    ratio = {n: statistics.median(rates[n]) / statistics.median(bench_rates[n]) for n in rates}
    return {
        "strategy": strategy,
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


def _baskets(shop: Shop, strategy: str, seconds: float, orders: Path | None) -> dict[str, Any]:
    """Twenty lines each: no deadlock is allowed, and repeats are told per purchase."""
    chosen = baskets.of_file(orders, shop.stock_ids) if orders else baskets.made(shop.stock_ids, seed=1)
    cell = Cell(strategy, CUSTOMERS_HEADLINE, len(shop.stock_ids), baskets.LINES)
    measured = shop.measure(cell, seconds, chosen)
    print(f"baskets of {baskets.LINES} lines: {measured.summary()}")
    return measured.document() | {
        "from": str(orders.name) if orders else "made by Zipf's law",
        "deadlocks": measured.repeats.get(DEADLOCK, 0),
        "repeats_per_purchase": round(sum(measured.repeats.values()) / max(1, len(measured.milliseconds)), 4),
    }


def _every_strategy(plan: Plan, names: Iterable[str]) -> tuple[list[Measured], list[Measured]]:
    cells: list[Measured] = []
    slow: list[Measured] = []
    for strategy in names:
        with running_shop(strategy) as shop:
            wanted = [Cell(strategy, customers, products) for products in plan.products for customers in plan.customers]
            cells += [_measure(shop, cell, plan.cell_seconds) for cell in wanted]
            shop.slow_commits(SLOWER_MICROSECONDS)
            slow += [_measure(shop, Cell(strategy, customers, 1), plan.cell_seconds) for customers in plan.customers]
            shop.check()
    return cells, slow


def _measure(shop: Shop, cell: Cell, seconds: float) -> Measured:
    measured = shop.measure(cell, seconds)
    print(json.dumps(measured.document()))
    return measured


def _rate(measured: list[Measured], strategy: str) -> float:
    """The best that a strategy reaches at any number of customers."""
    return max(m.purchases_per_second for m in measured if m.cell.strategy == strategy)
