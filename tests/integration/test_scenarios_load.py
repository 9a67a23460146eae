"""The load processes against a small shop of the tests' own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios_world import Running, running_shop

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def shop() -> Iterator[Running]:
    with running_shop() as running:
        yield running


def run_load(run_dir: Path, plan: dict[str, Any], news: list[dict[str, Any]]) -> dict[str, Any]:
    """Run the load process to its end; its standard input stays open, as the driver's does."""
    (run_dir / "plan.json").write_text(json.dumps(plan))
    argv = [sys.executable, "-m", "scenarios.load", "--plan", str(run_dir / "plan.json")]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in news:
            process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()
        said = [json.loads(line) for line in process.stdout]
        assert process.wait(timeout=60) == 0
    assert said[-1]["event"] == "end"
    result: dict[str, Any] = json.loads((run_dir / "load.json").read_text())
    return result


def history_of(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "history.jsonl").read_text().splitlines()]


def orders_plan(url: str, baskets: list[Any]) -> dict[str, Any]:
    customers = ["guest 1", "customer 2", "customer 3"]
    return {"mode": "orders", "shop": url, "workers": 4, "seed": 7, "customers": customers, "baskets": baskets}


def test_baskets_are_bought_reduced_or_given_up_and_the_history_agrees_with_the_shop(
    shop: Running, tmp_path: Path
) -> None:
    """O3, R1: demand of 100 for 20 units sells exactly 20; every customer says finished once."""
    baskets = [[f"b{number}", number % 3, [["10001", 10], ["10002", 1]]] for number in range(10)]
    result = run_load(tmp_path, orders_plan(shop.url, baskets), [])
    assert shop.books.sold[1] == 20
    assert result["baskets"] == 10
    assert result["statuses"]["POST /orders 409"] >= 8
    assert result["requests"]["POST /orders"]["failures"] == 0, "a refusal for lack of stock is no failure"
    assert sorted(shop.books.finished) == sorted(shop.books.customers)
    ends = [row for row in history_of(tmp_path) if row["type"] != "invoke"]
    assert sum(row["type"] == "ok" for row in ends) == shop.books.orders


def test_a_lost_answer_is_asked_for_with_the_same_key_under_a_new_process_number(shop: Running, tmp_path: Path) -> None:
    """O2, H3, P3: nothing is bought twice although every third answer is lost."""
    shop.books.lose_answer_every = 3
    baskets = [[f"b{number}", number % 3, [["10003", 1]]] for number in range(15)]
    result = run_load(tmp_path, orders_plan(shop.url, baskets), [])
    assert shop.books.sold[3] == 15
    assert shop.books.orders == 15
    assert result["counters"]["unknown answers resolved"] >= 5
    rows = history_of(tmp_path)
    invoked = {row["index"]: row for row in rows if row["type"] == "invoke"}
    for row in (row for row in rows if row["type"] == "info"):
        later = [other for other in invoked.values() if other["key"] == row["key"] and other["index"] > row["index"]]
        assert later, "an unknown outcome was not asked for again"
        assert later[0]["process"] != row["process"]


def test_an_answer_that_was_cut_off_is_asked_for_again(shop: Running, tmp_path: Path) -> None:
    """Sign-ups, catalogue and orders alike."""
    shop.books.cut_answer_every = 5
    result = run_load(tmp_path, orders_plan(shop.url, [[f"b{n}", n % 3, [["10004", 1]]] for n in range(12)]), [])
    assert shop.books.sold[4] == 12
    assert shop.books.orders == 12
    assert result["counters"]["unknown answers resolved"] > 0


def test_what_no_shop_should_answer_ends_the_load_with_that_error(shop: Running, tmp_path: Path) -> None:
    """W2."""
    plan = orders_plan(shop.url + "/nowhere", [["b", 0, [["10001", 1]]]])
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    argv = [sys.executable, "-m", "scenarios.load", "--plan", str(tmp_path / "plan.json")]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.wait(timeout=60) == 1
    assert "sign-up of" in json.loads((tmp_path / "load.json").read_text())["error"]


def test_a_busy_shop_is_an_error_of_the_shop_and_is_asked_again_with_the_same_key(
    shop: Running, tmp_path: Path
) -> None:
    """C49: 503 is never a success."""
    shop.books.busy_every = 4
    result = run_load(tmp_path, orders_plan(shop.url, [[f"b{n}", n % 3, [["10004", 1]]] for n in range(12)]), [])
    assert shop.books.sold[4] == 12
    assert result["requests"]["POST /orders"]["failures"] == result["statuses"]["POST /orders 503"] >= 3


def test_monthly_customers_shop_with_carts_and_stop_when_no_month_is_to_come(shop: Running, tmp_path: Path) -> None:
    """N1: each says finished once in the month, then waits; the end of the months ends the load."""
    plan = {"mode": "months", "shop": shop.url, "workers": 5, "seed": 3, "customers": [f"c{n}" for n in range(5)]}
    plan |= {"pause_seconds": 0.01}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    argv = [sys.executable, "-m", "scenarios.load", "--plan", str(tmp_path / "plan.json")]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"month": 1, "open": True, "over": False}) + "\n")
        process.stdin.flush()
        while len(shop.books.finished) < 5:
            assert process.stdout.readline(), "the load ended before its customers were done"
        process.stdin.write(json.dumps({"month": 1, "open": False, "over": True}) + "\n")
        process.stdin.flush()
        process.stdout.read()
        assert process.wait(timeout=60) == 0
    assert len(shop.books.finished) == len(set(shop.books.finished)) == 5
    assert sum(shop.books.sold.values()) > 0
    assert all(left >= 0 for left in shop.books.stock.values())


def test_customers_with_a_time_shop_until_it_is_over_and_then_only_say_so(shop: Running, tmp_path: Path) -> None:
    """N2."""
    shop.books.stock = dict.fromkeys(range(1, 6), 100_000)
    plan = {"mode": "months", "shop": shop.url, "workers": 2, "seed": 3, "customers": ["a", "b"], "seconds": 3.0}
    (tmp_path / "plan.json").write_text(json.dumps(plan | {"pause_seconds": 0.1}))
    argv = [sys.executable, "-m", "scenarios.load", "--plan", str(tmp_path / "plan.json")]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"month": 1, "open": True, "over": False}) + "\n")
        process.stdin.flush()
        while len(shop.books.finished) < 2:
            assert process.stdout.readline(), "the load ended before its customers were done"
        bought = shop.books.orders
        process.stdin.write(json.dumps({"month": 2, "open": True, "over": False}) + "\n")
        process.stdin.flush()
        while len(shop.books.finished) < 4:
            assert process.stdout.readline(), "the load ended before its customers were done"
        process.stdin.write(json.dumps({"month": 2, "open": False, "over": True}) + "\n")
        process.stdin.flush()
        process.stdout.read()
        assert process.wait(timeout=60) == 0
    assert bought > 2
    assert shop.books.orders == bought


def test_in_a_race_everybody_asks_for_the_same_good_and_the_units_decide_the_winners(
    shop: Running, tmp_path: Path
) -> None:
    """X1, X2."""
    shop.books.stock = {1: 1, 2: 3}
    plan = {"mode": "race", "shop": shop.url, "workers": 6, "seed": 5, "customers": [f"c{n}" for n in range(6)]}
    run_load(tmp_path, plan | {"seconds": 20}, [])
    rounds = (tmp_path / "rounds.csv").read_text().splitlines()
    assert rounds[1:] == ["1,10001,1,1", "2,10002,3,3"]


def test_the_end_of_the_driver_ends_the_load_and_leaves_what_is_known(shop: Running, tmp_path: Path) -> None:
    """L2, L3: closing standard input is enough; the result says that it was interrupted."""
    plan = {"mode": "months", "shop": shop.url, "workers": 2, "seed": 3, "customers": ["a", "b"]}
    (tmp_path / "plan.json").write_text(json.dumps(plan | {"pause_seconds": 0.01}))
    argv = [sys.executable, "-m", "scenarios.load", "--plan", str(tmp_path / "plan.json")]
    done = subprocess.run(argv, cwd=ROOT, input="", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "load.json").read_text())["interrupted"] is True
