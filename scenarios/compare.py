"""Runs side by side: throughput, percentiles, retries, refusals, anomalies, and what their settings differ in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scenarios.report import contents
from scenarios.run import RunFailed


def read(run_dirs: Sequence[Path]) -> list[dict[str, Any]]:
    """The runs' reports; raises RunFailed naming the folder that has none."""
    reports = []
    for run_dir in run_dirs:
        try:
            reports.append(contents.read(run_dir) | {"folder": str(run_dir)})
        except (OSError, ValueError) as error:
            raise RunFailed(f"{run_dir}: has no readable report.json ({error})", 64) from error
    return reports


def compare(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """{"runs": folders, "figures": name -> a value per run, "differences": key -> a value per run}."""
    figures = [_figures(report) for report in reports]
    names = dict.fromkeys(name for one in figures for name in one)
    settings = [_flat(report["run"].get("settings", {})) | _flat_facts(report) for report in reports]
    keys = sorted({key for one in settings for key in one})
    values = {key: [one.get(key) for one in settings] for key in keys}
    return {
        "runs": [report["folder"] for report in reports],
        "figures": {name: [one.get(name) for one in figures] for name in names},
        "differences": {key: found for key, found in values.items() if len({str(value) for value in found}) > 1},
    }


def _figures(report: Mapping[str, Any]) -> dict[str, Any]:
    load = report["load"]
    orders = load.get("requests", {}).get("POST /orders", {})
    counters = load.get("counters", {})
    invalid = [check["name"] for check in report["checks"] if check["verdict"] == "invalid"]
    return {
        "verdict": report["verdict"],
        "anomalies": ", ".join(invalid) or "none",
        "strategy": report["run"].get("strategy"),
        "baskets": report["baskets"]["count"],
        "baskets per second": load.get("baskets_per_second"),
        "order p50 ms": orders.get("p50_ms"),
        "order p95 ms": orders.get("p95_ms"),
        "order p99 ms": orders.get("p99_ms"),
        "order max ms": orders.get("max_ms"),
        "asked again, same key": counters.get("order requests", 0) - counters.get("keys", 0),
        "unknown answers": counters.get("unknown answers", 0),
        "waited for locks p50 ms": load.get("waits", {}).get("locks", {}).get("p50_ms"),
        "waited for locks p99 ms": load.get("waits", {}).get("locks", {}).get("p99_ms"),
        "transactions repeated": sum(load.get("repeats", {}).values()),
        "refusals (409)": load.get("statuses", {}).get("POST /orders 409", 0),
        "errors of orders": orders.get("failures"),
        "units sold": report["totals"]["sold"],
        "units refused": report["totals"]["refused"],
        "revenue (minor units)": report["totals"]["revenue_minor"],
        "faults": len(report["run"].get("faults", [])),
        "set-up seconds": load.get("set_up_seconds"),
        "shopping seconds": load.get("shopping_seconds"),
    }


def _flat(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, keys in settings.items() for key, value in keys.items()}


def _flat_facts(report: Mapping[str, Any]) -> dict[str, Any]:
    run = report["run"]
    versions = {f"version of {name}": value for name, value in run.get("versions", {}).items()}
    return {"seed": run.get("seed")} | dict(run.get("facts", {})) | versions
