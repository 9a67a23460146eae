"""Gathers purchases that wait at the same time into one transaction, for strategies with ``groups_max`` above 1.

G1  At most one group of a process is being committed. Whatever comes meanwhile waits, and is the next group: groups
    grow by themselves with the load, and nobody waits for others to come.
G2  A group has purchases in order of arrival, at most ``groups_max``, and one of a customer: two of the same customer
    share a cart, and may share a key, so the second must see what became of the first.
G3  Each purchase has its own outcome. What fails a whole group but may be the fault of one (a row that somebody holds
    too long, a value that PostgreSQL refuses) makes every member sell by itself, in its own thread, at the same time.
G4  A purchase waits for its group at most ``wait_seconds``, then it is Busy: definite, nothing was begun. While it
    waits it holds no connection and no lock.

States of a ticket: waiting -> grouped -> settled; waiting -> leading -> settled (its thread commits the next group).
"""

import copy
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from distributor.errors import Busy, DatabaseUnavailable, DistributorError, OutcomeUnknown
from distributor.sales import metrics
from distributor.sales.committer import Committer
from distributor.sales.contention import Contention, Earlier
from distributor.sales.rules import Answer, Purchase
from distributor.sales.selling import Outcome

GROUP_FAILED = "group"
"""Why a purchase was repeated by itself."""


class State(Enum):
    WAITING = "waiting"  # in the queue; may still leave it
    GROUPED = "grouped"  # in the group that is being committed
    LEADING = "leading"  # its own thread commits the next group
    SETTLED = "settled"  # has its outcome, its error, or is to be sold alone


@dataclass
class Ticket:
    """One purchase and what became of it; all but ``purchase`` and ``moved`` is guarded by the queue's lock."""

    purchase: Purchase
    state: State = State.WAITING
    since: float = field(default_factory=time.monotonic)
    outcome: Outcome | None = None
    error: Exception | None = None
    moved: threading.Event = field(default_factory=threading.Event)
    """Set when its thread has something to do: lead, take the outcome, or sell alone."""


def next_group(waiting: Sequence[Ticket], groups_max: int) -> list[Ticket]:
    """Who goes together (G2). Pure."""
    group: dict[int, Ticket] = {}
    for ticket in waiting:
        if len(group) == groups_max:
            break
        group.setdefault(ticket.purchase.customer_id, ticket)
    return list(group.values())


def having_waited(busy: Busy, strategy: str, seconds: float) -> Busy:
    """Of somebody who waited in this process that long, and in vain."""
    busy.contention = Contention(strategy, seconds, 0.0, (), 1)
    return busy


def outcomes_of(committer: Committer, purchases: Sequence[Purchase]) -> list[Outcome | Exception | None]:
    """What became of each; None: the group failed, perhaps by the fault of one, and it is to be sold alone (G3)."""
    try:
        return [*committer.commit_all(purchases)]
    except (OutcomeUnknown, DatabaseUnavailable) as error:
        return [copy.copy(error) for _purchase in purchases]  # one each: raising adds to an exception
    except Exception as error:  # noqa: BLE001 - raised by, or repeated in, each purchase's own thread (G3)
        return [error] if len(purchases) == 1 else [None] * len(purchases)


class GroupCommitter:
    """In the place of a Committer; shared by all threads of a process."""

    def __init__(self, committer: Committer, groups_max: int, wait_seconds: float) -> None:
        self._committer = committer
        self._groups_max = groups_max
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[Ticket] = []
        self._led = False  # whether a thread leads, or was told to

    def commit(self, purchase: Purchase) -> Outcome:
        """The purchase's own outcome; raises Busy, DatabaseUnavailable or OutcomeUnknown."""
        ticket = Ticket(purchase)
        with self._lock:
            self._waiting.append(ticket)
            if not self._led:
                self._led = True
                ticket.state = State.LEADING
        if ticket.state is not State.LEADING:
            self._wait(ticket)
        if ticket.state is State.LEADING:
            self._lead(ticket)
        return self._settled(ticket)

    def _wait(self, ticket: Ticket) -> None:
        if ticket.moved.wait(self._wait_seconds):
            return
        with self._lock:
            if ticket.state is State.WAITING:
                self._waiting.remove(ticket)
                raise having_waited(Busy(), self._committer.strategy_name, time.monotonic() - ticket.since)
        ticket.moved.wait()  # its group is under way, bounded by the database's own limits (D2)

    def _lead(self, leader: Ticket) -> None:
        """Commit the next group, ours among it, then hand the lead to whoever waits longest (G1)."""
        with self._lock:
            self._waiting.remove(leader)
            group = [leader, *next_group(self._others_than(leader), self._groups_max - 1)]
            for ticket in group[1:]:
                self._waiting.remove(ticket)
                ticket.state = State.GROUPED
        try:
            self._commit(group)
        finally:
            self._hand_over(group)

    def _others_than(self, leader: Ticket) -> list[Ticket]:
        return [ticket for ticket in self._waiting if ticket.purchase.customer_id != leader.purchase.customer_id]

    def _commit(self, group: Sequence[Ticket]) -> None:
        now = time.monotonic()
        purchases = [replace(ticket.purchase, earlier=Earlier(now - ticket.since)) for ticket in group]
        for ticket, outcome in zip(group, self.commit_group(purchases), strict=True):
            if isinstance(outcome, Answer) or (isinstance(outcome, DistributorError) and outcome.definite):
                ticket.outcome = outcome
            else:
                ticket.error = outcome

    def commit_group(self, purchases: Sequence[Purchase]) -> list[Outcome | Exception | None]:
        """A group that somebody else has put together (G2), after the one that is being committed (G1).

        None: its group failed, and it is to be sold alone (G3).
        """
        with self._turn:
            metrics.observe_group(len(purchases))
            return outcomes_of(self._committer, purchases)

    def _hand_over(self, group: Sequence[Ticket]) -> None:
        with self._lock:
            for ticket in group:
                ticket.state = State.SETTLED
                ticket.moved.set()
            self._led = bool(self._waiting)
            if self._led:
                self._waiting[0].state = State.LEADING
                self._waiting[0].moved.set()

    def _settled(self, ticket: Ticket) -> Outcome:
        """Neither outcome nor error: its group failed, and it sells alone (G3)."""
        if ticket.error is not None:
            raise ticket.error
        if ticket.outcome is not None:
            return ticket.outcome
        earlier = Earlier(time.monotonic() - ticket.since, (GROUP_FAILED,))
        return self._committer.commit(replace(ticket.purchase, earlier=earlier))
