"""What checks and figures are worth (grading/marks.py), and the report made of it; no database."""

from collections import Counter
from dataclasses import asdict, replace
from html.parser import HTMLParser
from typing import Any

import pytest

from grading.checks import Check
from grading.conduct import finding
from grading.marks import WEIGHTS, Mark, Rounds, marks, points_of, total
from grading.measuring import Purchase, evenness, figures
from grading.report import render, text

HELD = Check("races", "last_unit", "One is sold.", passed=True)
BROKEN = replace(HELD, passed=False, seen="6 units <b>sold</b>")


def of(rate: float = 100, p99: float = 10, even: float = 1, large: float = 1, wait: float = 2) -> dict[str, Any]:
    one = {"per_second": rate, "p50_ms": 1.0, "p99_ms": p99, "evenness": even, "repeats": {"40001": 2}, "purchases": 10}
    one |= {"sold": 9, "large_sold_share": None, "small_sold_share": 1.0, "large_wait_ratio": None}
    return {"hot": one, "spread": one, "mixed": one | {"large_sold_share": large, "large_wait_ratio": wait}}


def by_name(rounds: Rounds, checks: tuple[Check, ...] = (HELD,), deadlocks: int = 0) -> dict[str, Mark]:
    return {mark.name: mark for mark in marks(checks, rounds, deadlocks, 100)}


LEVEL = Rounds([of()], [of()], [of(rate=150)])


def test_correctness_passes_only_whole() -> None:
    """M1"""
    assert by_name(LEVEL)["correctness"] == Mark("correctness", 100.0, True, "1 of 1 checks hold")
    many = by_name(LEVEL, (*[HELD] * 999, BROKEN))["correctness"]
    assert (many.points, many.passed) == (99.0, False)
    assert not by_name(LEVEL, ())["correctness"].passed


@pytest.mark.parametrize(
    ("ratio", "naive", "points"), [(0, 1, 0), (0.5, 1, 40), (1, 2, 80), (1.5, 2, 90), (2, 2, 100), (1.25, 0.8, 100)]
)
def test_speed_is_a_ratio_to_row_lock_and_naive_is_the_top(ratio: float, naive: float, points: float) -> None:
    """M2"""
    assert points_of(ratio, naive) == pytest.approx(points)


def test_marks_are_medians_over_the_rounds_so_one_disturbed_round_decides_nothing() -> None:
    rounds = Rounds([of(100), of(1), of(100)], [of(100)] * 3, [of(100)] * 3)
    assert by_name(rounds)["throughput"].points == 80


def test_whatever_the_machine_does_to_a_round_happens_to_all_and_changes_no_mark() -> None:
    slow = Rounds([of(50, 20), of(5, 200)], [of(100, 10), of(10, 100)], [of(200, 5), of(20, 50)])
    assert by_name(slow)["throughput"].points == by_name(slow)["p99"].points == 40


@pytest.mark.parametrize(
    ("own", "points"), [(of(), 100), (of(even=0.5), 50), (of(large=0.25), 25), (of(wait=8), 50), (of(wait=4), 100)]
)
def test_uneven_service_and_starving_large_baskets_cost_fairness(own: dict[str, Any], points: float) -> None:
    assert by_name(Rounds([own], [of()], [of()]))["fairness"].points == points


def test_deadlocks_cost_points_by_their_share() -> None:
    assert [by_name(LEVEL, deadlocks=n)["deadlocks"].points for n in (0, 5, 10, 50)] == [100, 50, 0, 0]


def test_what_was_not_measured_has_no_points_and_does_not_pass() -> None:
    found = by_name(Rounds((), (), ()))
    assert (found["throughput"].points, found["throughput"].passed) == (None, False)
    assert total(list(found.values())) == WEIGHTS["correctness"] + WEIGHTS["deadlocks"]


def test_figures_of_a_load() -> None:
    purchases = [Purchase(1, False, float(ms), "201") for ms in range(1, 101)]
    purchases += [Purchase(2, True, 500.0, "Busy"), Purchase(2, True, 700.0, "201")]
    found = figures(purchases, 2.0, Counter({"40P01": 3}))
    assert (found["per_second"], found["sold"], found["p50_ms"], found["p99_ms"]) == (50.5, 101, 52.0, 500.0)
    assert (found["large_sold_share"], found["small_sold_share"], found["large_wait_ratio"]) == (0.5, 1.0, 11.88)
    assert found["outcomes"] == {"201": 101, "Busy": 1}


def test_evenness_is_one_when_all_get_the_same_and_falls_to_one_in_n() -> None:
    def sold(*counts: int) -> float:
        wanting = [Purchase(c, False, 1.0, "Busy") for c in range(len(counts))]
        return evenness(wanting + [Purchase(c, False, 1.0, "201") for c, n in enumerate(counts) for _ in range(n)])

    assert (sold(5, 5, 5, 5), sold(5, 0, 0, 0), sold(0, 0)) == (1.0, 0.25, 0.0)
    assert evenness([]) == 1.0


def report(*checks: Check, loaded: bool = True) -> dict[str, Any]:
    found = marks(checks, LEVEL, 0, 10)
    return {
        "strategy": "/course/<mine>.py",
        "file": "<mine>.py",
        "loaded": loaded,
        "passed": all(mark.passed for mark in found),
        "total": total(found),
        "marks": [asdict(mark) | {"weight": WEIGHTS[mark.name]} for mark in found],
        "checks": [asdict(check) for check in checks],
        "repeats": {"40001": 2},
        "figures": asdict(LEVEL),
        "seed": 7,
        "quick": True,
        "machine": "here",
    }


SLEEPS = finding("sleeps", "time.sleep(1)", "<mine>.py:12")


def test_the_text_says_what_was_seen_and_where_to_look() -> None:
    said = text(report(HELD, BROKEN, SLEEPS))
    assert "FAILED One is sold.\n         seen: 6 units" in said
    assert "look at <mine>.py:12" in said
    assert said.endswith("verdict: failed\n")
    assert text(report(HELD)).endswith("verdict: passed\n")
    assert text(report(finding("loads", "line 3: no"), loaded=False)).startswith("/course/<mine>.py: cannot be graded")


class _Balance(HTMLParser):
    """Every element is closed in turn, and nothing is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "img", "link", "iframe")
        assert not {name for name, _ in attrs} & {"src", "href"}
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("rect",)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("made", [report(HELD, BROKEN, SLEEPS), report(HELD), report(SLEEPS, loaded=False)])
def test_the_page_needs_nothing_else_and_believes_nothing_it_is_given(made: dict[str, Any]) -> None:
    page = render(made)
    balance = _Balance()
    balance.feed(page)
    assert balance.open == []
    assert "<mine>" not in page
    assert "<b>sold" not in page
