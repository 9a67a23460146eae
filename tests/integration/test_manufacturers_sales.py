"""Messages -> ledger: each once, whatever the broker does; what can never be applied is poison (C1 to C3)."""

import copy
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client import CollectorRegistry, Counter

import broker
from broker.contract import MONTH_CLOSED, SALE_RECORDED, STOCK_DEPLETED, Carrier, Handler, Message, Poison
from manufacturers.ledger import Books, EventRefused, Product
from manufacturers.messages import InvalidMessage
from manufacturers.sales_consumer import Intake
from settings import Runtime
from settings.secrets import write_owner_only
from tests.conftest import INSTALLATION, BrokerNode, free_port
from tests.manufacturers_world import Factory, make_runtime, rows

AT = "2026-01-02T03:04:05Z"


def sale(order_id: int = 1, sku: str = "A", quantity: int = 2, month: int = 1, recipient: str = "m1") -> Message:
    line = {"sku": sku, "quantity": quantity, "price_minor": 5, "currency": "GBP"}
    body = {"order_id": order_id, "month": month, "lines": [line], "recorded_at": AT}
    return Message(uuid.uuid4(), SALE_RECORDED, recipient, body)


def closed(month: int, sold: int, sku: str = "A") -> Message:
    totals = [{"sku": sku, "supplied": 9, "sold": sold, "unsold": 9 - sold}]
    return Message(
        uuid.uuid4(), MONTH_CLOSED, "m1", {"month": month, "reason": "finished", "totals": totals, "closed_at": AT}
    )


def changed(message: Message, **fields: Any) -> Message:
    return Message(message.id, message.type, message.recipient, copy.deepcopy(message.body) | fields)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    opened = Books(tmp_path / "m1.sqlite", "m1", "Alder & Finch", [Product("A", "Axe", 5, "GBP", 9)])
    yield opened
    opened.close()


@pytest.fixture
def events() -> Counter:
    return Counter("events", "for the test", ["type", "outcome"], registry=CollectorRegistry())


@pytest.fixture
def apply(books: Books, events: Counter) -> Handler:
    return Intake({"m1": books}, events, lambda _code, _sku: None).one


def test_a_sale_counts_once_however_often_it_comes(apply: Handler, books: Books, events: Counter) -> None:
    """C1, L5."""
    one, other = sale(1), sale(2, quantity=3)
    for message in (one, other, one, one, other):
        apply(message)
    report = books.report()
    assert report["events_applied"] == 2
    assert report["products"][0]["sold"] == 5
    assert events.labels(SALE_RECORDED, "applied")._value.get() == 2
    assert events.labels(SALE_RECORDED, "duplicate")._value.get() == 3


def test_what_came_together_is_taken_in_together_or_not_at_all(books: Books, events: Counter) -> None:
    """C1, L5: also a message that came twice; one that is wrong leaves no trace of the others."""
    intake = Intake({"m1": books}, events, lambda _code, _sku: None)
    one, other = sale(1), sale(2, quantity=3)
    with pytest.raises(InvalidMessage):
        intake.many([one, sale(sku="UNKNOWN")])
    with pytest.raises(EventRefused):
        intake.many([one, changed(one, order_id=7)])
    assert books.report()["events_applied"] == 0
    intake.many([one, other, one])
    intake.many([other])
    assert books.report()["products"][0]["sold"] == 5
    assert events.labels(SALE_RECORDED, "applied")._value.get() == 2
    assert events.labels(SALE_RECORDED, "duplicate")._value.get() == 2


def test_the_same_id_with_another_content_is_poison(apply: Handler, books: Books) -> None:
    message = sale(1)
    apply(message)
    with pytest.raises(Poison, match="another content"):
        apply(changed(message, order_id=2))
    with pytest.raises(Poison, match="another content"):
        apply(Message(message.id, STOCK_DEPLETED, "m1", {"month": 1, "sku": "A", "at": AT}))
    assert books.report()["products"][0]["sold"] == 2


@pytest.mark.parametrize(
    "bad",
    [
        sale(quantity=-1),
        sale(quantity=10**30),
        sale(quantity=float("nan")),  # type: ignore[arg-type]
        sale(sku="UNKNOWN"),
        sale(recipient="m2"),
        changed(sale(), lines=[]),
        Message(uuid.uuid4(), "sale.rumoured", "m1", {}),
    ],
)
def test_what_can_never_be_applied_is_poison_and_changes_nothing(
    apply: Handler, books: Books, events: Counter, bad: Message
) -> None:
    """C2."""
    with pytest.raises(Poison):
        apply(bad)
    assert books.report()["events_applied"] == 0
    kind = bad.type if bad.type == SALE_RECORDED else "unknown"
    assert events.labels(kind, "poison")._value.get() == 1


def test_effects_commute(apply: Handler, books: Books) -> None:
    """Before the offer is accepted, after the close, in a month without an offer: a sale is a sale."""
    apply(closed(3, sold=4))
    apply(sale(1, month=3))
    assert books.report()["months"][0]["drift"] == [{"sku": "A", "own_sold": 2, "told_sold": 4}]
    apply(sale(2, month=3))
    (month,) = books.report()["months"]
    assert month == {
        "month": 3,
        "offer": None,
        "closed": True,
        "reason": "finished",
        "sold_units": 4,
        "unsold_units": 5,
        "drift": [],
    }


def test_a_month_is_closed_once(apply: Handler, books: Books) -> None:
    first = closed(1, sold=0)
    apply(first)
    apply(first)
    with pytest.raises(Poison, match="part 1 of the end of month 1 was told before"):
        apply(closed(1, sold=1))
    assert books.report()["months"][0]["unsold_units"] == 9


def test_a_depleted_good_is_made_known_once(books: Books, events: Counter) -> None:
    told: list[tuple[str, str]] = []
    handler = Intake({"m1": books}, events, lambda code, sku: told.append((code, sku))).one
    message = Message(uuid.uuid4(), STOCK_DEPLETED, "m1", {"month": 1, "sku": "A", "at": AT})
    handler(message)
    handler(message)
    assert told == [("m1", "A")]


def test_a_ledger_that_is_busy_leaves_the_message_with_the_broker(
    apply: Handler, books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C3: the error is not Poison, and the next delivery is applied."""
    books._connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "m1.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    message = sale()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        apply(message)
    other.execute("ROLLBACK")
    other.close()
    apply(message)
    assert books.report()["events_applied"] == 1


class Wire(NamedTuple):
    """How a manufacturer's process and the test reach the same broker."""

    carrier: Carrier
    factory: Factory


@pytest.fixture(params=["postgres", "rabbitmq"])
def wire(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wire]:
    """A manufacturer (not started yet) on each of the two carriers; on RabbitMQ as a user of its own."""
    goods = {"count": 1, "units_per_month": 0, "products_per_manufacturer": 2}
    if request.param == "postgres":
        database_url = request.getfixturevalue("database_url")
        runtime = make_runtime(tmp_path, free_port(), database_url, manufacturers=goods)
    else:
        node: BrokerNode = request.getfixturevalue("rabbitmq_node")
        url = f"amqp://127.0.0.1:{node.port}/%2F"
        runtime = make_runtime(tmp_path, free_port(), broker_url=url, manufacturers=goods)
        theirs = {"installation_id": INSTALLATION, "broker_passwords": node.passwords}
        write_owner_only(tmp_path / "secrets.json", runtime.secrets.model_dump() | theirs)
        runtime = Runtime.read(tmp_path)
    carrier = broker.connect(runtime, "admin")
    carrier.declare(["m1"])
    factory = Factory(runtime)
    yield Wire(carrier, factory)
    factory.kill()


def test_a_running_manufacturer_hears_of_sales_over_the_broker(wire: Wire, wait_until: Callable[..., None]) -> None:
    """The whole way; duplicates and poison on it; and what was sent while it was down."""
    carrier, factory = wire
    factory.start_ready(wait_until)
    sku = factory.signed("GET", "/api/v1/stock").json()["items"][0]["sku"]
    first, second, poison = sale(1, sku), sale(2, sku), sale(3, "UNKNOWN")
    publisher = broker.connect(factory.runtime, "relay").publisher()
    sent = publisher.publish([first, poison, second, first])
    assert set(sent.values()) == {None}

    def applied() -> int:
        return int(factory.signed("GET", "/api/v1/ledger").json()["events_applied"])

    wait_until(lambda: applied() == 2, 20, "two sales are applied")
    wait_until(lambda: carrier.depth(["m1"]) == {"m1": 0}, 20, "nothing is left")
    (letter,) = carrier.dead_letters(["m1"])
    assert letter.message_id == str(poison.id)
    assert "UNKNOWN" in letter.reason
    assert factory.end() == 0
    publisher.publish([second, sale(4, sku, 7)])
    publisher.close()
    factory.start_ready(wait_until)
    wait_until(lambda: applied() == 3, 20, "what was sent in the meantime is applied")
    assert rows(factory.ledger(), "SELECT sum(quantity), count(DISTINCT order_id) FROM sale_line") == [(11, 3)]
