"""What an experiment is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scenarios.run import Recipe
from scenarios.simulate import Options

UNSAFE_STRATEGIES = frozenset({"naive", "process_mutex"})
"""Strategies that promise nothing: the controls that an experiment must catch."""


@dataclass(frozen=True)
class Wish:
    """How an experiment is to be run; None means the experiment's own default."""

    options: Options
    users: int | None
    seconds: float | None


@dataclass(frozen=True)
class Experiment:
    """``make`` gives recipe and run folder; ``catches_unsafe``: whether an unsafe strategy must be found invalid."""

    name: str
    goal: str
    duration: str
    catches_unsafe: bool
    make: Callable[[Wish], tuple[Recipe, Path]]

    def expected(self, strategy: str) -> str:
        if strategy in UNSAFE_STRATEGIES:
            return "invalid" if self.catches_unsafe else "valid or invalid"
        return "valid"
