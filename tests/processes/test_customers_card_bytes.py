"""K1 on a whole running system: what was typed as a card's number or security code is nowhere afterwards.

Cards are saved, mistyped and sent wrongly through the load balancer, one pays for an order; then every byte of the state
folder is read: logs of every process, the load balancer's access log, PostgreSQL's data and write-ahead log, the
manufacturers' ledgers; every row of every table, so what a dump would have; and, where RabbitMQ is installed, whatever the
node that carried the sales has written: its queues' logs, its store, its own log. Only what a living process has in its
memory is exempt: there the number has to pass. No process may leave an image of that behind.
"""

import base64
import contextlib
import json
import random
import re
import resource
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pika
import psutil
import psycopg
import pytest
import requests

from supervisor import rabbitmq
from tests.conftest import BrokerNode, wait_until
from tests.customers_world import PASSWORD, field_value
from tests.supervisor_world import SLIM, Up

PORT_BASE = 25_000
DISCOVER = "6011000990139424"  # published test numbers; this one's digits are in no order that comes by chance
AMEX = "378282246310005"
MISTYPED = "6011000990139425"
CODE = "0739"  # begins with 0, as no process id, port or amount does
LONG_CODE = "73190846251"  # mistyped: long enough to be told from chance in any file
PARTS = (4, 4, 4, 7)  # how people group digits


def spelled(digits: str, sign: str) -> str:
    groups, rest = [], digits
    for length in PARTS:
        groups.append(rest[:length])
        rest = rest[length:]
    return sign.join(group for group in groups if group)


def base64_cores(text: bytes) -> list[bytes]:
    """What of the text's base64 is the same whatever stands before and after it, for each of the three alignments."""
    return [base64.b64encode(b"\0" * shift + text)[4 if shift else 0 : -4] for shift in range(3)]


def spellings(digits: str) -> dict[str, bytes]:
    """Everything that would give the digits away: whole, grouped, cut, coded, as a binary number."""
    middle = digits[3:-3]
    number = int(digits)
    base_10000 = [int(digits[max(0, end - 4) : end]) for end in range(len(digits), 0, -4)][::-1]
    found = {
        "most of it": middle.encode(),
        "reversed": middle[::-1].encode(),
        "hex": middle.encode().hex().encode(),
        "UTF-16": middle.encode("utf-16-le"),
        "64 bits": number.to_bytes(8, "little"),
        "64 bits, big-endian": number.to_bytes(8, "big"),
        "numeric of PostgreSQL": b"".join(digit.to_bytes(2, "little") for digit in base_10000),
    }
    for sign in (" ", "-", "+", "%20", "%2D", "."):
        found[f"grouped by {sign!r}"] = spelled(digits, sign)[3:-3].encode()
    for grouped in (digits, spelled(digits, " "), spelled(digits, "-")):
        for number_of, core in enumerate(base64_cores(grouped.encode())):
            found[f"base64 of {grouped[:6]}…, {number_of}"] = core
    return found


SECRETS = {
    f"{name}, {how}": needle
    for name, digits in (("Discover", DISCOVER), ("American Express", AMEX), ("mistyped", MISTYPED))
    for how, needle in spellings(digits).items()
} | {"security code": LONG_CODE.encode(), "security code, base64": base64.b64encode(LONG_CODE.encode())[:-4]}
SHORT_CODE = re.compile(rf"(?<![0-9A-Za-z.]){CODE}(?![0-9A-Za-z])")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")  # its parts come by chance


def says_the_code(text: str) -> bool:
    return SHORT_CODE.search(UUID.sub("UUID", text)) is not None


def given_away(content: bytes, secrets: Mapping[str, bytes] = SECRETS) -> list[str]:
    return [name for name, needle in secrets.items() if needle in content]


@pytest.fixture
def node(request: pytest.FixtureRequest) -> BrokerNode | None:
    """The session's RabbitMQ, where one is installed; else a queue in PostgreSQL carries the sales."""
    if rabbitmq.find_installation() is None:
        return None
    node: BrokerNode = request.getfixturevalue("rabbitmq_node")
    return node


@pytest.fixture
def up(node: BrokerNode | None) -> Iterator[Up]:
    home = Path(tempfile.mkdtemp(prefix="cds-test-"))
    home.chmod(0o711)
    running = Up(
        home / "state",
        PORT_BASE,
        (
            *SLIM,
            "manufacturers.count=1",
            "logging.level=DEBUG",
            "load_balancer.access_log=json",
            "simulation.month_seconds=600.0",
            *([f"broker.url={node.url()}"] if node else []),
        ),
    )
    try:
        yield running.until_ready()
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(60)
        shutil.rmtree(home)


class Program:
    """A program of the customer, through the load balancer."""

    def __init__(self, url: str) -> None:
        self.url = url + "/api/v1"
        self.email = f"{uuid.uuid4().hex[:12]}@example.org"
        self.session = requests.Session()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        return self.session.request(method, self.url + path, json=body, headers=headers, timeout=60)

    def sign_up(self) -> None:
        who = {"email": self.email, "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace"}
        assert self.call("POST", "/customers", who).status_code == 201
        token = self.call("POST", "/session", {"email": self.email, "password": PASSWORD}).json()["token"]
        self.session.headers["Authorization"] = f"Bearer {token}"


def send_cards_to_the_api(program: Program) -> list[str]:
    """Right ones, and every way of sending one wrongly; returns the answers' texts."""
    good = {"expiry": "12/39", "holder": "Ada Lovelace", "security_code": "073"}
    bodies: list[tuple[object, int]] = [
        (good | {"number": DISCOVER}, 200),
        (good | {"number": spelled(DISCOVER, " ")}, 200),
        (good | {"number": spelled(DISCOVER, "-")}, 200),
        (good | {"number": AMEX, "security_code": CODE}, 200),
        (good | {"number": MISTYPED, "security_code": LONG_CODE}, 422),
        (good | {"number": DISCOVER, "security_code": LONG_CODE}, 422),
        (good | {"number": DISCOVER, "expiry": DISCOVER, "holder": DISCOVER}, 422),
        (good | {"number": int(DISCOVER)}, 422),
        (good | {"number": [DISCOVER]}, 422),
        (good | {"number": DISCOVER, "cvv": LONG_CODE}, 422),
        ([DISCOVER], 400),
    ]
    texts = []
    for body, status in bodies:
        answer = program.call("PUT", "/me/card", body)
        assert answer.status_code == status, answer.text
        texts.append(answer.text)
    broken = '{"number": "' + DISCOVER + '", '
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": content_type}
        answer = program.session.put(program.url + "/me/card", data=broken, headers=headers, timeout=60)
        assert answer.status_code in {400, 415}
        texts.append(answer.text)
    texts.append(program.call("GET", f"/me/card?number={DISCOVER}&security_code={LONG_CODE}").text)
    texts.append(program.call("PUT", "/me/card", good | {"number": DISCOVER}, Idempotency_Key="k").text)
    return texts


def send_cards_to_the_pages(shop: str) -> list[str]:
    browser = requests.Session()

    def send(seen_on: str, path: str, **fields: str) -> requests.Response:
        token = field_value(browser.get(shop + seen_on, timeout=60).text, "form_token")
        return browser.post(shop + path, data={"form_token": token} | fields, timeout=60, allow_redirects=False)

    who = {"email": f"{uuid.uuid4().hex[:12]}@example.org", "first_name": "Ada", "last_name": "Lovelace"}
    assert send("/sign-up", "/sign-up", password=PASSWORD, next="/", **who).status_code == 303
    good = {"expiry": "12/39", "holder": "Ada", "security_code": "073"}
    answers = [
        send("/account", "/account/card", **good | {"number": spelled(DISCOVER, " ")}),
        send("/account", "/account/card", **good | {"number": MISTYPED, "security_code": LONG_CODE}),
        send("/account", "/account/card", **good | {"number": AMEX, "security_code": CODE}),
        browser.post(shop + "/account/card", data=good | {"number": DISCOVER}, timeout=60),
        browser.get(f"{shop}/account?number={DISCOVER}&security_code={LONG_CODE}", timeout=60),
    ]
    assert [answer.status_code for answer in answers] == [303, 422, 303, 403, 200]
    item = browser.get(f"{shop}/api/v1/products", timeout=60).json()["items"][0]["stock_id"]
    assert send(f"/product/{item}", f"/cart/{item}/add", quantity="1").status_code == 303
    page = browser.get(f"{shop}/checkout", timeout=60).text
    bought = {name: field_value(page, name) for name in ("key", "cart", "after")} | {"pay": "new"}
    mistyped = good | {"number": spelled(MISTYPED, "-"), "security_code": LONG_CODE}
    answers.append(send("/checkout", "/checkout", **bought | mistyped))
    answers.append(send("/checkout", "/checkout", **bought | good | {"number": spelled(DISCOVER, "-")}))
    assert [answer.status_code for answer in answers[-2:]] == [422, 303]
    return [answer.text for answer in answers]


def buy_something(program: Program) -> None:
    item = program.call("GET", "/products").json()["items"][0]
    lines = [{"stock_id": item["stock_id"], "quantity": 1}]
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    bought = program.session.post(program.url + "/orders", json={"lines": lines}, headers=headers, timeout=60)
    assert bought.status_code == 201, bought.text


def rows_of_every_table(database: str) -> Iterator[tuple[str, bytes]]:
    with psycopg.connect(database) as connection:
        names = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information)'"
        )
        for schema, table in names.fetchall():
            with connection.cursor().copy(f'COPY "{schema}"."{table}" TO STDOUT') as copy:
                yield table, b"".join(bytes(block) for block in copy)


def told_events(database: str) -> list[bytes]:
    """The numbers of the sales' messages that the broker has taken."""
    with psycopg.connect(database) as connection:
        told = connection.execute(
            "SELECT event_id FROM outbox WHERE published_at IS NOT NULL AND type = 'sale.recorded'"
        )
        return [str(event_id).encode() for (event_id,) in told]


def assert_no_process_leaves_an_image(family: Sequence[psutil.Process]) -> None:
    """CORE_BYTES_MAX of supervisor/running.py, in every process, PostgreSQL's own user's as well."""
    allowed = min(1, resource.getrlimit(resource.RLIMIT_CORE)[1] % 2**64)
    limits = {}
    for process in family:
        with contextlib.suppress(FileNotFoundError):  # PostgreSQL's come and go
            text = Path(f"/proc/{process.pid}/limits").read_text()
            limits[process.name(), process.pid] = re.search(r"^Max core file size\s+(\S+)", text, re.MULTILINE)
    assert limits
    assert {found and found[1] for found in limits.values()} == {str(allowed)}, limits


def files_of(state: Path) -> list[Path]:
    """The state folder's, and those of a PostgreSQL that had to lie elsewhere."""
    folders = [state]
    note = state / "postgres.json"
    if note.exists():
        folders += [Path(value) for value in json.loads(note.read_text()).values() if str(value).startswith("/")]
    return [path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()]


def words_of(path: Path) -> str:
    """A log's or a ledger's text."""
    if path.suffix in {".sqlite", ".sqlite3", ".db"}:
        with sqlite3.connect(path) as ledger:
            return "\n".join(ledger.iterdump())
    return path.read_text(errors="replace")


@pytest.mark.timeout(180)
def test_a_cards_number_and_code_are_nowhere(up: Up, node: BrokerNode | None, balancer_engine: str) -> None:
    assert_no_process_leaves_an_image(up.family())
    status = up.status()
    program = Program(status["shop"])
    program.sign_up()
    answers = send_cards_to_the_api(program) + send_cards_to_the_pages(status["shop"])
    buy_something(program)
    wait_until(lambda: told_events(status["database"]), 20, "the manufacturers are told of the sale")
    for number, answer in enumerate(answers):
        assert not given_away(answer.encode()), number
    events = told_events(status["database"])
    tables = dict(rows_of_every_table(status["database"]))
    up.process.terminate()
    assert up.process.wait(60) == 0

    assert program.email.encode() in tables["customer"], "the control: the rows are those of this very run"
    assert b"\t9424\t" in tables["customer"] or b"\t0005\t" in tables["customer"]
    for name, content in tables.items():
        assert not given_away(content), name
        assert not says_the_code(content.decode()), name

    files = files_of(up.state)
    assert not any(path.name.startswith("core") and path.suffix != ".py" for path in files), "no image of a process"
    contents = {path: path.read_bytes() for path in files}
    with_the_address = [path for path, content in contents.items() if program.email.encode() in content]
    assert any("pg_wal" in path.parts for path in with_the_address), "the control: the write-ahead log is read"
    assert any("base" in path.parts for path in with_the_address), "the control: PostgreSQL's tables are read"
    assert any(path.parent.name == "logs" for path in files)
    lines = "load_balancer.log" if balancer_engine == "haproxy" else "access.log"
    access_log = contents[up.state / "logs" / lines]
    assert b"/account/card" in access_log, "the control: the balancer's log has the requests that brought cards"
    assert any(path.suffix == ".sqlite" for path in files), sorted({path.suffix for path in files})
    for path, content in contents.items():
        assert not given_away(content), path
        if path.parent.name == "logs" or path.suffix == ".sqlite":
            assert not says_the_code(words_of(path)), path
    if node:
        assert_a_broker_has_nothing(node, events)


def assert_a_broker_has_nothing(
    node: BrokerNode, events: Sequence[bytes], secrets: Mapping[str, bytes] = SECRETS
) -> None:
    """Its files, of which the control says that the sales went through them."""
    contents = {}
    for path in node.folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # it is running, and puts files together
            contents[path] = path.read_bytes()
    with_the_sales = [path for path, content in contents.items() if all(event in content for event in events)]
    assert events
    assert any("data" in path.relative_to(node.folder).parts for path in with_the_sales), (
        "the control: its store is read"
    )
    assert any(path.suffix == ".log" for path in contents)
    for path, content in contents.items():
        assert not given_away(content, secrets), path


def test_the_scan_of_a_broker_would_find_them(rabbitmq_node: BrokerNode) -> None:
    """The control: a number in a message is found, also after the message was taken; one that no other test looks for."""
    queue, event = uuid.uuid4().hex, uuid.uuid4().hex.encode()
    digits = "".join(random.choices("123456789", k=16))
    with pika.BlockingConnection(pika.URLParameters(rabbitmq_node.url())) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        channel.basic_publish("", queue, event + digits.encode(), pika.BasicProperties(delivery_mode=2))
        assert channel.basic_get(queue, auto_ack=True)[2]
        channel.queue_delete(queue)
    assert_a_broker_has_nothing(rabbitmq_node, [event])
    with pytest.raises(AssertionError):
        assert_a_broker_has_nothing(rabbitmq_node, [event], spellings(digits))


@pytest.mark.parametrize("before", ["", "x", "xy"])
def test_the_scan_would_find_them(before: str) -> None:
    """The control of the scan itself: each spelling, wherever it stands."""
    for digits in (DISCOVER, AMEX):
        around = f"{before}number={{}};rest"
        for text in (digits, spelled(digits, " "), spelled(digits, "-"), digits[:-2], digits[2:]):
            assert given_away(around.format(text).encode()), text
        for text in (digits, spelled(digits, " "), spelled(digits, "-")):
            assert given_away(base64.b64encode(around.format(text).encode())), text
        assert given_away(b"\0" + int(digits).to_bytes(8, "little"))
    assert given_away(f"security_code={LONG_CODE}".encode())
    assert says_the_code(f"security_code={CODE}&")
    assert says_the_code(f"00000000-0000-{CODE}-")
    assert not says_the_code("f0739a 10739 pid 7390 0.0739 6f9619ff-0739-4d01-b42d-00cf4fc964ff")
