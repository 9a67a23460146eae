"""One web instance for tests: its runtime on a test database, Flask's client, and the steps every customer takes."""

import html
import re
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jinja2 import Environment
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from customers.app import create_app
from customers.instance import instance_of
from settings import Runtime, Secrets
from settings.addresses import Addresses
from tests.conftest import free_port, wait_until
from tests.distributor_world import World, engine_for, make_world, patient_settings
from tests.engines_world import in_front, through_the_engine

ROOT = Path(__file__).parents[1]

PASSWORD = "correct horse battery"
CARD_NUMBER = "4242424242424242"
START_SECONDS_MAX = 90.0  # measured 1 s on an idle machine, 30 s where twenty programs want each core
PORT_BASE = 24_000  # of applications that are only called, not served

CARD = {"number": CARD_NUMBER, "expiry": "12/39", "holder": "Ada Lovelace", "security_code": "123"}
"""What a customer types in the form of a card."""

FAST = {"password_memory_kib": 8, "password_iterations": 1}
"""Password costs for tests that are not about them."""


def make_runtime(state: Path, database_url: str, port_base: int = PORT_BASE, **sections: dict[str, Any]) -> Runtime:
    """The values of a running system, written to its state folder. ``sections``: settings, such as cart={…}."""
    state.mkdir(parents=True, exist_ok=True)
    customers = FAST | sections.pop("customers", {})
    runtime = Runtime(
        state=state,
        settings=patient_settings(customers=customers, **sections),
        addresses=Addresses(port_base),
        database_url=database_url,
        broker_url="postgres",
        broker_is_ours=True,
        secrets=Secrets.read_or_make(state, ["m1"]),
    )
    runtime.write()
    return runtime


class CompiledOnce(BytecodeCache):
    """The shop's templates, for all applications of this process: compiling them is most of what a short-lived one does."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], bytes] = {}

    def get_bucket(self, environment: Environment, name: str, filename: str | None, source: str) -> Bucket:
        """A template differs from one language to the next."""
        return super().get_bucket(environment, f"{name} {getattr(environment, 'code', '')}", filename, source)

    def load_bytecode(self, bucket: Bucket) -> None:
        code = self._code.get((bucket.key, bucket.checksum))
        if code is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


TEMPLATES = CompiledOnce()


def make_app(runtime: Runtime, name: str = "web-1") -> Flask:
    app = create_app(runtime, name)
    app.jinja_env.bytecode_cache = TEMPLATES
    return through_the_engine(app)


def free_port_base() -> int:
    """A base whose first web instance's port the system has just called free: test runs beside this one get others."""
    return free_port() - Addresses(0).web(1)


def new_email() -> str:
    return f"{uuid.uuid4().hex[:12]}@example.org"


class Program:
    """A customer's program: the JSON API by bearer token."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.token = ""
        self.email = new_email()
        self.id = 0

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        return self.client.open("/api/v1" + path, method=method, json=body, headers=sent)

    def sign_up(self) -> "Program":
        body = {"email": self.email, "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace"}
        answer = self.call("POST", "/customers", body)
        assert answer.status_code == 201, answer.text
        self.id = answer.json["id"] if answer.json else 0
        return self.sign_in()

    def sign_in(self) -> "Program":
        answer = self.call("POST", "/session", {"email": self.email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        self.token = answer.json["token"] if answer.json else ""
        return self

    def with_card(self) -> "Program":
        answer = self.call("PUT", "/me/card", CARD)
        assert answer.status_code == 200, answer.text
        return self

    def order(self, lines: list[tuple[int, int]] | None, key: str = "") -> TestResponse:
        body = {} if lines is None else {"lines": [{"stock_id": n, "quantity": q} for n, q in lines]}
        return self.call("POST", "/orders", body, Idempotency_Key=key or uuid.uuid4().hex)


def field_value(page: str, name: str) -> str:
    """The value of a page's first hidden field of this name."""
    match = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert match, f"no field {name} on the page"
    return match[1]


def form_fields(page: str, action: str) -> dict[str, str]:
    """What the page's form with this action sends if nothing is typed: hidden fields and chosen radio buttons."""
    match = re.search(rf'<form [^>]*action="{re.escape(action)}".*?</form>', page, re.DOTALL)
    assert match, f"no form for {action} on the page"
    inputs = [(tag, re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag))
              for tag in re.findall(r"<input [^>]*>", match[0])]  # fmt: skip
    return {
        name[1]: html.unescape(value[1])
        for tag, name, value in inputs
        if name and value and ("hidden" in tag or " checked" in tag)
    }


class Person:
    """A customer with a browser: pages, cookies, form tokens."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.email = new_email()

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, seen_on: str, **fields: str) -> TestResponse:
        """Send a form with the token of the page that it is on."""
        token = field_value(self.get(seen_on).text, "form_token")
        return self.client.post(path, data={"form_token": token} | fields)

    def sign_up(self) -> "Person":
        fields = {"email": self.email, "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace", "next": "/"}
        assert self.post("/sign-up", "/sign-up", **fields).status_code == 303
        return self

    def with_card(self) -> "Person":
        assert self.post("/account/card", "/account", **CARD).status_code == 303
        return self

    def window(self, app: Flask) -> "Person":
        """The same browser's other window, whose requests go to this instance."""
        other = Person(app.test_client())
        other.email = self.email
        cookie = self.client.get_cookie("session")
        assert cookie is not None
        other.client.set_cookie("session", cookie.value)
        return other

    def put_in_cart(self, stock_id: int, quantity: int = 1) -> None:
        assert self.post(f"/cart/{stock_id}/add", "/account", quantity=str(quantity)).status_code == 303

    def checkout(self) -> dict[str, str]:
        """The buy button's form, as the page shows it now."""
        return form_fields(self.get("/checkout").text, "/checkout")

    def buy(self, form: dict[str, str], **typed: str) -> TestResponse:
        return self.client.post("/checkout", data=form | typed)


def alert(page: str) -> str:
    """The words of the message that takes the focus."""
    match = re.search(r'role="alert" tabindex="-1" data-focus>(.*?)</div>', page, re.DOTALL)
    assert match, "no message on the page"
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", match[1]).split()))


@dataclass
class Shop:
    """Two instances on one database, and what is in it."""

    apps: tuple[Flask, Flask]
    engine: Engine
    world: World

    def program(self, instance: int = 0) -> Program:
        return Program(self.apps[instance].test_client())

    def person(self, instance: int = 0) -> "Person":
        return Person(self.apps[instance].test_client())


@contextmanager
def open_shop(database_url: str, state: Path, quantities: Sequence[int] = (5, 40), **sections: Any) -> Iterator[Shop]:
    """An open month with these quantities in stock. ``sections``: settings, such as cart={…}."""
    engine = engine_for(database_url)
    world = make_world(engine, list(quantities), customers=0)
    runtime = make_runtime(state, database_url, **sections)
    apps = make_app(runtime, "web-1"), make_app(runtime, "web-2")
    try:
        yield Shop(apps, engine, world)
    finally:
        for app in apps:
            instance_of(app).close()
        engine.dispose()


@dataclass
class WebProcess:
    """A web instance in a process of its own, as the supervisor starts it."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def get(self, path: str, seconds: float = 30.0) -> tuple[int, str]:
        """Status and body; the status is 0 when nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=seconds) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def end(self) -> int:
        """Ask it to stop; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(60)


def start_web(runtime: Runtime, name: str = "web-1") -> WebProcess:
    """Started, not waited for."""
    log = runtime.state / f"{name}.log"
    argv = [sys.executable, "-m", "customers", "--state", str(runtime.state), "--name", name]
    with log.open("w") as output:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=output, stderr=output, text=True)
    number = int(name.removeprefix("web-"))
    return WebProcess(process, runtime.addresses.url(runtime.addresses.web(number)), log)


@contextmanager
def running_web(runtime: Runtime, name: str = "web-1") -> Iterator[WebProcess]:
    """Ready inside the block; ended after it, whatever happened."""
    web = start_web(runtime, name)
    try:
        # Its own log, not just an answer: a port may have been taken by another process, which would answer too.
        listens = lambda: web.process.poll() is not None or "listening on" in web.log.read_text()  # noqa: E731
        wait_until(listens, START_SECONDS_MAX, f"{name} listens")
        assert web.process.poll() is None, web.log.read_text()
        wait_until(lambda: web.get("/readyz")[0] == 200, START_SECONDS_MAX, f"{name} is ready")
        yield web
    finally:
        web.process.kill()
        web.process.wait(60)


@contextmanager
def running_shop(runtime: Runtime, engine: str) -> Iterator[WebProcess]:
    """A web instance as customers reach it: behind this load balancer. ``engine`` is empty: at its own address."""
    with running_web(runtime) as web:
        if not engine:
            yield web
            return
        with in_front(engine, runtime.addresses.web(1), runtime.state / "balancer") as url:
            yield replace(web, url=url)
