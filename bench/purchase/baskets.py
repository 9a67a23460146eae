"""Baskets of many lines: those of an order file, or made ones in which some goods are wanted far more than others."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from scenarios import orders_file

LINES = 20
MADE = 2_000
SKEW = 1.0  # Zipf's exponent; the goods of a real month of orders lie near a straight line of about that slope


def of_file(path: Path, stock_ids: Sequence[int]) -> list[list[int]]:
    """Every basket of at least `LINES` goods, in pieces of that many in the file's order.

    The shop's first product stands for the most ordered one, and so on; goods beyond the shop's are left out.
    Raises OrdersFileError.
    """
    by_invoice: dict[str, dict[str, None]] = {}
    for line in orders_file.read(path).lines:
        by_invoice.setdefault(line.invoice, {})[line.sku] = None
    wanted = Counter(sku for skus in by_invoice.values() for sku in skus)
    stock_of = {sku: stock_id for (sku, _), stock_id in zip(wanted.most_common(), stock_ids, strict=False)}
    baskets = []
    for skus in by_invoice.values():
        ids = [stock_of[sku] for sku in skus if sku in stock_of]
        baskets += [ids[start : start + LINES] for start in range(0, len(ids) - LINES + 1, LINES)]
    return baskets


def made(stock_ids: Sequence[int], seed: int) -> list[list[int]]:
    """Without a file: drawn by Zipf's law, unsorted as customers pick them."""
    rng = random.Random(seed)
    weights = [1.0 / (rank + 1) ** SKEW for rank in range(len(stock_ids))]
    baskets = []
    for _basket in range(MADE):
        chosen: dict[int, None] = {}
        while len(chosen) < LINES:
            chosen.update(dict.fromkeys(rng.choices(stock_ids, weights, k=LINES)))
        baskets.append(list(chosen)[:LINES])
    return baskets
