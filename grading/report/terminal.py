"""The report as lines of text, the same on a terminal and in a pipe."""

from collections.abc import Mapping
from typing import Any

from grading.checks import CONDUCT, GROUPS

TITLES = {
    "contract": "contract (alone, case by case)",
    "races": "races (many at once)",
    "faults": "faults (in the middle of a purchase)",
    "conduct": "conduct (what was seen while it took)",
}


def text(report: Mapping[str, Any]) -> str:
    """The whole report, with a line feed at its end."""
    lines = [f"{report['strategy']}: {verdict(report)}", ""]
    if not report["loaded"]:
        lines += _checks(report, CONDUCT)
        return "\n".join(lines) + "\n"
    for group in GROUPS:
        lines += _checks(report, group)
    lines += _figures(report)
    width = max(len(mark["name"]) for mark in report["marks"])
    for mark in report["marks"]:
        lines.append(f"{mark['name']:<{width}}  {points(mark):>5}  {state(mark):<7} {mark['told']}")
    lines.append(f"{'total':<{width}}  {report['total']:5.1f}  of 100; weights: {_weights(report)}")
    lines += ["", f"seed {report['seed']}, {thoroughness(report)}, {report['machine']}"]
    lines.append(f"verdict: {verdict(report)}")
    return "\n".join(lines) + "\n"


def verdict(report: Mapping[str, Any]) -> str:
    if not report["loaded"]:
        return "cannot be graded"
    return "passed" if report["passed"] else "failed"


def thoroughness(report: Mapping[str, Any]) -> str:
    rounds = len(report["figures"]["own"])
    if report["quick"]:
        return (
            "quick: a first look; speed, p99 and fairness are hints and decide nothing"
            if rounds
            else "quick, nothing measured"
        )
    return f"{rounds} rounds of measurements" if rounds else "nothing measured"


def points(mark: Mapping[str, Any]) -> str:
    return "-" if mark["points"] is None else f"{mark['points']:.1f}"


def state(mark: Mapping[str, Any]) -> str:
    return "passed" if mark["passed"] else "failed" if mark["points"] is not None else ""


def _weights(report: Mapping[str, Any]) -> str:
    return ", ".join(f"{mark['name']} {mark['weight']}" for mark in report["marks"])


def _checks(report: Mapping[str, Any], group: str) -> list[str]:
    checks = [check for check in report["checks"] if check["group"] == group]
    if not checks:
        return [f"{TITLES[group]}: nothing to blame", ""] if group == CONDUCT else []
    held = sum(check["passed"] for check in checks)
    lines = [f"{TITLES[group]}: " + (f"{len(checks)} found" if group == CONDUCT else f"{held} of {len(checks)} hold")]
    for check in checks:
        lines.append(f"  {'ok    ' if check['passed'] else 'FAILED'} {_clause(check)}{check['sentence']}")
        if not check["passed"]:
            lines.append(f"         seen: {check['seen']}")
            if check["where"]:
                lines.append(f"         look at {check['where']}")
    return [*lines, ""]


def _clause(check: Mapping[str, Any]) -> str:
    return f"{check['clause']} " if check["clause"] else ""


def _figures(report: Mapping[str, Any]) -> list[str]:
    figures = report["figures"]
    if not figures["own"]:
        return []
    lines = ["figures (last round)   sold/s on one good   on many   p50 ms   p99 ms   repeats   large wait"]
    for label, name in (("own", "yours"), ("row_lock", "row_lock"), ("naive", "naive")):
        last = figures[label][-1]
        repeats = sum(last["hot"]["repeats"].values())
        lines.append(
            f"  {name:<20} {last['hot']['per_second']:>18.0f} {last['spread']['per_second']:>9.0f}"
            f" {last['hot']['p50_ms']:>8.1f} {last['hot']['p99_ms']:>8.1f} {repeats:>9}"
            f" {last['mixed']['large_wait_ratio'] or 0:>11.1f}x"
        )
    return [*lines, ""]
