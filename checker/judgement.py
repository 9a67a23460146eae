"""Runs every check over a run folder and merges their verdicts: one invalid makes it invalid, else one unknown unknown."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checker import evidence as books
from checker.checks import ending, events, holds, ledgers, money, orders, stock
from checker.evidence import Evidence, EvidenceMissing
from checker.verdict import Check, Verdict

__all__ = ["CHECKS", "Check", "Judgement", "Verdict", "judge", "judge_evidence"]

CHECKS: tuple[Callable[[Evidence], Check], ...] = (
    stock.counters_add_up,
    stock.sold_is_what_was_ordered,
    stock.never_sold_more_than_supplied,
    stock.supplied_is_what_was_booked,
    holds.held_is_there,
    holds.holds_keep_to_their_limits,
    holds.what_was_held_was_not_refused,
    orders.acknowledged_orders_exist_once,
    orders.refused_orders_do_not_exist,
    orders.no_order_was_never_asked_for,
    orders.same_key_same_answer,
    orders.orders_lie_within_their_month,
    money.totals_add_up,
    money.charged_exactly_once,
    events.every_sale_is_told_once,
    events.every_closed_month_is_told_once,
    ledgers.every_event_was_applied_once,
    ledgers.both_ledgers_agree_on_sales,
    ledgers.both_ledgers_agree_on_supplies,
    ledgers.production_is_conserved,
    ending.the_run_came_to_its_end,
)


@dataclass(frozen=True)
class Judgement:
    """The verdict on a run and the checks that led to it."""

    verdict: Verdict
    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """0 valid, 1 invalid, 2 unknown (the design's section 5)."""
        return {Verdict.VALID: 0, Verdict.INVALID: 1, Verdict.UNKNOWN: 2}[self.verdict]


def judge(run_dir: Path) -> Judgement:
    """Judge the recorded run; evidence that cannot be read makes the verdict unknown."""
    try:
        return judge_evidence(books.read(run_dir))
    except EvidenceMissing as error:
        return Judgement(Verdict.UNKNOWN, (Check("evidence", Verdict.UNKNOWN, str(error)),))


def judge_evidence(evidence: Evidence) -> Judgement:
    checks = tuple(_run(check, evidence) for check in CHECKS)
    verdicts = {check.verdict for check in checks}
    worst = next((v for v in (Verdict.INVALID, Verdict.UNKNOWN) if v in verdicts), Verdict.VALID)
    return Judgement(worst, checks)


def _run(check: Callable[[Evidence], Check], evidence: Evidence) -> Check:
    """Evidence of another shape than expected is evidence that could not be read."""
    try:
        return check(evidence)
    except (KeyError, TypeError, ValueError) as error:
        name = check.__name__.replace("_", " ")
        return Check(name, Verdict.UNKNOWN, f"the evidence has another form than expected: {error!r}")
