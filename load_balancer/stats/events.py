"""What happened to servers, the last of it: each change of a state with its reason."""

from collections import Counter, deque
from typing import Final, NamedTuple

EVENTS_KEPT: Final = 500  # a server that flaps once a second fills them in eight minutes; the log has them all


class Event(NamedTuple):
    """``at``: seconds since 1970; ``before`` and ``after``: words of states, "" where there was none (or is none any more).

    ``ready``: how many servers were ready after it, ``servers`` of how many.
    """

    at: float
    server: str
    before: str
    after: str
    reason: str
    ready: int
    servers: int


class Events:
    """``kept``: the last ones, oldest first; ``counted`` by server and state: all since the start."""

    def __init__(self) -> None:
        self.kept: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self.counted: Counter[tuple[str, str]] = Counter()

    def add(self, event: Event) -> None:
        self.kept.append(event)
        self.counted[event.server, event.after or "removed"] += 1
