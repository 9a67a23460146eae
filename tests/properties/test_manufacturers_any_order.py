"""Whatever happens in whatever order, no unit is made, lost or counted twice (L1 to L6 of manufacturers/ledger)."""

import hashlib
import json
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broker.contract import MONTH_CLOSED, SALE_RECORDED, Message
from manufacturers.ledger import Books, EventRefused, OfferRefused, Product
from manufacturers.messages import check
from tests.manufacturers_world import assert_conserved, rows

SKUS = ("A", "B", "C")
AT = "2026-01-02T03:04:05Z"
skus = st.sampled_from(SKUS)
units = st.integers(1, 50)
months = st.integers(1, 8)
event_ids = st.integers(1, 10).map(lambda number: uuid.UUID(int=number))


class Manufacturer(RuleBasedStateMachine):
    """The ledger beside a model of a few dictionaries."""

    @initialize(initial=st.lists(st.integers(0, 20), min_size=3, max_size=3))
    def open_ledger(self, initial: list[int]) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "m1.sqlite"
        self.products = [
            Product(sku, f"Good {sku}", 100, "GBP", first) for sku, first in zip(SKUS, initial, strict=True)
        ]
        self.books = Books(self.path, "m1", "Alder & Finch", self.products)
        self.produced = dict(zip(SKUS, initial, strict=True))
        self.stock = dict(self.produced)
        self.offers: dict[int, tuple[str, str]] = {}
        self.events: dict[uuid.UUID, Message] = {}
        self.closed: dict[int, dict[str, Any]] = {}

    @rule(made=st.dictionaries(skus, units, min_size=1))
    def produce(self, made: dict[str, int]) -> None:
        self.books.produce(made)
        for sku, number in made.items():
            self.produced[sku] += number
            self.stock[sku] += number

    @rule(month=months)
    def ask(self, month: int) -> None:
        state, frozen = self.offers.get(month, (None, None))
        past = state is None and any(other > month for other in self.offers)
        if state == "released" or past:
            with pytest.raises(OfferRefused):
                self.books.offer(month)
            return
        content, made_now = self.books.offer(month)
        assert made_now == (state is None)
        if state is not None:
            assert content == frozen  # L3
            return
        for other, (other_state, other_content) in self.offers.items():
            if other_state == "offered":
                self.offers[other] = ("released", other_content)
                for sku, number in quantities(other_content).items():
                    self.stock[sku] += number
        assert quantities(content) == {sku: number for sku, number in self.stock.items() if number}
        self.stock = dict.fromkeys(SKUS, 0)
        self.offers[month] = ("offered", content)

    @rule(month=months, right=st.booleans())
    def accept(self, month: int, right: bool) -> None:
        state, content = self.offers.get(month, (None, ""))
        sha256 = hashlib.sha256(content.encode()).hexdigest() if right else "0" * 64
        if right and state in {"offered", "accepted"}:
            self.books.accept(month, sha256)
            self.offers[month] = ("accepted", content)
        else:
            with pytest.raises(OfferRefused):
                self.books.accept(month, sha256)

    @rule(event_id=event_ids, month=months, sold=st.dictionaries(skus, units, min_size=1))
    def sale(self, event_id: uuid.UUID, month: int, sold: dict[str, int]) -> None:
        """A new sale, or another one under an id that is known."""
        lines = [{"sku": sku, "quantity": number, "price_minor": 5, "currency": "GBP"} for sku, number in sold.items()]
        body = {"order_id": 1, "month": month, "lines": lines, "recorded_at": AT}
        self.deliver(Message(event_id, SALE_RECORDED, "m1", body))

    @rule(event_id=event_ids, month=months, sold=st.dictionaries(skus, units))
    def close(self, event_id: uuid.UUID, month: int, sold: dict[str, int]) -> None:
        totals = [{"sku": sku, "supplied": 99, "sold": number, "unsold": 1} for sku, number in sold.items()]
        body = {"month": month, "reason": "finished", "totals": totals, "closed_at": AT}
        self.deliver(Message(event_id, MONTH_CLOSED, "m1", body))

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def deliver_again(self, data: Any) -> None:
        self.deliver(data.draw(st.sampled_from(list(self.events.values()))))

    def deliver(self, message: Message) -> None:
        event = check(message, "m1", self.books.skus)
        known = self.events.get(message.id)
        closed = self.closed.get(message.body["month"]) if message.type == MONTH_CLOSED else None
        if known == message or (known is None and closed == message.body):
            assert self.books.take_in(event) is False
        elif known is not None or closed is not None:
            with pytest.raises(EventRefused):
                self.books.take_in(event)
        else:
            assert self.books.take_in(event) is True
            self.events[message.id] = message
            if message.type == MONTH_CLOSED:
                self.closed[message.body["month"]] = message.body

    @rule(price=st.integers(1, 500))
    def start_again(self, price: int) -> None:
        """Another price in the catalogue changes no unit; initial units count at the first start only (L6)."""
        self.books.close()
        self.products = [Product(each.sku, each.name, price, "GBP", 20) for each in self.products]
        self.books = Books(self.path, "m1", "Alder & Finch", self.products)

    @invariant()
    def every_unit_is_in_one_place(self) -> None:
        if not hasattr(self, "books"):
            return
        assert_conserved(self.path)
        assert {
            sku: (made, stock) for sku, made, stock in rows(self.path, "SELECT sku, produced, in_stock FROM product")
        } == {sku: (self.produced[sku], self.stock[sku]) for sku in SKUS}
        assert dict(rows(self.path, "SELECT month, state FROM offer")) == {
            month: state for month, (state, _content) in self.offers.items()
        }

    @invariant()
    def the_report_agrees(self) -> None:
        if not hasattr(self, "books"):
            return
        report = self.books.report()
        heard = list(self.events.values())
        sold = [line for each in heard if each.type == SALE_RECORDED for line in each.body["lines"]]
        assert report["events_applied"] == len(heard)
        for product in report["products"]:
            sku = product["sku"]
            out = dict.fromkeys(("offered", "accepted", "released"), 0)
            for state, content in self.offers.values():
                out[state] += quantities(content).get(sku, 0)
            assert (product["offered"], product["accepted"]) == (out["offered"], out["accepted"])
            assert product["sold"] == sum(line["quantity"] for line in sold if line["sku"] == sku)
            assert (
                product["produced"]
                == product["in_stock"] + product["offered"] + product["accepted"] - product["returned"]
            )
        for month in report["months"]:
            assert month["drift"] == self.drift(month["month"])

    def drift(self, month: int) -> list[dict[str, Any]]:
        closes = [each for each in self.events.values() if each.type == MONTH_CLOSED and each.body["month"] == month]
        if not closes:
            return []
        told = {total["sku"]: total["sold"] for total in closes[0].body["totals"]}
        own = dict.fromkeys(SKUS, 0)
        for each in self.events.values():
            if each.type == SALE_RECORDED and each.body["month"] == month:
                for line in each.body["lines"]:
                    own[line["sku"]] += line["quantity"]
        pairs = [(sku, own[sku], told.get(sku, 0)) for sku in SKUS]
        return [{"sku": sku, "own_sold": ours, "told_sold": theirs} for sku, ours, theirs in pairs if ours != theirs]

    def teardown(self) -> None:
        if hasattr(self, "books"):
            self.books.close()
            self.folder.cleanup()


def quantities(content: str) -> dict[str, int]:
    return {item["sku"]: item["quantity"] for item in json.loads(content)["items"]}


TestManufacturer = Manufacturer.TestCase
TestManufacturer.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
