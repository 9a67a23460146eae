"""One grading: which exercises, in which order, with what limits; from all that was found to one report.

R1  Exercises that only look (contract, races, instances, faults) come first; what cannot end is not measured.
R2  Measurements of the strategy, row_lock and naive take turns, round after round, on the same database, each in a
    process of its own, so that whatever else the machine does meets all three.
"""

import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distributor.database import make_engine
from grading.checks import CONDUCT, CONTRACT, FAULTS, RACES, Check
from grading.marks import PASS_POINTS, WEIGHTS, Rounds, marks, total
from grading.pupil import Task
from grading.server import plain
from grading.sessions import APPLICATION_NAME, Sessions
from grading.supervision import Found, Nursery
from grading.world import discrepancies, make_world
from settings import Settings

REFERENCES = ("row_lock", "naive")
INSTANCES = 2
EXERCISES = (("contract", CONTRACT), ("races", RACES), ("instances", RACES), ("faults", FAULTS))
INSTANCES_SENTENCE = "Two instances at once (processes of their own) sell a last unit once and forget no sale."


@dataclass(frozen=True)
class Plan:
    """How thorough: ``rounds`` of measurements with loads of ``seconds`` each; 0 rounds measure nothing."""

    seed: int
    quick: bool
    rounds: int
    seconds: float

    @classmethod
    def of(cls, seed: int, *, quick: bool) -> "Plan":
        return cls(seed, quick, 1, 0.5) if quick else cls(seed, quick, 5, 1.0)


class Grader:
    """Grades strategies on one database with the shop's tables; ``say`` is told what is going on."""

    def __init__(self, nursery: Nursery, url: str, settings: Settings, plan: Plan, say: Callable[[str], None]) -> None:
        self._nursery = nursery
        self._url = url
        self._settings = settings
        self._plan = plan
        self._say = say

    def grade(self, strategy: str, exercises: Sequence[tuple[str, str]] = EXERCISES) -> dict[str, Any]:
        """The report. ``strategy``: a name, a dotted path, or an absolute path of a file."""
        checks: list[Check] = []
        causes: Counter[str] = Counter()
        rounds = Rounds((), (), ())
        with Sessions(plain(self._url)) as sessions:
            complete, loaded = True, False
            for exercise, group in exercises:
                if not complete:
                    checks.append(_not_tried(exercise, group))
                    continue
                self._say(exercise)
                found = self._exercise(exercise, strategy, sessions)
                complete = all(one.complete for one in found) and _goes_on(exercise, found[0].checks)
                loaded = loaded or found[0].loaded
                for one in found:
                    checks += one.checks
                    causes.update(one.causes)
            if complete and self._plan.rounds:
                rounds, seen = self._measure(strategy, sessions)
                checks += seen
        return self._report(strategy, _each_once(checks), rounds, causes) | {"loaded": loaded}

    def _exercise(self, exercise: str, strategy: str, sessions: Sessions) -> list[Found]:
        if exercise == "instances":
            return self._instances(strategy, sessions)
        found = self._nursery.run([self._task(exercise, strategy, {})], sessions)
        if not found[0].complete and not any(not check.passed for check in found[0].checks):
            found[0].checks.append(_not_tried(exercise, exercise))
        return found

    def _task(self, exercise: str, strategy: str, parameters: dict[str, Any]) -> Task:
        return Task(
            exercise,
            strategy,
            self._url,
            str(self._nursery.new_folder()),
            self._plan.seed,
            self._plan.quick,
            self._settings.model_dump(mode="json"),
            parameters,
        )

    def _instances(self, strategy: str, sessions: Sessions) -> list[Found]:
        """The same goods from two processes; the books of both together are judged here."""
        engine = make_engine(self._url, self._settings.database, pool_size=1, application_name=APPLICATION_NAME)
        people = INSTANCES * (3 if self._plan.quick else 6)
        try:
            world = make_world(engine, [1, *[1_000_000] * 5], customers=people)
            given = {"stock": world.stock, "customers": world.customers}
            tasks = [self._task("instance", strategy, given | {"number": number}) for number in range(INSTANCES)]
            found = self._nursery.run(tasks, sessions)
            wrong = _instances_wrong(found, people) if all(one.complete for one in found) else ""
            books = discrepancies(engine, world.stock)
        finally:
            engine.dispose()
        if books:
            row = books[0]
            wrong = (
                f"stock {row.id}: {row.ordered} units were sold to customers, the counter says {row.sold}, "
                f"{row.supplied - row.withdrawn} were there"
            )
        if wrong or all(one.complete for one in found):
            found[0].checks.append(Check(RACES, "instances", INSTANCES_SENTENCE, not wrong, wrong, clause="P1"))
        return found

    def _measure(self, strategy: str, sessions: Sessions) -> tuple[Rounds, list[Check]]:
        figures: dict[str, list[dict[str, Any]]] = {"own": [], "row_lock": [], "naive": []}
        seen: list[Check] = []
        for number in range(self._plan.rounds):
            turns = [("own", strategy), *zip(REFERENCES, REFERENCES, strict=True)]
            for label, name in turns if number % 2 == 0 else turns[::-1]:
                self._say(f"measuring, round {number + 1} of {self._plan.rounds}: {label.replace('own', 'yours')}")
                task = self._task("measure", name, {"seconds": self._plan.seconds})
                (found,) = self._nursery.run([task], sessions)
                if label == "own":
                    seen += [check for check in found.checks if not check.passed]
                if not found.complete or "mixed" not in found.figures:
                    return Rounds((), (), ()), seen
                figures[label].append(found.figures)
        return Rounds(figures["own"], figures["row_lock"], figures["naive"]), seen

    def _report(self, strategy: str, checks: Sequence[Check], rounds: Rounds, causes: Counter[str]) -> dict[str, Any]:
        mixed = [figures["mixed"] for figures in rounds.own]
        victims = causes["deadlocks of opposite baskets"] + sum(one["repeats"].get("40P01", 0) for one in mixed)
        purchases = causes["opposite baskets"] + sum(one["purchases"] for one in mixed)
        found = marks(checks, rounds, victims, purchases)
        decisive = (
            ("correctness", "deadlocks") if self._plan.quick else WEIGHTS
        )  # half a second of load proves no speed
        return {
            "strategy": strategy,
            "file": Path(strategy).name if strategy.endswith(".py") else None,
            "passed": all(mark.passed for mark in found if mark.name in decisive),
            "total": round(total(found), 1),
            "marks": [asdict(mark) | {"weight": WEIGHTS[mark.name]} for mark in found],
            "pass_points": PASS_POINTS,
            "checks": [asdict(check) for check in checks],
            "repeats": {cause: count for cause, count in sorted(causes.items()) if "opposite" not in cause},
            "figures": asdict(rounds),
            "seed": self._plan.seed,
            "quick": self._plan.quick,
            "machine": f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        }


def _goes_on(exercise: str, checks: Sequence[Check]) -> bool:
    """A strategy of which not one case of the contract holds has nothing that could be raced."""
    return exercise != "contract" or any(check.passed for check in checks)


def _not_tried(exercise: str, group: str) -> Check:
    return Check(
        group,
        exercise,
        f"All of {exercise} were tried.",
        passed=False,
        seen="not tried, because of what was found before",
    )


def _instances_wrong(found: Sequence[Found], people: int) -> str:
    last: Counter[str] = Counter()
    for one in found:
        last.update(one.figures.get("last", {}))
    if last != {"201": 1, "409": people - 1}:
        return f"the last unit: {people} buyers in {len(found)} processes ended as {dict(last)}"
    odd = [one.figures["said"] for one in found if set(one.figures.get("rest", {})) - {"201"}]
    return f"purchases that could all be had ended as {odd[0]}" if odd else ""


def _each_once(checks: Sequence[Check]) -> list[Check]:
    """Conduct that was seen in several exercises is told once, by kind and line."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for check in checks:
        if check.group == CONDUCT:
            if (check.name, check.where) in seen:
                continue
            seen.add((check.name, check.where))
        kept.append(check)
    return kept
