"""The measured strategies as a page of tables and a picture, in docs/. Values in, text out."""

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.purchase.shop import Measured
from distributor.strategies import CONTROLS

PAGE = "strategies-measured.md"
PICTURE = "strategies-measured.svg"
WIDTH, LEFT, PLOT_WIDTH, ROW = 860, 210, 570, 20
STYLE = """<style>
.page { fill: #fff } .ink { fill: #1f2328 } .soft { fill: #59636e } .grid { stroke: #d1d9e0 }
.way { fill: none; stroke: #0969da; stroke-width: 1.5; opacity: .55 } .dot { fill: #0969da; fill-opacity: .8 }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 } .grid { stroke: #3d444d }
.way { stroke: #4493f8 } .dot { fill: #4493f8 } }
</style>"""

INTRODUCTION = """\
# The strategies, measured

Written by `main.py bench purchase`; do not edit. Through the load balancer and three web instances, everything on one
machine ({machine}, PostgreSQL with fsync and synchronous_commit on). A repeat is a transaction that was rolled back and
begun again; answers other than 201 are purchases that were refused or ran out of attempts.

![Purchases a second by strategy, number of products and number of customers]({picture})

Beside pgbench with 16 clients on the same server, medians, `{strategy}` with {customers} customers: **{hot_ratio}** of its
rate on one product, **{spread_ratio}** on 1,000 products. With every commit 2 ms slower `group_commit` sells
**{slow_commit_group_over_row_lock}** times as much from one product as `row_lock`.
"""


def write(folder: Path, cells: Sequence[Measured], slow: Sequence[Measured], headline: dict[str, Any]) -> None:
    """Rewrite page and picture in ``folder``."""
    (folder / PICTURE).write_text(chart(cells, slow), encoding="utf-8")
    (folder / PAGE).write_text(page(cells, slow, headline), encoding="utf-8")


def page(cells: Sequence[Measured], slow: Sequence[Measured], headline: dict[str, Any]) -> str:
    parts = [INTRODUCTION.format(machine=platform.machine(), picture=PICTURE, **headline)]
    for products in _products(cells):
        parts.append(f"## {_title(products)}\n")
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


def chart(cells: Sequence[Measured], slow: Sequence[Measured]) -> str:
    """A panel for each number of products and one for the slower disk, on the same scale; a row of dots a strategy.

    What must be told apart is told by place and size, not by colour; colours follow the reader's light or dark page.
    """
    panels = [(_title(products), [m for m in cells if m.cell.products == products]) for products in _products(cells)]
    panels.append(("1 product, every commit 2 ms slower", list(slow)))
    names = sorted({m.cell.strategy for m in cells}, key=lambda name: -_best(panels[0][1], name))
    rates = [max(1.0, measured.purchases_per_second) for _title_, chosen in panels for measured in chosen]
    counts = sorted({m.cell.customers for _title_, chosen in panels for m in chosen})
    scale = Scale(math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates))), counts)
    height = 24 + len(panels) * (_panel_height(names) + 8) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
        "<title>Purchases a second by strategy, number of products and number of customers</title>",
        STYLE,
        f'<rect width="{WIDTH}" height="{height}" class="page"/>',
    ]
    for place, (title, chosen) in enumerate(panels):
        down = 16 + place * (_panel_height(names) + 8)
        parts += _panel(title, chosen, names, scale, down)
    parts.append(_legend(scale, height - 16))
    return "\n".join([*parts, "</svg>", ""])


@dataclass(frozen=True)
class Scale:
    """Powers of ten of purchases a second, on the plot's width; a dot's size, by the number of customers."""

    low: int
    high: int
    counts: Sequence[int]

    def radius(self, customers: int) -> float:
        return 3.0 + 1.5 * self.counts.index(customers)

    def x(self, rate: float) -> float:
        return LEFT + PLOT_WIDTH * (math.log10(max(1.0, rate)) - self.low) / max(1, self.high - self.low)


def _panel(title: str, chosen: Sequence[Measured], names: Sequence[str], scale: Scale, down: int) -> list[str]:
    bottom = down + 24 + ROW * len(names)
    parts = [f'<text x="{LEFT}" y="{down + 12}" class="ink" font-weight="bold">{title}: purchases a second</text>']
    for power in range(scale.low, scale.high + 1):
        for rate in (10**power, 2 * 10**power, 5 * 10**power):
            if rate <= 10**scale.high:
                parts.append(f'<path d="M{scale.x(rate):.1f} {down + 20}V{bottom}" class="grid"/>')
                parts.append(
                    f'<text x="{scale.x(rate):.1f}" y="{bottom + 14}" text-anchor="middle" class="soft">{rate:,}</text>'
                )
    for row, name in enumerate(names):
        y = down + 24 + ROW * row + ROW / 2
        line = sorted((m for m in chosen if m.cell.strategy == name), key=lambda m: m.cell.customers)
        label = f"{name} (control)" if name in CONTROLS else name
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end" class="ink">{label}</text>')
        points = " ".join(f"{scale.x(m.purchases_per_second):.1f},{y:.1f}" for m in line)
        parts.append(f'<polyline points="{points}" class="way"/>')
        for measured in line:
            rate = measured.purchases_per_second
            parts.append(
                f'<circle cx="{scale.x(rate):.1f}" cy="{y:.1f}" r="{scale.radius(measured.cell.customers)}" class="dot">'
                f"<title>{name}, {measured.cell.customers} customers: {rate:.0f}/s</title></circle>"
            )
        parts.append(
            f'<text x="{LEFT + PLOT_WIDTH + 12}" y="{y + 4:.1f}" class="ink">{_best(chosen, name):,.0f}</text>'
        )
    return parts


def _legend(scale: Scale, y: int) -> str:
    dots = [
        f'<circle cx="{LEFT + 150 + 70 * size}" cy="{y}" r="{scale.radius(count)}" class="dot"/>'
        f'<text x="{LEFT + 164 + 70 * size}" y="{y + 4}" class="ink">{count}</text>'
        for size, count in enumerate(scale.counts)
    ]
    note = f'<text x="{LEFT + PLOT_WIDTH + 12}" y="{y + 4}" class="soft">the best</text>'
    return f'<text x="{LEFT}" y="{y + 4}" class="ink">customers at once:</text>' + "".join(dots) + note


def _panel_height(names: Sequence[str]) -> int:
    return 24 + ROW * len(names) + 22


def _products(cells: Sequence[Measured]) -> list[int]:
    return sorted({m.cell.products for m in cells})


def _title(products: int) -> str:
    return "1 product" if products == 1 else f"{products:,} products"


def _best(cells: Sequence[Measured], strategy: str) -> float:
    return max(m.purchases_per_second for m in cells if m.cell.strategy == strategy)
