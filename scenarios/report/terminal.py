"""The report on the terminal: the monthly table, the figures, the verdict with its evidence. Plain when piped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from scenarios.month_table import COLUMNS

ROWS_MAX = 40  # longer tables stand in months.csv
_COLOURS = {"valid": "bold blue", "invalid": "bold magenta", "unknown": "bold yellow"}
PIPED_WIDTH = 140


def show(report: Mapping[str, Any], run_dir: Path, console: Console | None = None) -> None:
    """Print it to standard output."""
    console = console or _console()
    if report["months"]:
        console.print(_months(report))
    for line in _figures(report):
        console.print(line, markup=False, highlight=False)
    verdict = report["verdict"]
    for check in report["checks"]:
        if check["verdict"] == "valid":
            continue
        console.print(f"{check['verdict']}: {check['name']}: {check['summary']}", markup=False, highlight=False)
        for piece in check["evidence"]:
            console.print(f"    {piece}", markup=False, highlight=False)
    if not report["drained"]:
        console.print(f"not drained: {report['drain_reason']}", markup=False, highlight=False)
    held = sum(check["verdict"] == "valid" for check in report["checks"])
    console.print(f"verdict: {verdict}  ({held} of {len(report['checks'])} checks hold)", style=_COLOURS[verdict])
    console.print(f"report:  {run_dir / 'index.html'}", markup=False, highlight=False, soft_wrap=True)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PIPED_WIDTH)


def _months(report: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
    totals = report["totals"]
    table.add_column("month", justify="right", footer="all")
    table.add_column("ended")
    table.add_column("manufacturer")
    for column in COLUMNS[:-1]:
        table.add_column(column, justify="right", footer=f"{totals[column]:,}")
    table.add_column("revenue", justify="right", footer=_money(totals["revenue_minor"]))
    rows = report["months"]
    for row in rows[:ROWS_MAX]:
        numbers = [f"{row[column]:,}" for column in COLUMNS[:-1]]
        table.add_row(str(row["month"]), row["reason"], row["manufacturer"], *numbers, _money(row["revenue_minor"]))
    if len(rows) > ROWS_MAX:
        table.add_row("…", "", f"{len(rows) - ROWS_MAX} more")
    return table


def _money(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02}"


def _figures(report: Mapping[str, Any]) -> list[str]:
    load, baskets = report["load"], report["baskets"]
    orders = load.get("requests", {}).get("POST /orders", {})
    counters = load.get("counters", {})
    lines = []
    if baskets["count"]:
        outcomes = ", ".join(f"{count} {name}" for name, count in baskets["outcomes"].items())
        rate, seconds = load.get("baskets_per_second", 0), load.get("shopping_seconds", 0)
        lines.append(f"baskets: {baskets['count']} ({outcomes}), {rate:.1f} per second over {seconds:.1f} s")
    if orders:
        spread = ", ".join(f"{name} {orders[f'{name}_ms']:.0f} ms" for name in ("p50", "p95", "p99", "max"))
        lines.append(f"orders:  {orders['count']} requests, {spread}")
        again = counters.get("order requests", 0) - counters.get("keys", 0)
        told = f"{counters.get('unknown answers', 0)} unknown, of which {counters.get('unknown answers resolved', 0)} resolved"
        refused = load["statuses"].get("POST /orders 409", 0)
        lines.append(f"answers: {refused} refusals for lack of stock, {again} repeated with the same key, {told}")
    if locks := load.get("waits", {}).get("locks"):
        causes = ", ".join(f"{count} {cause}" for cause, count in load["repeats"].items()) or "none"
        waits = ", ".join(f"{name} {locks[f'{name}_ms']:.0f} ms" for name in ("p50", "p99", "max"))
        lines.append(f"locks:   waited {waits}; transactions repeated: {causes}")
    if load:
        lines.append(f"set-up:  {load['customers']} customers signed up in {load['set_up_seconds']:.1f} s")
    if report["rounds"]:
        lines.append("rounds:  " + ", ".join(f"{count} {name}" for name, count in report["rounds"].items()))
    if report["run"].get("faults"):
        lines.append(f"faults:  {len(report['run']['faults'])}")
    return lines
