"""One load as a process of its own: `python -m scenarios.load --plan FILE`. Locust lives here, never in the driver.

L1  Standard output carries one JSON object a line for the driver (progress, then the end); standard error is a log.
L2  Standard input carries the driver's news of the months, one JSON object a line; its end means: stop.
L3  SIGTERM and SIGINT stop the load: what is known so far is written, the exit code is 0. Exit code 1: the load failed.
"""

import argparse
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import gevent
import gevent.os

from scenarios.figures import Figures
from scenarios.monthly_shopping import MonthlyShopping
from scenarios.order_replay import OrderReplay
from scenarios.run_files import RESULT_FILE
from scenarios.stock_race import StockRace
from scenarios.workload import Hall, Worker, Workload

PROGRESS_SECONDS = 0.5
SPAWN_PER_SECOND_MAX = 100  # Locust warns above it
WORKLOADS: dict[str, type[Workload]] = {"orders": OrderReplay, "months": MonthlyShopping, "race": StockRace}

log = logging.getLogger("scenarios.load")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scenarios.load", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True)
    plan_path: Path = parser.parse_args().plan
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s load %(name)s: %(message)s")
    plan: dict[str, Any] = json.loads(plan_path.read_text(encoding="utf-8"))
    return Load(plan, plan_path.parent).run()


class Load:
    """Runs the plan's workload to its end and writes what was measured."""

    def __init__(self, plan: dict[str, Any], run_dir: Path) -> None:
        self._plan = plan
        self._run_dir = run_dir
        self._figures = Figures()
        self._workload = WORKLOADS[plan["mode"]](plan, run_dir, self._figures)
        self._interrupted = False
        # a customer who met what no shop should do is not sent on: the load ends (_on_user_error)
        self._environment = Hall(user_classes=[Worker], host=plan["shop"], catch_exceptions=False)
        self._environment.workload = self._workload
        events: Any = self._environment.events  # untyped in Locust
        events.request.add_listener(self._on_request)
        events.user_error.add_listener(self._on_user_error)

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, self._interrupt)
        runner = self._environment.create_local_runner()
        started = time.monotonic()
        followers = [gevent.spawn(self._report_progress), gevent.spawn(self._follow_driver)]
        runner.start(self._plan["workers"], spawn_rate=min(self._plan["workers"], SPAWN_PER_SECOND_MAX))
        while not self._workload.signed_up.wait(timeout=0.2) and not self._workload.done.is_set():
            continue
        set_up_seconds = time.monotonic() - started
        cpu_before = time.process_time()
        requests_before = sum(len(values) for values in self._figures.latencies.values())
        self._workload.done.wait()
        shopping_seconds = time.monotonic() - started - set_up_seconds
        cpu_seconds = time.process_time() - cpu_before
        requests = sum(len(values) for values in self._figures.latencies.values()) - requests_before
        runner.quit()
        gevent.killall(followers)
        self._workload.close()
        result = {
            "set_up_seconds": round(set_up_seconds, 3),
            "customers": len(self._workload.accounts),
            "shopping_seconds": round(shopping_seconds, 3),
            "baskets": self._workload.baskets_ended,
            "baskets_per_second": round(self._workload.baskets_ended / max(shopping_seconds, 1e-9), 2),
            "client_cpu_ms_per_request": round(1000 * cpu_seconds / max(requests, 1), 3),
            "interrupted": self._interrupted,
            "error": self._workload.error,
        } | self._figures.as_json()
        (self._run_dir / RESULT_FILE).write_text(json.dumps(result), encoding="utf-8")
        _say({"event": "end", "error": self._workload.error, "interrupted": self._interrupted})
        return 1 if self._workload.error else 0

    def _on_request(self, name: str, response_time: float, response: Any, exception: Any, **_: Any) -> None:
        failure = None if exception is None else str(exception)[:200]
        self._figures.request(name, response_time, response.status_code or None, failure)

    def _on_user_error(self, exception: BaseException, tb: Any, **_: Any) -> None:
        log.error("a customer failed", exc_info=(type(exception), exception, tb))
        self._workload.fail(f"{type(exception).__name__}: {exception}")

    def _interrupt(self) -> None:
        self._interrupted = True
        self._workload.done.set()

    def _report_progress(self) -> None:
        while True:
            work = self._workload
            signed_up = {"done": work.signed_up_count, "total": len(work.accounts)}
            _say({"event": "progress", "signed_up": signed_up, "baskets": work.baskets_ended, "of": work.baskets_total})
            gevent.sleep(PROGRESS_SECONDS)

    def _follow_driver(self) -> None:
        """L2. Reading happens in a thread of gevent's pool, for standard input may be of any kind."""
        rest = b""
        while chunk := gevent.os.tp_read(sys.stdin.fileno(), 65_536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                news = json.loads(line)
                self._workload.months.tell(news["month"], is_open=news["open"], over=news["over"])
        self._interrupt()


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # gevent's pool may still sit in a read of standard input; nothing is left to clean up
