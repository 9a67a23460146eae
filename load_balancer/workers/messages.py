"""What the manager and a worker tell each other. Values; both are of the same installation, one started the other."""

from dataclasses import dataclass

from load_balancer.admin.orders import Order
from load_balancer.balancing.servers import CheckResult, Health
from load_balancer.options import Options
from load_balancer.stats.figures import Figures

# To a worker.


@dataclass(frozen=True)
class Start:
    """The first message: what it is to serve, and how the servers are now, by name."""

    number: int
    options: Options
    healths: dict[str, Health]
    log_level: int


@dataclass(frozen=True)
class Do:
    """Orders of an operator."""

    orders: tuple[Order, ...]


@dataclass(frozen=True)
class Checked:
    """The outcome of a check, which the manager makes for all."""

    name: str
    result: CheckResult


@dataclass(frozen=True)
class Adopt:
    """The requests of another worker found a server in this state."""

    name: str
    health: Health


@dataclass(frozen=True)
class Ask:
    """For its figures."""

    number: int


@dataclass(frozen=True)
class Retire:
    """Somebody else accepts now: serve who is connected, then end."""


@dataclass(frozen=True)
class Drain:
    """Answer what is under way, then end."""


# To the manager.


@dataclass(frozen=True)
class Serving:
    """It accepts connections."""


@dataclass(frozen=True)
class Told:
    """The answer to ``Ask`` of the same number."""

    number: int
    figures: Figures


@dataclass(frozen=True)
class Seen:
    """What its requests found of a server; ``hurried``: a check is due."""

    name: str
    health: Health
    hurried: bool


ToWorker = Start | Do | Checked | Adopt | Ask | Retire | Drain
ToManager = Serving | Told | Seen
