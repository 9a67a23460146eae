"""What the set of servers answers, and what holds for all of its servers together. Values only."""

from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from load_balancer.balancing.members import Server
from load_balancer.balancing.servers import Rules

S = TypeVar("S", bound=Server)


class Refusal(Enum):
    """Why a request is neither with a server nor in line."""

    NO_SERVER = "no server is ready"
    QUEUE_FULL = "too many requests wait already"
    TOO_LATE = "no server was free in time"


class Placement(NamedTuple, Generic[S]):
    """Where a request that waited goes: to ``server``, or nowhere."""

    ticket: object
    server: S | None


class SetRules(NamedTuple):
    """What holds for all servers together."""

    algorithm: str = "roundrobin"
    health: Rules = Rules(fall=2, rise=1)
    allbackups: bool = False
    ejected_share_max: float = 0.5
