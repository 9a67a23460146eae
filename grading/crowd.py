"""Customers who buy at the same time, and what became of them."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from distributor.database import Retries
from distributor.errors import DistributorError
from distributor.sales import Answer, Line, Sales
from distributor.strategies.contract import Strategy
from grading.checks import Check
from grading.conduct import Conduct
from grading.world import discrepancies, fingerprint
from settings import Settings

ATTEMPTS_MAX = 200  # in races every buyer learns the outcome, however often the strategy makes them repeat
STUCK_SECONDS = 180.0  # of a whole race; one in which nothing moves is ended long before, from outside


class Stuck(Exception):
    """Some purchases did not end."""


@dataclass
class Ground:
    """One strategy on one database, in this process. ``causes``: why transactions were repeated, counted."""

    engine: Engine
    strategy: Strategy
    conduct: Conduct
    settings: Settings
    seed: int
    quick: bool
    tell: Callable[[Check], None]
    begin: Callable[[str], None]
    causes: Counter[str] = field(default_factory=Counter)

    def sales(self, settings: Settings | None = None, *, attempts_max: int = ATTEMPTS_MAX) -> Sales:
        """A shop that repeats patiently and without pauses worth speaking of: what is sold is tried, not how fast."""
        retries = Retries(
            attempts_max,
            self.strategy.retry_on,
            sleep=lambda seconds: time.sleep(seconds / 20),
            on_retry=self.repeated,
        )
        return Sales(self.engine, self.strategy, settings or self.settings, retries)

    def repeated(self, cause: str) -> None:
        self.causes[cause] += 1

    def books(self, stock: Sequence[int]) -> str:
        """What is wrong with the books of these rows; empty if nothing."""
        wrong = discrepancies(self.engine, stock)
        if not wrong:
            return ""
        row = wrong[0]
        more = f" (and {len(wrong) - 1} rows more)" if len(wrong) > 1 else ""
        return (
            f"stock {row.id}: {row.ordered} units were sold to customers, the counter says {row.sold}, "
            f"{row.supplied - row.withdrawn} were there{more}"
        )


def at_once(actions: Sequence[Callable[[], object]]) -> list[Any]:
    """Run all in threads that start together; what each returned, or the error that it raised. Raises Stuck."""
    start = threading.Barrier(len(actions))
    results: list[Any] = [None] * len(actions)

    def run(index: int) -> None:
        start.wait(STUCK_SECONDS)
        try:
            results[index] = actions[index]()
        except Exception as error:  # noqa: BLE001 - handed to whoever judges
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(actions))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + STUCK_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            raise Stuck(f"a purchase did not end within {STUCK_SECONDS:.0f} s")
    return results


def buy(sales: Sales, customer: int, key: str, *lines: Line) -> Answer:
    return sales.place(customer, key, lines, fingerprint(lines))


def tally(results: Sequence[Any]) -> dict[str, int]:
    """How many ended how: the answer's status, or the error's name."""
    found = Counter(str(r.status) if isinstance(r, Answer) else type(r).__name__ for r in results if r is not None)
    return dict(sorted(found.items()))


def told(results: Sequence[Any]) -> str:
    """The tally, and the text of the first error that the shop does not know."""
    odd = next((r for r in results if isinstance(r, Exception) and not isinstance(r, DistributorError)), None)
    said = f"; {type(odd).__name__}: {str(odd).partition(chr(10))[0]:.160}" if odd else ""
    return f"{tally(results)}{said}"
