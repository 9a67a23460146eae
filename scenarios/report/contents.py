"""Everything a run's report says, gathered from its folder: one JSON object, from which page and terminal are made."""

import csv
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from checker import Judgement
from scenarios import month_table
from scenarios.run_files import LEFT_OUT_FILE, MONTHS_FILE, ORDERS_FILE, RESULT_FILE, ROUNDS_FILE, RUN_FILE

REPORT_FILE = "report.json"


def build(run_dir: Path, judgement: Judgement) -> dict[str, Any]:
    """The whole report; a piece that the run did not leave is empty, not an error."""
    run = _json(run_dir / RUN_FILE)
    load = _json(run_dir / RESULT_FILE)
    months = _months(run_dir / MONTHS_FILE)
    baskets = _baskets(run_dir / ORDERS_FILE)
    return {
        "title": run.get("title", "run"),
        "folder": run_dir.name,
        "verdict": _verdict(run, judgement),
        "drained": run.get("drained", False),
        "drain_reason": run.get("drain_reason"),
        "checks": [
            {
                "name": check.name,
                "verdict": str(check.verdict),
                "summary": check.summary,
                "evidence": list(check.evidence),
            }
            for check in judgement.checks
        ],
        "run": run,
        "load": {key: value for key, value in load.items() if key != "order_ms"},
        "latency_bins": histogram(load.get("order_ms", [])),
        "months": months,
        "totals": month_table.totals(months),
        "baskets": baskets,
        "left_out": _left_out(run_dir / LEFT_OUT_FILE),
        "rounds": _rounds(run_dir / ROUNDS_FILE),
    }


def _verdict(run: dict[str, Any], judgement: Judgement) -> str:
    """A run that was not drained is never valid, whatever the checks could still see."""
    verdict = str(judgement.verdict)
    return "unknown" if verdict == "valid" and not run.get("drained") else verdict


def exit_code(report: dict[str, Any]) -> int:
    return {"valid": 0, "invalid": 1}.get(report["verdict"], 2)


def histogram(sorted_ms: list[float]) -> list[dict[str, float]]:
    """Counts in bins whose bounds grow by a factor of about 1.26 (ten a decade), from the fastest to the slowest."""
    bins: list[dict[str, float]] = []
    low, position = 0.0, 0
    for step in range(61):
        high = 10 ** (step / 10)  # 1 ms … 1000 s
        begin = position
        while position < len(sorted_ms) and sorted_ms[position] < high:
            position += 1
        if position > begin or bins:
            bins.append({"from_ms": round(low, 2), "to_ms": round(high, 2), "count": position - begin})
        if position == len(sorted_ms):
            return bins
        low = high
    return bins


def write(run_dir: Path, report: dict[str, Any]) -> None:
    (run_dir / REPORT_FILE).write_text(json.dumps(report, indent=2), encoding="utf-8")


def read(run_dir: Path) -> dict[str, Any]:
    """The report of a run made earlier; raises FileNotFoundError or ValueError."""
    report: dict[str, Any] = json.loads((run_dir / REPORT_FILE).read_text(encoding="utf-8"))
    return report


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _rows(path: Path) -> Iterable[dict[str, str]]:
    """The rows of a CSV; an absent one has none, a torn last row (killed driver) is dropped."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if None not in row.values():
                yield row


def _months(path: Path) -> list[dict[str, Any]]:
    numbers = ("month", *month_table.COLUMNS)
    return [{key: int(value) if key in numbers else value for key, value in row.items()} for row in _rows(path)]


def _baskets(path: Path) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    for row in _rows(path):
        outcomes[row["outcome"]] += 1
        for column in ("lines_wanted", "lines_bought", "units_wanted", "units_bought", "total_minor"):
            sums[column] += int(row[column])
    return {"outcomes": dict(outcomes.most_common()), "count": sum(outcomes.values()), **sums}


def _left_out(path: Path) -> dict[str, int]:
    return dict(Counter(row["reason"] for row in _rows(path)).most_common())


def _rounds(path: Path) -> dict[str, int]:
    """Of a race: rounds in which as many won as there were units, fewer, more."""
    found: Counter[str] = Counter()
    for row in _rows(path):
        winners, units = int(row["winners"]), int(row["units"])
        found["exact" if winners == units else "oversold" if winners > units else "undersold"] += 1
    return dict(found)
