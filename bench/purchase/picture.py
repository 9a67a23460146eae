"""The measured strategies as a page of tables and a picture, in docs/. Values in, text out."""

import math
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.purchase.shop import Measured

PAGE = "strategies-measured.md"
PICTURE = "strategies-measured.svg"
WIDTH, HEIGHT, LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT = 860, 420, 64, 40, 540, 320
COLOURS = ("#d1495b", "#1b6ca8", "#3d8f5f", "#b8860b", "#7b4fa3", "#00838f", "#c2600a", "#5d6d7e", "#a03e7e", "#7a8b00")

INTRODUCTION = """\
# The strategies, measured

Written by `main.py bench purchase`; do not edit. Through the load balancer and three web instances, everything on one
machine ({machine}, PostgreSQL with fsync and synchronous_commit on). A repeat is a transaction that was rolled back and
begun again; answers other than 201 are purchases that were refused or ran out of attempts.

![Purchases a second on one product]({picture})

Beside pgbench with 16 clients on the same server, medians, `{strategy}` with {customers} customers: **{hot_ratio}** of its
rate on one product, **{spread_ratio}** on 1,000 products. With every commit 2 ms slower `group_commit` sells
**{slow_commit_group_over_row_lock}** times as much from one product as `row_lock`.
"""


def write(folder: Path, cells: Sequence[Measured], slow: Sequence[Measured], headline: dict[str, Any]) -> None:
    """Rewrite page and picture in ``folder``."""
    (folder / PICTURE).write_text(chart(cells, 1), encoding="utf-8")
    (folder / PAGE).write_text(page(cells, slow, headline), encoding="utf-8")


def page(cells: Sequence[Measured], slow: Sequence[Measured], headline: dict[str, Any]) -> str:
    parts = [INTRODUCTION.format(machine=platform.machine(), picture=PICTURE, **headline)]
    for products in sorted({m.cell.products for m in cells}):
        parts.append(f"## {products:,} product{'s' if products > 1 else ''}\n")
        parts.append(table([m for m in cells if m.cell.products == products]))
    parts.append("## One product, every commit 2 ms slower\n")
    parts.append(table(slow))
    return "\n".join(parts)


def table(cells: Sequence[Measured]) -> str:
    rows = [
        "| strategy | customers | purchases/s | p50 ms | p99 ms | repeats | other answers |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for measured in cells:
        others = ", ".join(f"{status}: {count}" for status, count in measured.statuses.items() if status != "201")
        rows.append(
            f"| {measured.cell.strategy} | {measured.cell.customers} | {measured.purchases_per_second:.0f}"
            f" | {measured.percentile(50):.1f} | {measured.percentile(99):.1f} | {sum(measured.repeats.values())} | {others} |"
        )
    return "\n".join(rows) + "\n"


def chart(cells: Sequence[Measured], products: int) -> str:
    """Purchases a second over the number of customers, one line a strategy; the legend is in the order of the last points."""
    chosen = [measured for measured in cells if measured.cell.products == products]
    counts = sorted({measured.cell.customers for measured in chosen})
    highest = max(measured.purchases_per_second for measured in chosen) or 1.0
    step = 10.0 ** math.floor(math.log10(highest))
    top = step * math.ceil(highest / step)

    def x(customers: int) -> float:
        return LEFT + PLOT_WIDTH * counts.index(customers) / max(1, len(counts) - 1)

    def y(rate: float) -> float:
        return TOP + PLOT_HEIGHT * (1.0 - rate / top)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f"<title>Purchases a second on {products} product(s), by strategy and number of customers</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *[
            f'<path d="M{LEFT} {y(top * n / 4):.1f}h{PLOT_WIDTH}" stroke="#ddd"/>'
            f'<text x="{LEFT - 8}" y="{y(top * n / 4) + 4:.1f}" text-anchor="end" fill="#444">{top * n / 4:.0f}</text>'
            for n in range(5)
        ],
        *[
            f'<text x="{x(n):.1f}" y="{TOP + PLOT_HEIGHT + 20}" text-anchor="middle" fill="#444">{n}</text>'
            for n in counts
        ],
        f'<text x="{LEFT}" y="22" fill="#222">purchases a second</text>',
        f'<text x="{LEFT + PLOT_WIDTH / 2}" y="{HEIGHT - 14}" text-anchor="middle" fill="#222">customers at once</text>',
    ]
    names = sorted({m.cell.strategy for m in chosen}, key=lambda name: -_last(chosen, name))
    for place, name in enumerate(names):
        line = sorted((m for m in chosen if m.cell.strategy == name), key=lambda m: m.cell.customers)
        points = " ".join(f"{x(m.cell.customers):.1f},{y(m.purchases_per_second):.1f}" for m in line)
        colour = COLOURS[place % len(COLOURS)]
        down = TOP + 12 + 24 * place
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<path d="M{LEFT + PLOT_WIDTH + 24} {down}h22" stroke="{colour}" stroke-width="4"/>')
        parts.append(
            f'<text x="{LEFT + PLOT_WIDTH + 54}" y="{down + 4}" fill="#222">{name} ({_last(chosen, name):.0f})</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _last(cells: Sequence[Measured], strategy: str) -> float:
    """At the greatest number of customers."""
    return max((m for m in cells if m.cell.strategy == strategy), key=lambda m: m.cell.customers).purchases_per_second
