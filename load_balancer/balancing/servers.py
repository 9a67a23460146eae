"""Which state a server is in: (health, event, now) -> health. HAProxy's words. No sockets, no clock.

S1  Only a server that is UP and administratively READY gets requests; where there is none, one that is AWAY gets them.
S2  ``fall`` failures in a row take a server down, ``rise`` good checks in a row bring it up again.
S3  A refused connection, and a check that answers 503, take it down at once: the first is proof, the second its own word.
S4  Only a good check brings it up, never a good request: a request that was sent before it fell proves nothing.
S5  The first good check after the start brings it up at once.
S6  A server that is not checked is UP, whatever else is seen: nothing would bring it back.

S7  A check that is answered with 503 and Retry-After makes a server AWAY: what it needs is away and will come back. It can
    tell people so better than we can.

States: DOWN -> UP <-> (UP with failures) -> DOWN, NOLB or AWAY; the last two answer, but ask for no requests.
"""

from enum import Enum
from typing import NamedTuple


class Operation(Enum):
    """What the checks found."""

    UP = "UP"  # answers, gets requests
    DOWN = "DOWN"  # does not answer
    NOLB = "NOLB"  # answers that it wants no requests: draining
    AWAY = "AWAY"  # answers that it cannot do its work for now: asked only where nobody is UP


class Admin(Enum):
    """What an operator decided."""

    READY = "ready"  # the checks decide
    DRAIN = "drain"  # no new requests, those in flight end, checks go on
    MAINT = "maint"  # out of service, no checks


class Sign(Enum):
    """One observation of a server."""

    PASSED = "passed"  # a check was answered in time
    FAILED = "failed"  # a check or a request was not
    REFUSED = "refused"  # nobody listens
    NOT_READY = "not ready"  # the check's answer was 503
    NOT_NOW = "not now"  # it was 503 with Retry-After


_OWN_WORDS = {Sign.NOT_READY: Operation.NOLB, Sign.NOT_NOW: Operation.AWAY}


class Rules(NamedTuple):
    """How many signs in a row turn a server's state."""

    fall: int
    rise: int


class Intervals(NamedTuple):
    """Seconds between two checks; ``fast``: while a server is going up or down, ``down``: while it is down."""

    inter: float
    fast: float
    down: float


class CheckResult(NamedTuple):
    """What one active check found. ``status``: HAProxy's word, such as L7OK; ``code``: of the answer, 0 for none."""

    sign: Sign
    reason: str
    status: str
    code: int
    seconds: float


class Health(NamedTuple):
    """A server's state; ``failures`` and ``successes`` are counted in a row.

    ``since``: the last change of any kind; ``operation_since``: the last one that checks (or traffic) made.
    """

    operation: Operation
    admin: Admin
    failures: int
    successes: int
    since: float
    reason: str
    operation_since: float
    checked: bool = True

    @property
    def eligible(self) -> bool:
        """S1."""
        return self.operation is Operation.UP and self.admin is Admin.READY

    @property
    def eligible_at_last(self) -> bool:
        """S1, S7."""
        return self.operation is Operation.AWAY and self.admin is Admin.READY

    @property
    def word(self) -> str:
        """One word for tables, as HAProxy's stats page has it."""
        return self.admin.name if self.admin is not Admin.READY else self.operation.value


def initial(now: float, *, checked: bool = True) -> Health:
    """No check was made yet; where there are none, it is UP (S6)."""
    if not checked:
        return Health(Operation.UP, Admin.READY, 0, 0, now, "not checked", now, checked=False)
    return Health(Operation.DOWN, Admin.READY, 0, 0, now, "no check yet", now)


def interval(health: Health, intervals: Intervals, *, hurried: bool = False) -> float:
    """Seconds from the begin of one check to the begin of the next; ``hurried``: its requests gave a reason."""
    up = health.operation is Operation.UP
    if hurried or (health.failures if up else health.successes):
        return intervals.fast
    return intervals.inter if up else intervals.down


def observe(health: Health, sign: Sign, reason: str, rules: Rules, now: float) -> Health:
    """The state after one more observation."""
    if not health.checked:
        return health
    if sign is Sign.PASSED:
        return _passed(health, reason, rules, now)
    failures = health.failures + 1
    counted = health._replace(failures=failures, successes=0)
    if sign in _OWN_WORDS:
        return _turn(counted, _OWN_WORDS[sign], reason, now)
    if health.operation is Operation.UP and sign is Sign.FAILED and failures < rules.fall:
        return counted
    return _turn(counted, Operation.DOWN, reason, now)


def suspect(health: Health, rules: Rules) -> Health:
    """One more failed check takes it down; for a server that is UP."""
    if health.operation is not Operation.UP or not health.checked:
        return health
    return health._replace(failures=max(health.failures, rules.fall - 1), successes=0)


def mark_down(health: Health, reason: str, now: float) -> Health:
    """Down at once, by what its requests met; checks bring it up again (S4)."""
    if not health.checked:
        return health
    return _turn(health._replace(failures=health.failures + 1, successes=0), Operation.DOWN, reason, now)


def administer(health: Health, admin: Admin, now: float) -> Health:
    """The state after an operator's decision. A server that comes back from MAINT has to pass a check first."""
    if admin is health.admin:
        return health
    changed = health._replace(admin=admin, since=now, reason=f"set to {admin.value} by an operator")
    if health.admin is Admin.MAINT and health.checked:
        changed = changed._replace(operation=Operation.DOWN, failures=0, successes=0)
    return changed


def _passed(health: Health, reason: str, rules: Rules, now: float) -> Health:
    successes = health.successes + 1
    counted = health._replace(failures=0, successes=successes)
    if health.operation is Operation.UP:
        return counted
    never_failed = health.failures == 0 and health.successes == 0
    own_word = health.operation in _OWN_WORDS.values()
    if never_failed or own_word or successes >= rules.rise:
        return _turn(counted, Operation.UP, reason, now)
    return counted


def _turn(health: Health, operation: Operation, reason: str, now: float) -> Health:
    if health.operation is operation:
        return health._replace(reason=reason)
    return health._replace(operation=operation, since=now, reason=reason, operation_since=now)
