"""What a sale met on its way, for people: whole sentences, from what is stored with its order."""

from collections import Counter
from dataclasses import dataclass

from customers.languages import gettext as _
from customers.languages import lazy_gettext, ngettext
from customers.pages.filters import number
from distributor.sales import Contention

CAUSES = {
    "40001": lazy_gettext("another purchase changed the same goods first (SQLSTATE 40001)"),
    "40P01": lazy_gettext("it and another purchase waited for each other: a deadlock (SQLSTATE 40P01)"),
    "55P03": lazy_gettext("somebody else had the same goods locked (SQLSTATE 55P03)"),
    "23514": lazy_gettext("there would have been less than nothing left (SQLSTATE 23514)"),
    "version": lazy_gettext("the goods had changed since they were read"),
    "lost": lazy_gettext("the connection to the database was lost"),
    "unknown": lazy_gettext("the answer to the commit was lost, so it was asked for again under the same key"),
    "group": lazy_gettext("the group that it was in could not be sold, so it was sold by itself"),
}
"""By the cause that `Contention.repeats` names; a strategy of one's own may have SQLSTATEs beside these."""


@dataclass(frozen=True)
class HowSold:
    """``repeats``: one sentence for each cause, in the order in which they came first."""

    strategy: str
    queued: str
    locking: str
    together: str
    repeats: tuple[str, ...]


def how_sold(met: Contention) -> HowSold:
    return HowSold(
        met.strategy,
        _milliseconds(met.queued_seconds),
        _milliseconds(met.lock_seconds),
        _together(met.together - 1),
        tuple(_repeated(cause, times) for cause, times in Counter(met.repeats).items()),
    )


def _milliseconds(seconds: float) -> str:
    whole = round(seconds * 1_000)
    return _("%(count)s ms", count=number(whole)) if whole else _("less than 1 ms")


def _together(others: int) -> str:
    if others == 0:
        return _("This order alone")
    return ngettext("This order and %(count)s other", "This order and %(count)s others", others, count=number(others))


def _repeated(cause: str, times: int) -> str:
    why = str(CAUSES.get(cause) or cause)
    return ngettext("Once: %(why)s.", "%(count)s times: %(why)s.", times, count=number(times), why=why)
