"""The arithmetic of a quota, without clock and store: the generic cell rate algorithm.

Q1  Of a quota of q in w seconds, q requests may come at once; each is given back w/q seconds later.
Q2  All that is remembered of a subject is one moment: when its quota will be whole again. ``debt`` is how far away that is.
"""

import math
from dataclasses import dataclass

ROUNDING = 1e-6  # below a microsecond, PostgreSQL's resolution: a debt that should be a whole number of steps


@dataclass(frozen=True)
class Standing:
    """Where a subject stands with a quota: how many more may come now, in how many seconds all of them may again."""

    name: str
    requests: int
    window_seconds: int
    remaining: int
    whole_in_seconds: int

    def policy_item(self) -> str:
        """For RateLimit-Policy."""
        return f'"{self.name}";q={self.requests};w={self.window_seconds}'

    def item(self) -> str:
        """For RateLimit."""
        return f'"{self.name}";r={self.remaining};t={self.whole_in_seconds}'


@dataclass(frozen=True)
class Quota:
    """So many requests in a window, under a name that answers tell."""

    name: str
    requests: int
    window_seconds: float = 60.0

    @property
    def step_seconds(self) -> float:
        return self.window_seconds / self.requests

    def has_room(self, debt: float) -> bool:
        """Whether one more request may come now."""
        return debt + self.step_seconds <= self.window_seconds + ROUNDING

    def wait_seconds(self, debt: float) -> int:
        """How long until one more may come; at least 1, for it is told to people and in Retry-After."""
        return max(1, math.ceil(debt + self.step_seconds - self.window_seconds - ROUNDING))

    def standing(self, debt: float) -> Standing:
        remaining = math.floor((self.window_seconds - debt + ROUNDING) / self.step_seconds)
        return Standing(
            name=self.name,
            requests=self.requests,
            window_seconds=math.ceil(self.window_seconds),
            remaining=max(0, remaining),
            whole_in_seconds=max(0, math.ceil(debt - ROUNDING)),
        )
