"""Whole runs on the real processes: a small file of orders is valid, the control without locks is found out."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import require

ROOT = Path(__file__).resolve().parents[2]
PORT_BASE = 27_000
# A run's load comes from several web instances; how many makers there are, and in how many processes, is not its subject.
FEW_PROCESSES = ("--set", "broker.url=postgres", "--set", "manufacturers.manufacturers_per_process=3")
TWO_INSTANCES = ("--set", "customers.instances=2")
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


def main_py(*arguments: str, port_base: int | None = None, timeout: float = 170) -> subprocess.CompletedProcess[str]:
    at = () if port_base is None else ("--port-base", str(port_base))
    argv = [sys.executable, str(ROOT / "main.py"), *at, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT)


def write_orders(path: Path) -> None:
    """40 baskets of 6 customers and guests; more is wanted of each good than a supply of 0.5 gives."""
    rows = [
        f"{5000 + number},{10000 + good},GOOD {good},{1 + number % 4},2010-12-0{1 + number % 9} 08:{number:02},1.25,"
        f"{100 + number % 6 if number % 5 else ''},United Kingdom\n"
        for number in range(40)
        for good in range(number % 3, 6)
    ]
    path.write_text(HEADER + "".join(rows) + "C1,10001,BACK,-1,2010-12-01 08:00,1.25,100,France\n")


def processes_of(folder: str) -> list[str]:
    """Command lines that name this folder: whatever the run left behind."""
    found = []
    for process in psutil.process_iter(["cmdline", "pid"]):
        words = process.info["cmdline"] or []
        if process.info["pid"] != os.getpid() and any(folder in word for word in words):
            found.append(" ".join(words))
    return found


def report_of(out: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


@pytest.mark.timeout(180)
def test_real_orders_are_sold_reported_and_the_books_agree(tmp_path: Path) -> None:
    """P1 to P4, P8, on every process of a whole system."""
    write_orders(tmp_path / "orders.csv")
    out = tmp_path / "run"
    state = tmp_path / "state"
    done = main_py(
        *("simulate", "--orders", str(tmp_path / "orders.csv"), "--supply", "0.5", "--manufacturers", "2"),
        *("--workers", "8", "--out", str(out), "--state", str(state), *FEW_PROCESSES, *TWO_INSTANCES),
        port_base=PORT_BASE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict: valid" in done.stdout
    assert "cancellation" in done.stderr
    report = report_of(out)
    assert report["drained"] is True
    assert report["baskets"]["count"] == 40
    totals = report["totals"]
    assert 0 < totals["sold"] <= totals["supplied"] == totals["offered"] == totals["produced"]
    assert totals["refused"] > 0
    assert totals["sold"] + totals["unsold"] == totals["supplied"]
    assert report["months"][0]["reason"] in {"finished", "depleted"}
    with (out / "orders.csv").open(newline="") as file:
        assert sum(int(row["units_bought"]) for row in csv.DictReader(file)) == totals["sold"]
    assert (out / "index.html").stat().st_size > 10_000
    assert not state.exists()
    assert processes_of(str(state)) == []
    again = main_py("check", str(out))
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("strategy", "verdict", "engine"), [("naive", "invalid", ""), ("row_lock", "valid", "haproxy")]
)
def test_the_race_for_the_last_unit_finds_the_strategy_without_locks_out(
    tmp_path: Path, strategy: str, verdict: str, engine: str
) -> None:
    """The control of P1: the same race, with and without the protection; and the shop's API behind either balancer.

    Two seconds of it: on a machine five times overloaded every one of its six rounds was oversold without locks."""
    if engine == "haproxy":
        require("haproxy")
    out = tmp_path / "run"
    done = main_py(
        *("scenario", "run", "last_unit", "--strategy", strategy, "--seconds", "2", "--seed", "3", "--out", str(out)),
        *(*FEW_PROCESSES, *(("--set", f"load_balancer.engine={engine}") if engine else ())),
        port_base=PORT_BASE + 700,
    )
    report = report_of(out)
    assert report["verdict"] == verdict, done.stdout + done.stderr
    assert done.returncode == (1 if verdict == "invalid" else 0)
    assert f"expected: {verdict}, found: {verdict}" in done.stdout
    assert ("oversold" in report["rounds"]) == (verdict == "invalid")


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 2), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_run_that_is_broken_off_leaves_no_process_and_is_never_valid(
    tmp_path: Path, wait_until: Callable[..., None], sent: signal.Signals, code: int
) -> None:
    """G1, G2, D1: Ctrl-C ends everything in order; even the driver's own kill -9 takes the system with it."""
    out, state = tmp_path / "run", tmp_path / "state"
    argv = [sys.executable, str(ROOT / "main.py"), "--port-base", str(PORT_BASE), "--state", str(state)]
    argv += ["simulate", "--months", "50", "--customers", "4", "--out", str(out), *FEW_PROCESSES, *TWO_INSTANCES]
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, cwd=ROOT)
    history = out / "history.jsonl"
    wait_until(lambda: process.poll() is not None or (history.exists() and history.stat().st_size), 120, "it shops")
    process.send_signal(sent)
    assert process.wait(timeout=60) == code, (tmp_path / "output").read_text()
    wait_until(lambda: not processes_of(str(state)) and not processes_of(str(out)), 60, "no process is left")
    checked = main_py("check", str(out))
    assert checked.returncode == 2, checked.stdout + checked.stderr
    if sent is signal.SIGINT:
        assert report_of(out)["drain_reason"] == "stopped by the user"
        assert not state.exists()


def test_a_file_that_cannot_be_used_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """P7."""
    (tmp_path / "orders.csv").write_text("InvoiceNo,StockCode,Description\n")
    done = main_py(
        "simulate", "--orders", str(tmp_path / "orders.csv"), "--out", str(tmp_path / "run"), port_base=PORT_BASE
    )
    assert done.returncode == 64
    assert "missing columns Quantity, InvoiceDate, UnitPrice, CustomerID" in done.stderr
    assert not (tmp_path / "run").exists()
