"""What the checker says about holds: a right run, and one broken copy for each thing that it must catch."""

from collections.abc import Callable
from typing import Any

import pytest

from checker.checks.holds import held_is_there, holds_keep_to_their_limits, what_was_held_was_not_refused
from checker.evidence import Evidence
from checker.judgement import judge_evidence
from checker.verdict import Check, Verdict

LIMITS = {"hold_seconds": 60, "hold_extensions_max": 1, "hold_lines_max": 2, "hold_units_max": 5}
REFUSED_AT = "2026-01-01 10:00:10+00:00"


def cart_line(customer: int, stock: int, held: int, seconds_left: float | None, **other: int) -> dict[str, Any]:
    line = {"customer_id": customer, "stock_id": stock, "quantity": max(1, held), "held": held, "holds_begun": 1}
    return line | {"seconds_left": seconds_left} | other


def refusal(customer: int, key: str, *, wanted: int, held: int) -> dict[str, Any]:
    short = [{"stock_id": 7, "wanted": wanted, "available": 0, "in_other_carts": 1, "held": held}]
    return {"customer_id": customer, "key": key, "status": 409, "created_at": REFUSED_AT, "short": short}


def asked(customer: int, key: str, index: int, held: list[list[Any]]) -> list[dict[str, Any]]:
    begun = {"op": "order", "type": "invoke", "index": index, "customer_id": customer, "key": key, "lines": [[7, 2]]}
    return [begun | {"held": held}, {"op": "order", "type": "fail", "index": index, "key": key, "status": 409}]


def right_run() -> Evidence:
    """Five left of stock 7: two and three are held, one hold has ended; two refusals, of more than was held and too late."""
    return Evidence(
        run={"settings": {"cart": dict(LIMITS)}},
        database={
            "stock": [{"id": 7, "supplied": 9, "withdrawn": 0, "sold": 4}, {"id": 8, "supplied": 1, "withdrawn": 0, "sold": 0}],
            "cart_line": [
                cart_line(1, 7, 2, 30.0),
                cart_line(2, 7, 3, 0.5),
                cart_line(2, 8, 1, -3.0),
                cart_line(3, 8, 0, None, quantity=4),
            ],
            "idempotency_key": [
                refusal(1, "k1", wanted=2, held=1),
                refusal(2, "k2", wanted=2, held=0),
                {"customer_id": 3, "key": "k3", "status": 201, "created_at": REFUSED_AT, "short": None},
            ],
        },
        ledgers={},
        history=[
            *asked(1, "k1", 0, [[7, 1, "2026-01-01T10:01:00Z"]]),
            *asked(2, "k2", 1, [[7, 2, "2026-01-01T10:00:09Z"]]),
        ],
    )  # fmt: skip


def lines(evidence: Evidence) -> list[dict[str, Any]]:
    return evidence.database["cart_line"]


def tell(evidence: Evidence, units: int, until: str) -> None:
    evidence.history[2]["held"] = [[7, units, until]]


LIVE = "2026-01-01T10:00:11Z"
JUDGES = (held_is_there, holds_keep_to_their_limits, what_was_held_was_not_refused)
BROKEN: list[tuple[str, Callable[[Evidence], Check], Callable[[Evidence], object]]] = [
    ("one unit more is held than there is", held_is_there, lambda e: lines(e)[1].update(held=4, quantity=4)),
    ("held goods were sold", held_is_there, lambda e: e.database["stock"][0].update(sold=5)),
    ("held goods of no stock row", held_is_there, lambda e: lines(e)[0].update(stock_id=99)),
    ("more held than in the line", holds_keep_to_their_limits, lambda e: lines(e)[0].update(quantity=1)),
    ("held for longer", holds_keep_to_their_limits, lambda e: lines(e)[0].update(seconds_left=61.0)),
    ("begun too often", holds_keep_to_their_limits, lambda e: lines(e)[0].update(holds_begun=3)),
    ("too many units", holds_keep_to_their_limits, lambda e: lines(e)[2].update(held=3, quantity=3, seconds_left=1.0)),
    (
        "too many lines",
        holds_keep_to_their_limits,
        lambda e: lines(e).extend(cart_line(1, stock, 1, 9.0) for stock in (10, 11)),
    ),
    (
        "refused what the shop knew to be held",
        what_was_held_was_not_refused,
        lambda e: e.database["idempotency_key"][0]["short"][0].update(held=2),
    ),
    ("refused what the client was told to be held", what_was_held_was_not_refused, lambda e: tell(e, 2, LIVE)),
]


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.__name__)
def test_a_right_run_is_valid(judge: Callable[[Evidence], Check]) -> None:
    found = judge(right_run())
    assert (found.verdict, found.evidence) == (Verdict.VALID, ())


@pytest.mark.parametrize(("judge", "break_it"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_each_fault_is_found(judge: Callable[[Evidence], Check], break_it: Callable[[Evidence], object]) -> None:
    evidence = right_run()
    break_it(evidence)
    found = judge(evidence)
    assert found.verdict is Verdict.INVALID
    assert found.evidence


def test_what_a_client_was_told_is_judged_only_where_it_decides() -> None:
    """Less was held than it asked for; and goods that were withdrawn, as the shop's own record confirms."""
    evidence = right_run()
    tell(evidence, 1, LIVE)
    assert what_was_held_was_not_refused(evidence).verdict is Verdict.VALID
    tell(evidence, 2, LIVE)
    evidence.database["stock"][0].update(supplied=10, withdrawn=1)
    assert what_was_held_was_not_refused(evidence).verdict is Verdict.VALID


def test_a_run_without_holds_needs_no_carts() -> None:
    """Also one that was recorded before there were any."""
    evidence = right_run()
    del evidence.database["cart_line"]
    evidence.run["settings"]["cart"]["hold_seconds"] = 0
    assert {judge(evidence).verdict for judge in JUDGES} == {Verdict.VALID}
    evidence.run.clear()
    assert {judge(evidence).verdict for judge in JUDGES} == {Verdict.VALID}


def test_carts_that_could_not_be_read_are_unknown() -> None:
    evidence = right_run()
    del evidence.database["cart_line"]
    found = {check.name: check.verdict for check in judge_evidence(evidence).checks}
    assert found["held is there"] is Verdict.UNKNOWN
