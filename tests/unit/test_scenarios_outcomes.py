"""What a client knows after each kind of answer, and what it does next (O1 to O4), as tables; and the history's form."""

import json
from pathlib import Path
from typing import Any

import pytest

from customers import purchase
from distributor.sales import Contention
from scenarios.figures import Figures
from scenarios.history import History
from scenarios.outcomes import (
    PROBLEM,
    AskAgain,
    AskForLess,
    End,
    Failure,
    Known,
    Patience,
    Reply,
    SignIn,
    Stop,
    classify,
    next_step,
    reduce_lines,
    reply_of,
    wait_seconds,
)

ORDER = {"id": 5, "total": {"amount": 200, "currency": "GBP"}}
NOT_DISPATCHED = {"x-not-dispatched": "1"}


@pytest.mark.parametrize(
    ("reply", "known"),
    [
        (Reply(201, ORDER), Known.OK),
        (Reply(201, {}), Known.INFO),
        (Reply(201, {"id": 5}), Known.INFO),
        (Reply(200, ORDER), Known.INFO),
        *[(Reply(status), Known.FAIL) for status in (400, 401, 402, 403, 404, 405, 409, 413, 415, 421, 422, 429)],
        *[(Reply(status), Known.INFO) for status in (500, 502, 503, 504, 302, 418, 408)],
        (Reply(503, {}, NOT_DISPATCHED), Known.FAIL),
        (Reply(502, {}, NOT_DISPATCHED), Known.INFO),
        (Reply(503, {"type": PROBLEM + "busy"}), Known.INFO),
        (Reply(None, failure=Failure.REFUSED), Known.FAIL),
        (Reply(None, failure=Failure.BROKEN), Known.INFO),
    ],
)
def test_what_is_known_after_an_answer(reply: Reply, known: Known) -> None:
    """O1 and section B1's table."""
    assert classify(reply) is known


SHORT = {"lines": [{"stock_id": 1, "wanted": 4, "available": 3}, {"stock_id": 2, "wanted": 1, "available": 0}]}


@pytest.mark.parametrize(
    ("reply", "keys_used", "waited", "step"),
    [
        (Reply(409, SHORT), 1, 0.0, AskForLess({1: 3, 3: 9})),
        (Reply(409, SHORT), 12, 0.0, Stop(End.GAVE_UP)),
        (Reply(409, {"lines": [{"stock_id": n, "available": 0} for n in (1, 2, 3)]}), 8, 0.0, Stop(End.SOLD_OUT)),
        (Reply(401), 1, 0.0, SignIn()),
        (Reply(402), 1, 0.0, Stop(End.REFUSED)),
        (Reply(422), 1, 0.0, Stop(End.REFUSED)),
        (Reply(429, {}, {"retry-after": "3"}), 1, 0.0, AskAgain(3.0)),
        (Reply(503, {}, {"retry-after": "1"}), 1, 39.9, AskAgain(1.0)),
        (Reply(503, {}, {"retry-after": "1"}), 1, 40.0, Stop(End.UNKNOWN)),
        (Reply(503, {}, NOT_DISPATCHED), 1, 40.0, Stop(End.GAVE_UP)),
        (Reply(502), 1, 0.0, AskAgain(0.25)),
        (Reply(None, failure=Failure.BROKEN), 1, 50.0, Stop(End.UNKNOWN)),
        (Reply(None, failure=Failure.REFUSED), 1, 0.0, AskAgain(0.25)),
    ],
)
def test_what_is_done_after_an_answer(reply: Reply, keys_used: int, waited: float, step: object) -> None:
    """O2, O3, O4."""
    assert next_step(reply, {1: 4, 2: 1, 3: 9}, keys_used, waited, Patience()) == step


@pytest.mark.parametrize(
    ("short", "left"),
    [
        (None, {1: 4, 2: 2}),
        ([], {1: 4, 2: 2}),
        ([{"stock_id": 1, "available": 9}], {1: 4, 2: 2}),
        ([{"stock_id": 9, "available": 0}], {1: 4, 2: 2}),
        ([{"stock_id": 1, "available": -1}], {2: 2}),
        (["x", {"stock_id": 2, "available": "1"}, {"available": 0}], {1: 4, 2: 2}),
    ],
)
def test_a_list_of_short_lines_never_makes_a_basket_larger(short: object, left: dict[int, int]) -> None:
    assert reduce_lines({1: 4, 2: 2}, short) == left


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2", 2.0), ("0", 0.0), ("999999", 5.0), ("", 0.25), ("-1", 0.25), ("Wed, 21 Oct 2015", 0.25), ("٣", 0.25)],
)
def test_retry_after_is_followed_within_bounds(text: str, seconds: float) -> None:
    assert wait_seconds(Reply(503, {}, {"retry-after": text})) == seconds


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_line_is_in_the_file_before_the_next_thing_happens(tmp_path: Path) -> None:
    """H1, H2: read while the writer still has the file open, as after a kill."""
    path = tmp_path / "history.jsonl"
    history = History(path)
    process = history.new_process()
    index = process.invoke("a@example.org", 7, "k1", {5: 2, 3: 1})
    (invoked,) = rows_of(path)
    assert invoked.pop("time_ns") > 0
    assert invoked == {
        "process": 0,
        "type": "invoke",
        "op": "order",
        "index": 0,
        "customer": "a@example.org",
        "customer_id": 7,
        "key": "k1",
        "lines": [[3, 1], [5, 2]],
    }
    process.end(index, "k1", Known.OK, Reply(201, ORDER))
    ended = rows_of(path)[1]
    assert (ended["type"], ended["index"], ended["order_id"], ended["total_minor"]) == ("ok", 0, 5, 200)
    history.close()


def test_a_process_is_done_after_an_unknown_outcome_and_goes_on_under_a_new_number(tmp_path: Path) -> None:
    """H3."""
    history = History(tmp_path / "history.jsonl")
    first, second = history.new_process(), history.new_process()
    index = first.invoke("a@example.org", 7, "k1", {1: 1})
    first.end(index, "k1", Known.INFO, Reply(None, failure=Failure.BROKEN, error="reset"))
    again = first.invoke("a@example.org", 7, "k1", {1: 1})
    first.end(again, "k1", Known.FAIL, Reply(409, {"type": PROBLEM + "not-enough-stock"}))
    history.close()
    rows = rows_of(tmp_path / "history.jsonl")
    assert [row["process"] for row in rows] == [0, 0, 2, 2]
    assert second.number == 1
    assert rows[1]["error"] == "reset"
    assert (rows[3]["status"], rows[3]["error"]) == (409, "not-enough-stock")


def test_the_history_keeps_what_the_shop_says_that_a_purchase_met(tmp_path: Path) -> None:
    """As customers/purchase.py writes it; an answer that says nothing of it leaves nothing."""
    timing = purchase.timing(Contention("optimistic", 0.0015, 0.25, ("version", "40P01"), 3))
    history = History(tmp_path / "history.jsonl")
    process = history.new_process()
    for headers in ({"server-timing": timing}, {}, {"server-timing": "cdn;dur=5"}):
        index = process.invoke("a@example.org", 7, "k", {1: 1})
        process.end(index, "k", Known.FAIL, Reply(409, {}, headers))
    history.close()
    told, *silent = [row for row in rows_of(tmp_path / "history.jsonl") if row["type"] == "fail"]
    assert told["contention"] == {
        "strategy": "optimistic",
        "queue_ms": 1.5,
        "lock_ms": 250.0,
        "together": 3,
        "repeats": ["version", "40P01"],
    }
    assert all("contention" not in row for row in silent)
    figures = Figures()
    figures.contention(told["contention"])
    assert (figures.as_json()["waits"]["locks"]["p99_ms"], figures.as_json()["repeats"]) == (
        250.0,
        {"40P01": 1, "version": 1},
    )


@pytest.mark.parametrize(("status", "content"), [(200, b""), (201, b""), (201, b'{"id": 1'), (200, b"<html>")])
def test_an_answer_that_was_cut_off_is_no_answer(status: int, content: bytes) -> None:
    """The instance may have been killed while it wrote: an order may exist, so the outcome is unknown."""
    reply = reply_of(status, content, {})
    assert reply.status is None
    assert classify(reply) is Known.INFO


@pytest.mark.parametrize(("status", "content"), [(204, b""), (200, b"{}"), (502, b"<html>"), (409, b"")])
def test_an_answer_without_a_document_keeps_its_status(status: int, content: bytes) -> None:
    reply = reply_of(status, content, {})
    assert (reply.status, reply.body) == (status, {})
