"""Pictures as inline SVG that stretch to any width; every label is HTML beside them, so that it stays readable at 320 px.

P1  Nothing is told by colour alone: each bar has its number, each series its name in the legend.
P2  All text is escaped where it is put in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

BAR_ROWS_MAX = 36  # more rows are summed up by month, or by manufacturer
_HEIGHT = 100.0


@dataclass(frozen=True)
class Series:
    """``css`` is the class that carries the colour."""

    name: str
    key: str
    css: str


STOCK = (Series("sold", "sold", "c1"), Series("unsold", "unsold", "c2"), Series("refused", "refused", "c3"))


def number(value: float) -> str:
    """1234567 -> 1 234 567 with thin no-break spaces."""
    return f"{value:,.0f}".replace(",", "\u202f")


def bars(rows: Sequence[tuple[str, Mapping[str, int]]], series: Sequence[Series], caption: str) -> str:
    """One stacked horizontal bar a row, on one scale, with its numbers."""
    largest = max((sum(values.get(s.key, 0) for s in series) for _, values in rows), default=0) or 1
    shown = "".join(_bar(label, values, series, largest) for label, values in rows)
    return (
        f'<figure><figcaption>{escape(caption)}</figcaption>{_legend(series)}<div class="bars">{shown}</div></figure>'
    )


def _bar(label: str, values: Mapping[str, int], series: Sequence[Series], largest: int) -> str:
    left = 0.0
    parts = []
    for one in series:
        width = 100 * values.get(one.key, 0) / largest
        title = f"<title>{escape(one.name)}: {number(values.get(one.key, 0))}</title>"
        parts.append(f'<rect class="{one.css}" x="{left:.3f}" y="0" width="{width:.3f}" height="10">{title}</rect>')
        left += width
    told = ", ".join(f"{number(values.get(one.key, 0))} {one.name}" for one in series)
    svg = f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{escape(told)}">{"".join(parts)}</svg>'
    return f'<div class="bar"><span class="label">{escape(label)}</span>{svg}<span class="told">{escape(told)}</span></div>'


def _legend(series: Sequence[Series]) -> str:
    items = "".join(f'<li><i class="{one.css}"></i>{escape(one.name)}</li>' for one in series)
    return f'<ul class="legend">{items}</ul>'


def month_rows(months: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, int]]]:
    """A bar per month and manufacturer; where that is too much, per month, else per manufacturer."""
    one_month = len({row["month"] for row in months}) == 1
    if len(months) <= BAR_ROWS_MAX:
        return [(_label(row, one_month), {s.key: row[s.key] for s in STOCK}) for row in months]
    by = "manufacturer" if one_month else "month"
    summed: dict[str, dict[str, int]] = {}
    for row in months:
        values = summed.setdefault(f"{by} {row[by]}", {s.key: 0 for s in STOCK})
        for one in STOCK:
            values[one.key] += row[one.key]
    return list(summed.items())[-BAR_ROWS_MAX:]


def _label(row: Mapping[str, Any], one_month: bool) -> str:
    return str(row["manufacturer"]) if one_month else f"month {row['month']}, {row['manufacturer']}"


@dataclass(frozen=True)
class Mark:
    """A vertical line at a share (0..1) of the width."""

    at: float
    text: str


def columns(
    counts: Sequence[float], titles: Sequence[str], marks: Sequence[Mark], axis: Sequence[str], caption: str
) -> str:
    """Vertical bars side by side, vertical marks, and the axis' words below."""
    highest = max(counts, default=0) or 1
    width = 100 / max(len(counts), 1)
    shown = "".join(
        f'<rect class="c1" x="{position * width + width * 0.05:.3f}" y="{_HEIGHT * (1 - count / highest):.3f}" '
        f'width="{width * 0.9:.3f}" height="{_HEIGHT * count / highest:.3f}"><title>{escape(title)}</title></rect>'
        for position, (count, title) in enumerate(zip(counts, titles, strict=True))
    )
    lines = "".join(
        f'<line class="mark" x1="{100 * mark.at:.3f}" x2="{100 * mark.at:.3f}" y1="0" y2="{_HEIGHT}">'
        f"<title>{escape(mark.text)}</title></line>"
        for mark in marks
    )
    words = "".join(f"<span>{escape(word)}</span>" for word in axis)
    named = "".join(f"<li>{escape(mark.text)}</li>" for mark in marks if mark.text)
    return (
        f'<figure><figcaption>{escape(caption)}</figcaption><div class="plot"><span class="top">{number(highest)}</span>'
        f'<svg viewBox="0 0 100 {_HEIGHT:.0f}" preserveAspectRatio="none" role="img" aria-label="{escape(caption)}">'
        f'{shown}{lines}</svg></div><div class="axis">{words}</div>'
        + (f'<ul class="marks">{named}</ul>' if named else "")
        + "</figure>"
    )


def latency(bins: Sequence[Mapping[str, float]], percentiles: Mapping[str, float]) -> str:
    """How long orders took: logarithmic bins from left to right, percentiles as lines."""
    if not bins:
        return ""
    titles = [f"{b['from_ms']:.0f} to {b['to_ms']:.0f} ms: {number(b['count'])}" for b in bins]
    marks = [Mark(_place(bins, ms), f"{name} {ms:.0f} ms") for name, ms in percentiles.items()]
    axis = [f"{bins[0]['from_ms']:.0f} ms", f"{bins[len(bins) // 2]['from_ms']:.0f} ms", f"{bins[-1]['to_ms']:.0f} ms"]
    caption = "Orders by the time until their answer (logarithmic)"
    return columns([b["count"] for b in bins], titles, marks, axis, caption)


def _place(bins: Sequence[Mapping[str, float]], ms: float) -> float:
    """Where ``ms`` lies among the bins, as a share of the width."""
    for position, one in enumerate(bins):
        if ms < one["to_ms"]:
            inside = (ms - one["from_ms"]) / (one["to_ms"] - one["from_ms"])
            return (position + max(0.0, inside)) / len(bins)
    return 1.0


def throughput(per_second: Sequence[int], faults: Sequence[Mapping[str, Any]]) -> str:
    """Baskets that ended in each second; faults as lines."""
    if not per_second:
        return ""
    length = len(per_second)
    marks = [
        Mark(min(1.0, fault["second"] / length), f"{fault['second']:.1f} s: {fault['fault']} {fault['name']}")
        for fault in faults
    ]
    titles = [f"second {second}: {count} baskets" for second, count in enumerate(per_second)]
    axis = ["0 s", f"{length // 2} s", f"{length} s"]
    return columns(per_second, titles, marks, axis, "Baskets that ended, per second")
