"""The checker is tested with hand-made runs: one that is right, and one broken copy for each thing it must catch."""

import copy
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from checker.evidence import Evidence
from checker.judgement import CHECKS, judge_evidence
from checker.verdict import Verdict

SALE = str(uuid.UUID(int=1))
CLOSED = str(uuid.UUID(int=2))


SALE_BODY = {
    "order_id": 1,
    "month": 1,
    "lines": [{"sku": "LAMP", "quantity": 3, "price_minor": 250, "currency": "GBP"}],
}
CLOSED_BODY = {
    "month": 1,
    "reason": "finished",
    "totals": [{"sku": "LAMP", "supplied": 10, "sold": 3, "unsold": 7}],
}
OFFER = {"items": [{"sku": "LAMP", "quantity": 10}]}
ON_THE_DAY = "2026-01-01 10:00:"


def row(names: str, *values: Any) -> dict[str, Any]:
    return dict(zip(names.split(), values, strict=True))


def good_run() -> Evidence:
    """One manufacturer, 10 lamps supplied, one order of 3, one refused key, the month closed, all told and applied."""
    return Evidence(
        run={"drained": True}, database=good_database(), ledgers={"m1": good_ledger()}, history=good_history()
    )


def good_database() -> dict[str, list[dict[str, Any]]]:
    stock = row(
        "id product_id manufacturer_id price_minor currency supplied withdrawn sold", 7, 1, 1, 250, "GBP", 10, 0, 3
    )
    month = row("number state reason", 1, "closed", "finished")
    month |= row("gathering_at closing_at closed_at", f"{ON_THE_DAY}00", f"{ON_THE_DAY}30", f"{ON_THE_DAY}31")
    order = row("id customer_id idempotency_key month total_minor currency", 1, 5, "k1", 1, 750, "GBP")
    event = "event_id type manufacturer body published_at"
    return {
        "manufacturer": [row("id code", 1, "m1")],
        "product": [row("id sku", 1, "LAMP")],
        "stock": [stock],
        "month": [month],
        "supply": [row("id manufacturer_id month accepted_at refused_at", 1, 1, 1, f"{ON_THE_DAY}00", None)],
        "supply_line": [row("supply_id stock_id quantity withdrawn", 1, 7, 10, 0)],
        "orders": [order | row("strategy created_at", "row_lock", f"{ON_THE_DAY}10")],
        "order_line": [row("order_id stock_id quantity price_minor", 1, 7, 3, 250)],
        "charge": [row("id order_id amount_minor currency", 1, 1, 750, "GBP")],
        "idempotency_key": [
            row("customer_id key status order_id", 5, "k1", 201, 1),
            row("customer_id key status order_id", 6, "k2", 409, None),
        ],
        "outbox": [
            row(event, SALE, "sale.recorded", "m1", copy.deepcopy(SALE_BODY), f"{ON_THE_DAY}11"),
            row(event, CLOSED, "month.closed", "m1", copy.deepcopy(CLOSED_BODY), f"{ON_THE_DAY}32"),
        ],
    }


def good_ledger() -> dict[str, list[dict[str, Any]]]:
    return {
        "product": [row("sku produced in_stock", "LAMP", 12, 2)],
        "offer": [row("month state content", 1, "accepted", json.dumps(OFFER))],
        "offer_line": [row("month sku quantity", 1, "LAMP", 10)],
        "event": [
            row("event_id type body", SALE, "sale.recorded", json.dumps(SALE_BODY)),
            row("event_id type body", CLOSED, "month.closed", json.dumps(CLOSED_BODY)),
        ],
        "sale_line": [row("event_id order_id month sku quantity price_minor", SALE, 1, 1, "LAMP", 3, 250)],
        "month_total": [],
        "month_closed": [],
    }


def good_history() -> list[dict[str, Any]]:
    return [
        invoke(0, 5, "k1", [[7, 3]]),
        {"op": "order", "type": "info", "index": 0, "key": "k1", "status": 502},
        invoke(1, 5, "k1", [[7, 3]]),
        {"op": "order", "type": "ok", "index": 1, "key": "k1", "status": 201, "order_id": 1, "total_minor": 750},
        invoke(2, 6, "k2", [[7, 99]]),
        {"op": "order", "type": "fail", "index": 2, "key": "k2", "status": 409},
    ]


def invoke(index: int, customer: int, key: str, lines: list[list[int]]) -> dict[str, Any]:
    return {"op": "order", "type": "invoke", "index": index, "customer_id": customer, "key": key, "lines": lines}


def verdicts(evidence: Evidence) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in judge_evidence(evidence).checks}


def test_a_right_run_is_valid_and_every_check_ran() -> None:
    judgement = judge_evidence(good_run())
    assert judgement.verdict is Verdict.VALID, [check for check in judgement.checks if check.verdict != "valid"]
    assert len(judgement.checks) == len(CHECKS)
    assert judgement.exit_code == 0


def test_events_that_were_pruned_are_not_missed_younger_ones_are() -> None:
    """distributor/retention, R2: all from before ``up_to`` may be gone, nothing after it."""
    evidence = good_run()
    evidence.database["outbox"].clear()
    evidence.database["pruned"] = [row("kind up_to", "outbox", f"{ON_THE_DAY}32")]
    assert judge_evidence(evidence).verdict is Verdict.VALID
    evidence.database["pruned"][0]["up_to"] = f"{ON_THE_DAY}05"
    missed = {name for name, verdict in verdicts(evidence).items() if verdict is Verdict.INVALID}
    assert missed == {
        "every sale is told exactly once",
        "every closed month is told exactly once",
        "every event was applied exactly once (P4)",
    }


def in_parts(*numbers: int, parts: int) -> list[dict[str, Any]]:
    """The month's end told in parts; the first one has all totals."""
    event = "event_id type manufacturer body published_at"
    return [
        row(event, f"part-{number}", "month.closed", "m1", body, f"{ON_THE_DAY}32")
        for number in numbers
        for body in [CLOSED_BODY | {"part": number, "parts": parts} | ({"totals": []} if number > 1 else {})]
    ]


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        (in_parts(2, 1, parts=2), Verdict.VALID),
        (in_parts(1, parts=2), Verdict.INVALID),
        (in_parts(1, 1, parts=2), Verdict.INVALID),
        (in_parts(1, 2, parts=3), Verdict.INVALID),
        (in_parts(2, parts=2), Verdict.INVALID),
    ],
)
def test_a_month_may_be_told_in_parts_if_all_are_told(told: list[dict[str, Any]], verdict: Verdict) -> None:
    evidence = good_run()
    evidence.database["outbox"][1:] = told
    assert verdicts(evidence)["every closed month is told exactly once"] is verdict


Break = Callable[[Evidence], object]


def order(evidence: Evidence) -> dict[str, Any]:
    return evidence.database["orders"][0]


BROKEN: list[tuple[str, str, Break]] = [
    (
        "lost update on the sold counter",
        "the sold counter is what was ordered",
        lambda e: e.database["stock"][0].update(sold=2),
    ),
    ("oversold", "never sold more than supplied (P1)", lambda e: e.database["supply_line"][0].update(quantity=2)),
    ("negative stock", "stock counters add up", lambda e: e.database["stock"][0].update(supplied=1)),
    (
        "quantity set instead of added",
        "the supplied counter is what was booked",
        lambda e: e.database["stock"][0].update(supplied=20),
    ),
    ("acknowledged order lost", "acknowledged orders exist exactly once (P2)", lambda e: e.database["orders"].clear()),
    (
        "acknowledged with another total",
        "acknowledged orders exist exactly once (P2)",
        lambda e: e.history[3].update(total_minor=1),
    ),
    (
        "booked other lines than asked",
        "acknowledged orders exist exactly once (P2)",
        lambda e: [begun.update(lines=[[7, 4]]) for begun in e.history[0:3:2]],
    ),
    (
        "refused order exists",
        "refused orders do not exist (P2)",
        lambda e: e.database["orders"].append(order(e) | {"id": 2, "customer_id": 6, "idempotency_key": "k2"}),
    ),
    (
        "order out of nothing",
        "no order that nobody asked for (P2)",
        lambda e: e.database["orders"].append(order(e) | {"id": 2, "idempotency_key": "k9"}),
    ),
    (
        "two orders for one key",
        "no order that nobody asked for (P2)",
        lambda e: e.database["orders"].append(order(e) | {"id": 2}),
    ),
    (
        "a key with two answers",
        "the same key gets the same answer (P3)",
        lambda e: e.history.extend(
            [invoke(3, 5, "k1", [[7, 3]]), {"op": "order", "type": "fail", "index": 3, "key": "k1", "status": 409}]
        ),
    ),
    (
        "stored answer of another order",
        "the same key gets the same answer (P3)",
        lambda e: e.database["idempotency_key"][0].update(order_id=4),
    ),
    (
        "order after the month closed",
        "orders lie within their month",
        lambda e: order(e).update(created_at="2026-01-01 10:00:30.5"),
    ),
    ("total is not the sum", "order totals add up", lambda e: e.database["order_line"][0].update(price_minor=251)),
    (
        "charged twice",
        "each order is charged exactly once (P2)",
        lambda e: e.database["charge"].append(e.database["charge"][0] | {"id": 2}),
    ),
    (
        "charged without an order",
        "each order is charged exactly once (P2)",
        lambda e: e.database["charge"].append(e.database["charge"][0] | {"id": 2, "order_id": 9}),
    ),
    (
        "sale told twice",
        "every sale is told exactly once",
        lambda e: e.database["outbox"].append(e.database["outbox"][0] | {"event_id": str(uuid.UUID(int=3))}),
    ),
    ("sale never told", "every sale is told exactly once", lambda e: e.database["outbox"].pop(0)),
    ("month end never told", "every closed month is told exactly once", lambda e: e.database["outbox"].pop(1)),
    (
        "month end told with a wrong total",
        "every closed month is told exactly once",
        lambda e: e.database["outbox"][1]["body"]["totals"][0].update(sold=4),
    ),
    ("event lost on the way", "every event was applied exactly once (P4)", lambda e: e.ledgers["m1"]["event"].pop()),
    (
        "event applied that nobody sent",
        "every event was applied exactly once (P4)",
        lambda e: e.ledgers["m1"]["event"].append(
            {"event_id": "x", "type": "sale.recorded", "body": json.dumps(SALE_BODY)}
        ),
    ),
    (
        "sale applied twice",
        "both ledgers agree on sales (P4)",
        lambda e: e.ledgers["m1"]["sale_line"].append(e.ledgers["m1"]["sale_line"][0]),
    ),
    (
        "supply booked that was released",
        "both ledgers agree on supplies (P4)",
        lambda e: e.ledgers["m1"]["offer"][0].update(state="released"),
    ),
    (
        "supply accepted but never booked",
        "both ledgers agree on supplies (P4)",
        lambda e: e.database.update(supply=[], supply_line=[]),
    ),
    (
        "units out of nothing at the manufacturer",
        "production is conserved",
        lambda e: e.ledgers["m1"]["product"][0].update(in_stock=5),
    ),
]


@pytest.mark.parametrize(("fault", "check", "break_it"), BROKEN, ids=[fault for fault, _, _ in BROKEN])
def test_each_broken_run_is_found_invalid_by_the_check_for_it(fault: str, check: str, break_it: Break) -> None:
    evidence = copy.deepcopy(good_run())
    break_it(evidence)
    assert verdicts(evidence)[check] is Verdict.INVALID, fault
    assert judge_evidence(evidence).exit_code == 1
    found = next(found for found in judge_evidence(evidence).checks if found.name == check)
    assert found.evidence, "an invalid verdict names its evidence"


def test_events_that_are_still_on_their_way_make_the_verdict_unknown_not_invalid() -> None:
    evidence = copy.deepcopy(good_run())
    evidence.run.update(drained=False, drain_reason="the driver was stopped")
    evidence.ledgers["m1"]["event"].pop(0)
    evidence.ledgers["m1"]["sale_line"].clear()
    judgement = judge_evidence(evidence)
    assert judgement.verdict is Verdict.UNKNOWN
    assert judgement.exit_code == 2


def test_a_run_that_was_broken_off_is_never_valid_however_right_its_books_are() -> None:
    """All that was sent may have arrived by the moment of the interruption."""
    evidence = copy.deepcopy(good_run())
    evidence.run.update(drained=False, drain_reason="stopped by the user")
    judgement = judge_evidence(evidence)
    assert judgement.exit_code == 2
    assert [check.summary for check in judgement.checks if check.verdict is not Verdict.VALID] == [
        "it did not: stopped by the user"
    ]


def test_an_open_key_may_or_may_not_have_become_an_order() -> None:
    """I5: an indefinite attempt is no promise either way."""
    evidence = copy.deepcopy(good_run())
    del evidence.history[2:4]
    assert judge_evidence(evidence).verdict is Verdict.VALID
    evidence.history.append(invoke(9, 6, "k9", [[7, 1]]))
    assert judge_evidence(evidence).verdict is Verdict.VALID


def test_a_refusal_on_the_way_does_not_settle_an_earlier_unknown_attempt() -> None:
    """A 503 of the load balancer after a timeout says nothing of the first attempt: an order may exist."""
    evidence = copy.deepcopy(good_run())
    evidence.history[3] = {"op": "order", "type": "fail", "index": 1, "key": "k1", "status": 503}
    assert judge_evidence(evidence).verdict is Verdict.VALID


def test_evidence_of_another_form_is_unknown() -> None:
    evidence = copy.deepcopy(good_run())
    del evidence.database["charge"]
    assert verdicts(evidence)["charged exactly once"] is Verdict.UNKNOWN
    assert judge_evidence(evidence).exit_code == 2
