"""The report is made from a run folder alone; each part is tried on a run written by hand."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from checker import Check, Judgement, Verdict
from scenarios import compare, month_table
from scenarios.figures import Figures, percentile
from scenarios.report import contents, page
from scenarios.run_files import ORDERS_FILE, ORDERS_HEADER

VOID = {"meta", "br"}


def canned_run(
    run_dir: Path, *, drained: bool = True, title: str = "2 months, 3 customers", rate: float = 12.5
) -> Path:
    """A small run folder, as a run leaves it."""
    run_dir.mkdir(parents=True, exist_ok=True)
    run = {
        "title": title,
        "seed": 7,
        "strategy": "row_lock",
        "command": "main.py simulate --months 2",
        "started_at": "2025-01-01T10:00:00+00:00",
        "finished_at": "2025-01-01T10:00:40+00:00",
        "drained": drained,
        "drain_reason": None if drained else "3 events are not published yet",
        "settings": {"distributor": {"strategy": "row_lock"}, "customers": {"instances": 3}},
        "versions": {"python": "3.11.2", "postgresql": "18.4", "machine": "a machine, 2 cores"},
        "phases_seconds": {"start": 6.1, "load": 20.0},
        "faults": [{"second": 2.5, "fault": "kill", "name": "web-2", "outcome": "killed"}],
        "facts": {"orders file": "<file>.csv"},
    }
    (run_dir / "run.json").write_text(json.dumps(run))
    figures = Figures()
    for number in range(200):
        figures.request("POST /orders", 5.0 + number * 0.7, 409 if number % 9 == 0 else 201, None)
    figures.request("POST /orders", 900.0, None, "ConnectionResetError: reset")
    for second in range(12):
        figures.per_second[second] = 10 + (second * 7) % 13
    figures.counters.update({"keys": 201, "order requests": 205, "unknown answers": 4, "unknown answers resolved": 3})
    load = {
        "set_up_seconds": 2.2,
        "customers": 3,
        "shopping_seconds": 12.0,
        "baskets_per_second": rate,
        "client_cpu_ms_per_request": 0.61,
        "error": None,
    }
    (run_dir / "load.json").write_text(json.dumps(load | figures.as_json()))
    with (run_dir / ORDERS_FILE).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(ORDERS_HEADER)
        for number in range(6):
            outcome = "bought" if number % 3 else "sold out"
            bought = 4 if number % 3 else 0
            writer.writerow(
                (number, "r", 1, 1, outcome, number, 2, bought // 2, 4, bought, bought * 100, 1, 1, 0, "0.1", "")
            )
    with (run_dir / "months.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("month", "manufacturer", "reason", *month_table.COLUMNS))
        for month in (1, 2):
            for code in ("m1", "m2", "m3"):
                writer.writerow((month, code, "finished", 120, 100 + month, 100, 95, 80 + month, 15, 18, 123456))
    return run_dir


def judgement(*checks: Check) -> Judgement:
    worst = Verdict.INVALID if any(check.verdict is Verdict.INVALID for check in checks) else Verdict.VALID
    return Judgement(worst, checks)


HOLDS = Check("counters add up", Verdict.VALID, "holds for 12 stock rows")
BROKEN = Check(
    "never sold more than supplied", Verdict.INVALID, "1 faults among 12", ("stock 5: <sold> 7 of 4, orders 17 and 23",)
)


class Reader(HTMLParser):
    """Collects the text and every address that the page would load, and sees that its tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def read_page(made: dict[str, Any]) -> Reader:
    reader = Reader()
    reader.feed(page.render(made))
    return reader


def test_the_page_needs_nothing_else_and_shows_the_smallest_evidence(tmp_path: Path) -> None:
    made = contents.build(canned_run(tmp_path / "run"), judgement(HOLDS, BROKEN))
    reader = read_page(made)
    assert reader.open == []
    assert reader.addresses == []
    assert "http" not in page.render(made).replace("POST /orders", "")
    assert "orders 17 and 23" in reader.words
    assert "<sold>" in reader.words, "evidence is shown as text, never as markup"
    assert contents.exit_code(made) == 1


@pytest.mark.parametrize("drained", [True, False])
def test_a_run_that_was_not_drained_is_never_valid(tmp_path: Path, *, drained: bool) -> None:
    made = contents.build(canned_run(tmp_path / "run", drained=drained), judgement(HOLDS))
    assert made["verdict"] == ("valid" if drained else "unknown")
    assert contents.exit_code(made) == (0 if drained else 2)
    assert ("3 events are not published yet" in read_page(made).words) is not drained


def test_a_run_that_left_almost_nothing_still_gets_a_report(tmp_path: Path) -> None:
    """A start that failed leaves run.json alone."""
    (tmp_path / "run.json").write_text(json.dumps({"title": "t", "drained": False, "drain_reason": "port taken"}))
    unknown = Judgement(Verdict.UNKNOWN, (Check("evidence", Verdict.UNKNOWN, "none"),))
    made = contents.build(tmp_path, unknown)
    assert made["verdict"] == "unknown"
    assert "port taken" in read_page(made).words


def test_totals_outcomes_and_bins_count_everything_once(tmp_path: Path) -> None:
    made = contents.build(canned_run(tmp_path / "run"), judgement(HOLDS))
    assert made["totals"]["sold"] == 3 * 81 + 3 * 82
    assert made["baskets"] == {
        "outcomes": {"bought": 4, "sold out": 2},
        "count": 6,
        "lines_wanted": 12,
        "lines_bought": 8,
        "units_wanted": 24,
        "units_bought": 16,
        "total_minor": 1600,
    }
    assert sum(one["count"] for one in made["latency_bins"]) == 201


def test_a_torn_last_row_of_a_killed_driver_is_dropped(tmp_path: Path) -> None:
    run_dir = canned_run(tmp_path / "run")
    with (run_dir / ORDERS_FILE).open("a") as file:
        file.write("99,r,1")
    assert contents.build(run_dir, judgement(HOLDS))["baskets"]["count"] == 6


def test_two_runs_are_compared_by_figures_and_by_what_differs(tmp_path: Path) -> None:
    folders = [canned_run(tmp_path / name, rate=rate) for name, rate in (("a", 10.0), ("b", 20.0))]
    run = json.loads((folders[1] / "run.json").read_text())
    run["settings"]["distributor"]["strategy"] = run["strategy"] = "naive"
    (folders[1] / "run.json").write_text(json.dumps(run))
    for folder, check in zip(folders, (HOLDS, BROKEN), strict=True):
        contents.write(folder, contents.build(folder, judgement(check)))
    found = compare.compare(compare.read(folders))
    assert found["figures"]["baskets per second"] == [10.0, 20.0]
    assert found["figures"]["verdict"] == ["valid", "invalid"]
    assert found["figures"]["anomalies"] == ["none", "never sold more than supplied"]
    assert found["differences"] == {"distributor.strategy": ["row_lock", "naive"]}


def test_percentiles_are_the_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([], 0.5) == 0.0
    assert percentile([7.0], 0.01) == 7.0
