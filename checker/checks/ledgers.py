"""P4: after a drain each manufacturer's ledger equals the distributor's, unit for unit, message for message."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from checker.checks.events import SALE_RECORDED, Pruned, sold_lines
from checker.evidence import Evidence, Row
from checker.verdict import Check, Verdict, conclude


def every_event_was_applied_once(evidence: Evidence) -> Check:
    """Events in the outbox = events in the ledgers, per manufacturer, but for what was pruned since.

    Without a drain, what is missing is unknown.
    """
    sent: dict[str, set[str]] = defaultdict(set)
    for event in evidence.database["outbox"]:
        sent[event["manufacturer"]].add(str(event["event_id"]))
    pruned = Pruned.of(evidence)
    gone = {
        (code, str(row["event_id"]))
        for code, ledger in evidence.ledgers.items()
        for row in ledger["event"]
        if _is_of(json.loads(row["body"]), pruned)
    }
    applied = {code: [str(row["event_id"]) for row in ledger["event"]] for code, ledger in evidence.ledgers.items()}
    missing = [
        f"{code}: event {event} never reached its ledger"
        for code in sorted(sent)
        for event in sorted(sent[code] - set(applied.get(code, [])))
    ]
    wrong = [
        f"{code}: event {event} was applied {count} times, sent {int(event in sent[code])} times"
        for code, events in sorted(applied.items())
        for event, count in Counter(events).items()
        if count > 1 or (event not in sent[code] and (code, event) not in gone)
    ]
    looked_at = f"{sum(len(events) for events in sent.values())} events to {len(sent)} manufacturers"
    name = "every event was applied exactly once (P4)"
    if wrong or evidence.drained:
        return conclude(name, looked_at, wrong + missing)
    reason = evidence.run.get("drain_reason") or "the run was not drained"
    return conclude(name, f"{looked_at}; {reason}", missing, otherwise=Verdict.UNKNOWN)


def _is_of(body: Row, pruned: Pruned) -> bool:
    """Whether an event tells of an order or a month whose events are gone from the outbox."""
    return body["order_id"] in pruned.orders if "order_id" in body else body["month"] in pruned.months


def both_ledgers_agree_on_sales(evidence: Evidence) -> Check:
    """Order by order: the manufacturer's sale lines are the distributor's order lines, for every event that arrived."""
    sold = sold_lines(evidence)
    arrived = {str(row["event_id"]) for ledger in evidence.ledgers.values() for row in ledger["event"]}
    pending = {
        (event["body"]["order_id"], event["manufacturer"])
        for event in evidence.database["outbox"]
        if event["type"] == SALE_RECORDED and str(event["event_id"]) not in arrived
    }
    booked: dict[tuple[int, str], Counter[tuple[str, int, int]]] = defaultdict(Counter)
    for code, ledger in evidence.ledgers.items():
        for line in ledger["sale_line"]:
            booked[(line["order_id"], code)][(line["sku"], line["price_minor"], line["month"])] += line["quantity"]

    def faults() -> Iterator[str]:
        for identity in sorted((sold.keys() | booked.keys()) - pending):
            here, there = sold.get(identity, Counter()), booked.get(identity, Counter())
            if here != there:
                yield f"order {identity[0]}, {identity[1]}: distributor {dict(here)}, manufacturer {dict(there)}"

    units = sum(sum(lines.values()) for lines in booked.values())
    return conclude("both ledgers agree on sales (P4)", f"{len(booked)} sales, {units} units", faults())


def both_ledgers_agree_on_supplies(evidence: Evidence) -> Check:
    """What the distributor booked for a month is what the manufacturer offered for it; accepted on both sides alike."""
    offered = _offers(evidence)
    booked, states = _supplies(evidence)

    def faults() -> Iterator[str]:
        for identity, lines in sorted(booked.items()):
            state, there = offered.get(identity, ("none", Counter()))
            month, code = identity
            if state not in ("offered", "accepted") and states[identity] != "refused":
                yield f"month {month}, {code}: booked by the distributor, but its offer is {state}"
            elif states[identity] != "refused" and lines != there:
                yield f"month {month}, {code}: booked {dict(lines - there)} more, {dict(there - lines)} less than offered"
        for (month, code), (state, _) in sorted(offered.items()):
            if state == "accepted" and (month, code) not in booked:
                yield f"month {month}, {code}: accepted by the manufacturer, but not booked"

    pending = [identity for identity, state in states.items() if state == "pending" and evidence.drained]
    check = conclude("both ledgers agree on supplies (P4)", f"{len(booked)} supplies", faults())
    if check.verdict is Verdict.VALID and pending:
        waiting = (f"month {month}, {code}: booked, not yet accepted" for month, code in sorted(pending))
        return conclude(check.name, f"{len(booked)} supplies", waiting, otherwise=Verdict.UNKNOWN)
    return check


def production_is_conserved(evidence: Evidence) -> Check:
    """produced = in stock + units in offers that are offered or accepted, less what came back; per manufacturer and product."""

    def faults() -> Iterator[str]:
        for code, ledger in sorted(evidence.ledgers.items()):
            live = {row["month"] for row in ledger["offer"] if row["state"] in ("offered", "accepted")}
            out: Counter[str] = Counter()
            for line in ledger["offer_line"]:
                if line["month"] in live:
                    out[line["sku"]] += line["quantity"]
            for row in ledger["product"]:
                held = row["in_stock"] + out[row["sku"]] - row.get("returned", 0)
                if row["produced"] != held:
                    yield f"{code}, {row['sku']}: produced {row['produced']}, in stock and offered {held}"

    products = sum(len(ledger["product"]) for ledger in evidence.ledgers.values())
    return conclude(
        "production is conserved", f"{products} products of {len(evidence.ledgers)} manufacturers", faults()
    )


def _offers(evidence: Evidence) -> dict[tuple[int, str], tuple[str, Counter[str]]]:
    """(month, code) -> state and units per sku, from the frozen offer itself."""
    result: dict[tuple[int, str], tuple[str, Counter[str]]] = {}
    for code, ledger in evidence.ledgers.items():
        for offer in ledger["offer"]:
            content = json.loads(offer["content"])
            units = Counter({item["sku"]: item["quantity"] for item in content["items"]})
            result[(offer["month"], code)] = (offer["state"], units)
    return result


def _supplies(evidence: Evidence) -> tuple[dict[tuple[int, str], Counter[str]], dict[tuple[int, str], str]]:
    """(month, code) -> units per sku as booked, and whether accepted, refused or pending."""
    codes = {row["id"]: row["code"] for row in evidence.database["manufacturer"]}
    skus = {row["id"]: row["sku"] for row in evidence.database["product"]}
    sku_of = {row["id"]: skus[row["product_id"]] for row in evidence.database["stock"]}
    identity = {row["id"]: (row["month"], codes[row["manufacturer_id"]]) for row in evidence.database["supply"]}
    booked: dict[tuple[int, str], Counter[str]] = {pair: Counter() for pair in identity.values()}
    for line in evidence.database["supply_line"]:
        booked[identity[line["supply_id"]]][sku_of[line["stock_id"]]] += line["quantity"]
    return booked, {identity[row["id"]]: _state(row) for row in evidence.database["supply"]}


def _state(supply: Row) -> str:
    if supply["refused_at"] is not None:
        return "refused"
    return "pending" if supply["accepted_at"] is None else "accepted"
