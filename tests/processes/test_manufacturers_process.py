"""The life of a manufacturer process: killed at any moment, stopped, or not able to start (P5, P8)."""

import http.client
import random
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from manufacturers.process import main
from tests.conftest import free_port
from tests.manufacturers_world import Factory, assert_conserved, make_runtime, rows, sign

KILLS = 8
BUSY = {
    "count": 1,
    "products_per_manufacturer": 20,
    "units_per_month": 600_000,
    "batch_units": 1,
    "lead_time_seconds": 0.01,
    "capacity_units_per_product": 1_000_000,
    "breakdown_probability": 0.0,
}


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[Factory]:
    made = Factory(make_runtime(tmp_path, free_port(), manufacturers=BUSY))
    yield made
    made.kill()


class Stuck(NamedTuple):
    """A manufacturer that was told to stop while a request waits for its ledger, which ``blocker`` holds."""

    blocker: sqlite3.Connection
    client: threading.Thread
    statuses: list[int]


class Buyer(threading.Thread):
    """Asks for offers month by month, reads each twice and accepts most, until the manufacturer is gone."""

    def __init__(self, factory: Factory, month: int, dice: random.Random) -> None:
        super().__init__()
        self.factory, self.month, self.dice = factory, month, dice
        self.frozen: dict[int, bytes] = {}
        self.accepted: set[int] = set()
        self.refusals: list[object] = []

    def run(self) -> None:
        try:
            while True:
                self.buy()
                self.month += 1
        except (OSError, http.client.HTTPException):
            return  # killed

    def buy(self) -> None:
        for _ in range(2):
            answer = self.factory.signed("GET", f"/api/v1/offers/{self.month}")
            if answer.status != 200 or self.frozen.setdefault(self.month, answer.body) != answer.body:
                self.refusals.append(answer)
        if self.dice.random() < 0.8:
            answer = self.factory.accept(self.month, self.frozen[self.month])
            if answer.status != 200:
                self.refusals.append(answer)
            self.accepted.add(self.month)


def test_killed_at_random_moments_it_loses_nothing_that_anybody_was_told(
    factory: Factory, wait_until: Callable[..., None]
) -> None:
    """L1, L3, B2, each time after a kill -9 in the middle of production, offers and accepts."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    frozen: dict[int, bytes] = {}
    accepted: set[int] = set()
    month, produced = 1, 0
    for life in range(KILLS):
        factory.start_ready(wait_until)
        buyer = Buyer(factory, month, dice)
        buyer.start()
        doomed = time.monotonic() + dice.uniform(0.05, 0.7)
        least = life % 2 * 3  # at any moment in every other life; also where a busy machine lets the buyers get nowhere
        due = lambda at=doomed, least=least, buyer=buyer: time.monotonic() >= at and len(buyer.accepted) >= least  # noqa: E731
        wait_until(due, what="the moment of the kill")
        factory.kill()
        buyer.join(60)
        assert not buyer.is_alive()
        assert buyer.refusals == []
        assert_conserved(factory.ledger())
        frozen |= buyer.frozen
        accepted |= buyer.accepted
        kept = dict(rows(factory.ledger(), "SELECT month, content FROM offer"))
        states = dict(rows(factory.ledger(), "SELECT month, state FROM offer"))
        assert {number: kept[number].encode() for number in frozen} == frozen
        assert all(states[number] == "accepted" for number in accepted)
        (before, produced) = (produced, rows(factory.ledger(), "SELECT sum(produced) FROM product")[0][0])
        assert produced >= before
        month = max([month, *kept]) + 1
    factory.start_ready(wait_until)
    for number in accepted:
        assert factory.signed("GET", f"/api/v1/offers/{number}").body == frozen[number]
    assert len(accepted) > KILLS, "the buyers got nowhere; the trial says nothing"


def test_a_request_that_was_overheard_is_refused_after_a_kill(
    factory: Factory, wait_until: Callable[..., None]
) -> None:
    """A2: within its window, and although the process that admitted it is gone; the same question signed anew is answered."""
    key = factory.runtime.secrets.manufacturer_keys["m1"]
    headers = sign(key, "m1", "GET", "/api/v1/offers/1")
    factory.start_ready(wait_until)
    first = factory.request("GET", "/api/v1/offers/1", b"", headers)
    assert first.status == 200
    factory.kill()
    factory.start_ready(wait_until)
    assert factory.request("GET", "/api/v1/offers/1", b"", headers).status == 401
    assert factory.signed("GET", "/api/v1/offers/1").body == first.body


def test_a_signal_ends_it_in_order(factory: Factory, wait_until: Callable[..., None]) -> None:
    """P8: what was finished is booked, the write-ahead log is written back, the exit code is 0."""
    factory.start_ready(wait_until)
    wait_until(lambda: rows(factory.ledger(), "SELECT sum(produced) FROM product")[0][0] > 1_000, 10, "some production")
    assert factory.end() == 0
    assert not factory.ledger().with_name("m1.sqlite-wal").exists()
    assert_conserved(factory.ledger())
    log = factory.log.read_text()
    assert [log.count(word) for word in ("ready:", "draining", "stopped", "Traceback")] == [1, 1, 1, 0]


@pytest.fixture
def stuck(factory: Factory, wait_until: Callable[..., None]) -> Iterator[Stuck]:
    factory.start_ready(wait_until)
    blocker = sqlite3.connect(factory.ledger(), isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    statuses: list[int] = []
    connection = http.client.HTTPConnection("127.0.0.1", factory.port, timeout=60)
    target = "/api/v1/offers/1"
    connection.request(
        "GET", target, headers=sign(factory.runtime.secrets.manufacturer_keys["m1"], "m1", "GET", target)
    )

    def listen() -> None:
        try:
            statuses.append(connection.getresponse().status)
        except (OSError, http.client.HTTPException):
            statuses.append(0)  # cut off

    client = threading.Thread(target=listen)
    client.start()
    wait_until(lambda: was_read(connection.sock.getsockname()[1]), what="the request has arrived")
    assert factory.process is not None
    factory.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "draining" in factory.log.read_text(), 5, "it drains")
    yield Stuck(blocker, client, statuses)
    blocker.close()
    client.join(60)
    connection.close()


def test_a_request_under_way_is_answered_before_the_end(factory: Factory, stuck: Stuck) -> None:
    stuck.blocker.execute("ROLLBACK")
    stuck.client.join(60)
    assert stuck.statuses == [200]
    assert factory.process is not None
    assert factory.process.wait(60) == 0
    assert_conserved(factory.ledger())


def test_a_second_signal_ends_it_at_once(factory: Factory, stuck: Stuck) -> None:
    assert factory.process is not None
    factory.process.send_signal(signal.SIGTERM)
    assert factory.process.wait(30) == 1  # 0 if it had waited for the request until its time was over
    stuck.blocker.execute("ROLLBACK")
    assert_conserved(factory.ledger())


def was_read(client_port: int) -> bool:
    """Whether the server has accepted the connection from there, and has read everything that was sent on it."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (served,) = [line for line in lines if line[2].endswith(f":{client_port:04X}") and line[3] == "01"]
    inode, unread = served[9], int(served[4].partition(":")[2], 16)
    return inode != "0" and unread == 0


def last_line(factory: Factory) -> str:
    return factory.log.read_text().strip().splitlines()[-1]


def exit_code(factory: Factory) -> int:
    factory.start()
    assert factory.process is not None
    return factory.process.wait(60)


def test_a_port_in_use_is_told_in_one_line(factory: Factory) -> None:
    with socket.create_server(("127.0.0.1", factory.port)):
        assert exit_code(factory) == 70
    assert f"port {factory.port} on 127.0.0.1: is in use by another program" in last_line(factory)
    assert "Traceback" not in factory.log.read_text()


def test_a_bad_catalogue_is_told_with_line_and_field(tmp_path: Path) -> None:
    catalogue = tmp_path / "goods.csv"
    header = "sku,name,manufacturer,price_minor,currency,initial_units,units_per_month"
    catalogue.write_text(f"{header}\nA,Axe,m1,0,GBP,1,1\n")
    factory = Factory(make_runtime(tmp_path, free_port(), manufacturers={"catalogue": str(catalogue)}))
    assert exit_code(factory) == 64
    assert "goods.csv:2: price_minor: must be an integer from 1 to" in last_line(factory)
    assert "Traceback" not in factory.log.read_text()


def test_a_catalogue_is_used_as_it_is_written(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    catalogue = tmp_path / "goods.csv"
    header = "sku,name,manufacturer,price_minor,currency,initial_units,units_per_month"
    catalogue.write_text(f"{header}\naxe,Axe,m1,250,EUR,7,0\nBOW,Bow,m2,1,EUR,1,0\n")
    factory = Factory(make_runtime(tmp_path, free_port(), manufacturers={"catalogue": str(catalogue)}))
    try:
        factory.start_ready(wait_until)
        assert factory.signed("GET", "/api/v1/stock").json()["items"] == [
            {"sku": "AXE", "name": "Axe", "quantity": 7, "price": {"amount": 250, "currency": "EUR"}}
        ]
    finally:
        factory.kill()


@pytest.mark.parametrize("name", ["manufacturer-9", "manufacturer-0", "manufacturer", "web-1", "manufacturer-1x"])
def test_a_name_that_no_process_has_is_a_mistake_in_the_configuration(
    factory: Factory, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    assert main(factory.runtime.state, name) == 64
    assert name in caplog.messages[-1]


def test_a_folder_in_which_nothing_was_started_is_a_mistake_too(tmp_path: Path) -> None:
    factory = Factory(make_runtime(tmp_path, free_port()))
    (tmp_path / "runtime.json").unlink()
    assert exit_code(factory) == 64
    assert "no system was started" in last_line(factory)


@pytest.mark.parametrize("content", ["newer", "not a database"])
def test_a_file_that_is_no_ledger_of_this_version_is_left_alone(factory: Factory, content: str) -> None:
    factory.ledger().parent.mkdir()
    if content == "newer":
        connection = sqlite3.connect(factory.ledger())
        connection.execute("PRAGMA user_version = 99")
        connection.commit()
        connection.close()
    else:
        factory.ledger().write_text(content * 100)
    before = factory.ledger().read_bytes()
    assert exit_code(factory) == 70
    assert "m1.sqlite" in last_line(factory)
    assert "Traceback" not in factory.log.read_text()
    if content != "newer":
        assert factory.ledger().read_bytes() == before


def test_many_manufacturers_share_a_process(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    many = {"count": 60, "manufacturers_per_process": 60, "products_per_manufacturer": 10}
    factory = Factory(make_runtime(tmp_path, free_port(), manufacturers=many), "manufacturers-1")
    try:
        factory.start_ready(wait_until)
        names = {
            factory.signed("GET", "/api/v1/offers/1", code=f"m{n}").json()["manufacturer"]["name"] for n in range(1, 61)
        }
        assert len(names) == 60
        assert factory.end() == 0
        for number in (1, 30, 60):
            assert_conserved(factory.ledger(f"m{number}"))
    finally:
        factory.kill()
