"""The gather against manufacturers of all kinds, on a real database. Numbers (R1, S2 …) are those of the modules."""

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event

from distributor import queries
from distributor.database import transaction
from distributor.gather.booking import MonthOver, OfferChanged, book, tasks, withdraw
from distributor.gather.feed import Offer, OfferItem
from tests.distributor_partners import (
    FakePartners,
    answer,
    attempts,
    begin_month,
    cut_off,
    drip,
    endless,
    gather,
    item,
    never,
    redirect,
    serving,
)
from tests.distributor_world import rows, set_month


@pytest.fixture
def fakes() -> Iterator[FakePartners]:
    with serving(FakePartners()) as running:
        yield running


def stock(engine: Engine) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(manufacturer, sku) -> supplied, withdrawn, price."""
    found = rows(
        engine,
        "SELECT manufacturer.code, product.sku, supplied, withdrawn, price_minor FROM stock"
        " JOIN manufacturer ON manufacturer.id = manufacturer_id JOIN product ON product.id = product_id",
    )
    return {(code, sku): (supplied, withdrawn, price) for code, sku, supplied, withdrawn, price in found}


def unsettled(engine: Engine) -> int:
    return int(rows(engine, "SELECT count(*) FROM supply WHERE accepted_at IS NULL AND refused_at IS NULL")[0][0])


def test_offers_are_booked_and_accepted(engine: Engine, fakes: FakePartners) -> None:
    one = fakes.add("m1", item("BIKE", 3), item("CAR", 1, 900_000))
    two = fakes.add("m2", item("BIKE", 4, 199))
    begin_month(engine, fakes)
    assert gather(engine, fakes)
    assert stock(engine) == {("m1", "BIKE"): (3, 0, 250), ("m1", "CAR"): (1, 0, 900_000), ("m2", "BIKE"): (4, 0, 199)}
    assert attempts(engine) == {"m1": ("booked", None), "m2": ("booked", None)}
    assert unsettled(engine) == 0
    assert (list(one.accepted), list(two.accepted)) == ([1], [1])
    assert rows(engine, "SELECT name FROM manufacturer ORDER BY id") == [("Works m1",), ("Works m2",)]
    assert rows(engine, "SELECT count(*) FROM product") == [(2,)]


def test_a_second_gather_of_the_same_month_asks_nobody(engine: Engine, fakes: FakePartners) -> None:
    one = fakes.add("m1", item("BIKE", 3))
    begin_month(engine, fakes)
    assert gather(engine, fakes)
    assert gather(engine, fakes)
    assert one.asked == {"offer 1": 1, "accept 1": 1}
    assert stock(engine) == {("m1", "BIKE"): (3, 0, 250)}


def test_the_next_month_adds_to_what_is_there_and_renews_price_and_name(engine: Engine, fakes: FakePartners) -> None:
    """S3"""
    one = fakes.add("m1", item("BIKE", 3))
    begin_month(engine, fakes)
    gather(engine, fakes)
    set_month(engine, "closed")
    begin_month(engine, fakes, 2)
    one.items = [item("BIKE", 2, 275, name="Better bicycle")]
    assert gather(engine, fakes, 2)
    assert stock(engine) == {("m1", "BIKE"): (5, 0, 275)}
    assert rows(engine, "SELECT name FROM stock") == [("Better bicycle",)]
    with transaction(engine) as connection:
        found = [queries.catalogue(connection, q=q).total for q in ("better", "bike bicycle", "ware")]
    assert found == [1, 1, 0], "it is found by the name that it has now, and by its sku"


def offer_of(month: int, *skus: str) -> Offer:
    return Offer("m1", "Works m1", month, tuple(OfferItem(sku, f"Good {sku}", 1, 250, "GBP") for sku in skus), "0" * 64)


def test_until_its_last_statement_a_booking_locks_no_row_that_customers_buy_from(
    engine: Engine, fakes: FakePartners
) -> None:
    """S8, of an offer with goods that are known and goods that are new."""
    fakes.add("m1")
    begin_month(engine, fakes)
    with transaction(engine) as connection:
        book(connection, offer_of(1, "A", "B"))
    set_month(engine, "closed")
    begin_month(engine, fakes, 2)
    lockable: list[int] = []

    def look(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "stock" in statement:
            lockable.append(len(rows(engine, "SELECT id FROM stock FOR NO KEY UPDATE SKIP LOCKED")))

    with transaction(engine) as connection:
        event.listen(connection, "before_cursor_execute", look)
        book(connection, offer_of(2, "C", "B", "A"))
        assert len(rows(engine, "SELECT id FROM stock FOR NO KEY UPDATE SKIP LOCKED")) == 0
    assert len(lockable) >= 3
    assert set(lockable) == {2}
    assert stock(engine) == {("m1", "A"): (2, 0, 250), ("m1", "B"): (2, 0, 250), ("m1", "C"): (1, 0, 250)}


def test_a_supply_of_goods_that_are_known_writes_no_index(engine: Engine, fakes: FakePartners) -> None:
    """Each row finds room for its new version beside it, or a month of a million offers writes six indexes a row."""
    fakes.add("m1")
    skus = [f"GOOD-{number}" for number in range(500)]
    for month in (1, 2):
        begin_month(engine, fakes, month)
        with transaction(engine) as connection:
            book(connection, offer_of(month, *skus))
        set_month(engine, "closed")
    rows(engine, "SELECT pg_stat_force_next_flush()")
    written = rows(engine, "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'stock'")
    assert [tuple(row) for row in written] == [(500, 500)]


def test_an_empty_offer_is_a_supply_without_lines(engine: Engine, fakes: FakePartners) -> None:
    one = fakes.add("m1")
    begin_month(engine, fakes)
    assert gather(engine, fakes)
    assert attempts(engine) == {"m1": ("empty", None)}
    assert list(one.accepted) == [1]
    assert rows(engine, "SELECT count(*) FROM supply") == [(1,)]
    assert rows(engine, "SELECT count(*) FROM supply_line") == [(0,)]


def good(code: str, **changes: Any) -> bytes:
    content = {"manufacturer": {"code": code, "name": f"Works {code}"}, "month": 1, "items": [item("BIKE")], **changes}
    return json.dumps(content).encode()


BAD = [
    (answer(b"<html>", content_type="text/html"), "refused", "content type must be application/json"),
    (answer(b""), "refused", "the answer is empty"),
    (answer(b"\x00garbage"), "refused", "not JSON"),
    (answer(good("m2")), "refused", "manufacturer.code must be m1: m2"),
    (answer(good("m1", month=2)), "refused", "month must be 1: 2"),
    (answer(good("m1", items=[item("BIKE", -5)])), "refused", "items[0].quantity must be an integer"),
    (answer(gzip.compress(good("m1")), headers={"Content-Encoding": "gzip"}), "unavailable", "a compression"),
    (answer(b" " * 200_000), "unavailable", "more than 100000 bytes"),
    (answer(good("m1"), status=204), "unavailable", "answered 204"),
    (answer(b"", status=500), "unavailable", "answered 500"),
    (answer(b"", status=401), "unavailable", "answered 401"),
    (answer(b"{}", status=409), "refused", "refused: {}"),
    (answer(b"", headers={"X-Long": "x" * 20_000}), "unavailable", ""),
    (redirect, "unavailable", "answered 302"),
    (cut_off, "unavailable", "ClientPayloadError"),
    (endless, "unavailable", "more than 100000 bytes"),
    (never, "timeout", "no complete answer within 4 s"),
    (drip, "timeout", "no complete answer within 4 s"),
]


@pytest.mark.parametrize(("fault", "outcome", "reason"), BAD, ids=[f"{number}" for number in range(len(BAD))])
def test_a_bad_manufacturer_harms_only_itself(
    engine: Engine, fakes: FakePartners, fault: Any, outcome: str, reason: str
) -> None:
    """R1, H1 to H5: the reason is on record, the others are booked, and it all takes no longer than the deadline."""
    fakes.add("m1", fault=fault)
    for number in range(2, 6):
        fakes.add(f"m{number}", item("BIKE"))
    begin_month(engine, fakes)
    deadline = {"deadline_seconds": 4} if outcome == "timeout" else {}  # in which the others surely answer
    started = time.monotonic()
    assert not gather(engine, fakes, **deadline)
    assert time.monotonic() - started < 30  # half as long as the one that never answers keeps silent
    found, why = attempts(engine).pop("m1")
    assert (found, reason in (why or "")) == (outcome, True), why
    assert sorted(code for code, _ in stock(engine)) == ["m2", "m3", "m4", "m5"]


def test_a_dead_manufacturer_is_asked_again_and_booked_when_it_is_back(engine: Engine) -> None:
    fakes = FakePartners()
    with serving(fakes):
        fakes.add("m1", item("BIKE", 3))
        begin_month(engine, fakes)
    assert not gather(engine, fakes)
    assert attempts(engine)["m1"][0] == "unavailable"
    with serving(fakes, fakes.port):
        assert gather(engine, fakes)
    assert attempts(engine) == {"m1": ("booked", None)}
    assert rows(engine, "SELECT attempts FROM gather_attempt") == [(2,)]


def test_an_acceptance_that_got_lost_is_repeated_before_the_next_month_is_asked_for(
    engine: Engine, fakes: FakePartners
) -> None:
    """R2, R3"""
    one = fakes.add("m1", item("BIKE", 3))
    one.accept_status = 503
    begin_month(engine, fakes)
    assert not gather(engine, fakes)
    assert attempts(engine) == {"m1": ("booked", "not accepted yet: answered 503")}
    assert stock(engine) == {("m1", "BIKE"): (3, 0, 250)}
    set_month(engine, "closed")
    begin_month(engine, fakes, 2)
    assert not gather(engine, fakes, 2)
    assert one.asked["offer 2"] == 0
    assert attempts(engine, 2)["m1"][0] == "unavailable"
    one.accept_status = None
    assert gather(engine, fakes, 2)
    assert (sorted(one.accepted), one.asked["offer 2"]) == ([1, 2], 1)
    assert stock(engine) == {("m1", "BIKE"): (6, 0, 250)}


def test_earlier_supplies_are_settled_also_while_no_month_is_open(engine: Engine, fakes: FakePartners) -> None:
    one = fakes.add("m1", item("BIKE", 3))
    one.accept_status = 500
    begin_month(engine, fakes)
    gather(engine, fakes)
    one.accept_status = None
    assert gather(engine, fakes, None)
    assert unsettled(engine) == 0
    assert one.asked["offer 1"] == 1


def test_a_refused_acceptance_takes_back_what_is_still_there(engine: Engine, fakes: FakePartners) -> None:
    """S6: two of the three were sold before the manufacturer said no; they stay sold."""
    one = fakes.add("m1", item("BIKE", 3), item("CAR", 2))
    one.accept_status = 503
    begin_month(engine, fakes)
    gather(engine, fakes)
    rows(engine, "UPDATE stock SET sold = 2 WHERE name = 'Good BIKE' RETURNING id")
    one.accept_status = 409
    assert gather(engine, fakes, None)
    assert stock(engine) == {("m1", "BIKE"): (3, 1, 250), ("m1", "CAR"): (2, 2, 250)}
    assert rows(engine, "SELECT quantity, withdrawn FROM supply_line ORDER BY quantity") == [(2, 2), (3, 1)]
    outcome, reason = attempts(engine)["m1"]
    assert (outcome, "does not let us take its offer" in (reason or "")) == ("refused", True)
    assert unsettled(engine) == 0
    set_month(engine, "open")
    assert gather(engine, fakes), "it is settled, so nobody is asked again this month"
    assert one.asked["offer 1"] == 1


def offer(*items: OfferItem, month: int = 1, code: str = "m1", name: str = "Works m1", sha: str = "a" * 64) -> Offer:
    return Offer(code, name, month, items, sha)


BIKE = OfferItem("BIKE", "Bicycle", 5, 250, "GBP")


def test_the_same_offer_booked_twice_counts_once_and_another_is_a_conflict(engine: Engine, fakes: FakePartners) -> None:
    """S2"""
    fakes.add("m1")
    begin_month(engine, fakes)
    for _ in range(2):
        with transaction(engine) as connection:
            book(connection, offer(BIKE))
    with pytest.raises(OfferChanged), transaction(engine) as connection:
        book(connection, offer(BIKE, sha="b" * 64))
    assert stock(engine) == {("m1", "BIKE"): (5, 0, 250)}


@pytest.mark.parametrize("state", ["closing", "closed"])
def test_a_month_that_is_closing_takes_no_supply(engine: Engine, fakes: FakePartners, state: str) -> None:
    """S5"""
    fakes.add("m1")
    begin_month(engine, fakes)
    set_month(engine, state)
    with pytest.raises(MonthOver), transaction(engine) as connection:
        book(connection, offer(BIKE))
    with pytest.raises(MonthOver), transaction(engine) as connection:
        book(connection, offer(BIKE, month=7))
    assert rows(engine, "SELECT count(*) FROM supply") == [(0,)]


@pytest.mark.parametrize("name", ["Works m1", "WORKS  M1", "W\u043erks m1", "m1"])
def test_a_manufacturer_cannot_take_the_name_of_another(engine: Engine, fakes: FakePartners, name: str) -> None:
    fakes.add("m1", item("BIKE"))
    fakes.add("m2")
    begin_month(engine, fakes)
    gather(engine, fakes)
    fakes.partners["m2"].name = name
    fakes.partners["m2"].frozen.clear()
    rows(engine, "DELETE FROM supply WHERE manufacturer_id = 2 RETURNING id")
    assert gather(engine, fakes)
    reason = "its name was not taken over: it cannot be told apart from that of m1"
    assert attempts(engine)["m2"] == ("empty", reason)
    assert rows(engine, "SELECT name FROM manufacturer ORDER BY id") == [("Works m1",), ("Works m2",)]


def test_who_takes_anothers_name_does_not_keep_its_goods_out(engine: Engine, fakes: FakePartners) -> None:
    """R1: which of the two is the liar nobody can tell, so the later one's goods are sold under its former name."""
    fakes.add("m1", item("BIKE")).name = "Works m2"
    begin_month(engine, fakes)
    gather(engine, fakes)
    set_month(engine, "closed")
    honest = fakes.add("m2", item("CAR"))
    begin_month(engine, fakes, 2)
    assert gather(engine, fakes, 2)
    assert attempts(engine, 2)["m2"][0] == "booked"
    assert stock(engine)["m2", "CAR"] == (5, 0, 250)
    assert list(honest.accepted) == [2]
    assert rows(engine, "SELECT code, name FROM manufacturer ORDER BY id") == [("m1", "Works m2"), ("m2", "m2")]


def test_ten_thousand_products_are_booked_by_a_few_statements(engine: Engine, fakes: FakePartners) -> None:
    fakes.add("m1")
    begin_month(engine, fakes)
    items = tuple(OfferItem(f"SKU-{number}", f"Good {number}", 7, 100 + number, "GBP") for number in range(10_000))
    said: list[str] = []
    with transaction(engine) as connection:
        event.listen(connection, "before_cursor_execute", lambda _c, _k, sql, *_rest: said.append(sql))
        book(connection, offer(*items))
    assert len(said) < 100
    assert rows(engine, "SELECT count(*), sum(supplied) FROM stock") == [(10_000, 70_000)]


def test_withdrawing_twice_takes_back_once(engine: Engine, fakes: FakePartners) -> None:
    fakes.add("m1")
    begin_month(engine, fakes)
    with transaction(engine) as connection:
        supply = book(connection, offer(BIKE))
    for expected in (True, False):
        with transaction(engine) as connection:
            assert withdraw(connection, supply.supply_id) is expected
    assert stock(engine) == {("m1", "BIKE"): (5, 5, 250)}


def test_a_manufacturer_with_several_supplies_to_settle_is_one_task(engine: Engine, fakes: FakePartners) -> None:
    fakes.add("m1")
    begin_month(engine, fakes)
    with transaction(engine) as connection:
        book(connection, offer(BIKE))
    set_month(engine, "closed")
    begin_month(engine, fakes, 2)
    with transaction(engine) as connection:
        book(connection, offer(BIKE, month=2))
        (task,) = tasks(connection, ["m1"], 2)
    assert ([supply.month for supply in task.unsettled], task.ask) == ([1, 2], False)
