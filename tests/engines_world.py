"""The shop's tests behind a load balancer of one's choice: ``pytest --engine builtin``, ``haproxy`` or ``nginx``.

E1  Whole systems are told by the environment (conftest.py), so none that a test starts is forgotten; nginx cannot be part of one.
E2  An application that a test only calls is called over HTTP instead: client, engine, the shop's own server, application.
    (What a server of the test's own asks of it stays as it is.)
    Each answer must have passed the engine, or the test fails.
E3  What an engine does not stand before is said: tests of the balancer itself and those marked ``asks_the_instance``
    are skipped with the reason, all that speaks no HTTP is left out and counted.
"""

import contextlib
import dataclasses
import http.client
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote

import pytest
from flask import Flask

from customers.serving.server import Server
from load_balancer.engines import launch
from load_balancer.engines.nginx import nginx_conf
from load_balancer.http1.headers import PSEUDONYM
from load_balancer.options import Address, Options, ServerAddress, from_settings
from load_balancer.service import serving
from settings import Settings
from settings.addresses import HOST, Addresses
from tests.conftest import free_port, require, wait_until
from tests.load_balancer_world import Loop

THREADS: Final = 16  # of the server behind the engine; as many as the largest race has customers
SECONDS_MAX: Final = 60.0
APPLICATION: Final = "X-Test-Application"  # which of the test run's applications is meant
HAPROXY_PARSER: Final = b"Your browser sent an invalid request."
OF_THE_WAY: Final = {"connection", "keep-alive", "transfer-encoding"}  # not the answer's

SHOP_FOLDERS: Final = {"integration", "races", "browser", "processes"}
SYSTEMS: Final = {"test_scenarios_simulate.py", "test_supervisor_up.py"}
OURS: Final = "about our own engine, its admin API, pages and framing; HAProxy's are in test_load_balancer_haproxy.py"
NO_SYSTEM: Final = "nginx stands in front of web instances only; the supervisor runs builtin or haproxy"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


def sort_out(config: pytest.Config, items: list[pytest.Item], engine: str) -> None:
    """E3."""
    chosen: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        reason = _why_not(item, engine)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        (chosen if reason or _reaches_the_shop(item.path) else others).append(item)
    items[:] = chosen
    config.hook.pytest_deselected(items=others)


def _reaches_the_shop(path: Path) -> bool:
    shop = path.name.startswith("test_customers_") and path.parent.name in SHOP_FOLDERS
    return shop or path.name in SYSTEMS


def _why_not(item: pytest.Item, engine: str) -> str:
    if item.path.name.startswith("test_load_balancer_"):
        return OURS
    mark = item.get_closest_marker("asks_the_instance")
    if mark is not None:
        return f"asks the web instance itself, as the load balancer does: {mark.args[0]}"
    mark = item.get_closest_marker("builtin_only")
    if mark is not None and engine != "builtin":
        return f"not with {engine}: {mark.args[0]}"
    is_system = item.path.name in SYSTEMS or item.path.name == "test_customers_card_bytes.py"
    return NO_SYSTEM if engine == "nginx" and is_system else ""


@contextlib.contextmanager
def in_front(engine: str, port: int, folder: Path) -> Iterator[str]:
    """The engine with the shop's own settings before one server; its URL. ``folder``: for its files."""
    shop = Settings()
    options = dataclasses.replace(
        from_settings(shop, Addresses(), folder),
        listen=Address(HOST, free_port()),
        admin=None,
        servers=(ServerAddress("web-1", Address(HOST, port)),),
    )
    with _ours(options) if engine == "builtin" else _theirs(engine, options, folder):
        yield f"http://{options.listen}"


@contextlib.contextmanager
def _ours(options: Options) -> Iterator[None]:
    """In this process: it starts in a hundredth of the time that a new interpreter needs."""
    loop, stack = Loop(), contextlib.AsyncExitStack()
    try:
        service = loop.run(stack.enter_async_context(serving(options)))
        _until(lambda: bool(loop.call(lambda: service.balancer.ready_servers)))
        yield
    finally:
        loop.run(stack.aclose())
        loop.stop()


@contextlib.contextmanager
def _theirs(engine: str, options: Options, folder: Path) -> Iterator[None]:
    program = require(engine)
    folder.mkdir(parents=True, exist_ok=True)
    if engine == "haproxy":
        command, stop = launch.prepare(options, folder), signal.SIGUSR1
    else:
        file = folder / "nginx.conf"
        file.write_text(nginx_conf(options, folder), encoding="utf-8")
        command, stop = [program, "-c", str(file), "-e", "stderr"], signal.SIGTERM
    with (folder / f"{engine}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _until(lambda: process.poll() is not None or _is_alive(options.listen))
        assert process.poll() is None, (folder / f"{engine}.log").read_text()
        yield
    finally:
        process.send_signal(stop)
        process.wait(20)


def _until(condition: Callable[[], bool]) -> None:
    wait_until(condition, 20, "the load balancer serves")


def _is_alive(address: Address) -> bool:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Way:
    """E2: one engine and one server for all applications of a test run."""

    def __init__(self, engine: str, folder: Path) -> None:
        self.stack = contextlib.ExitStack()
        self._applications: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        port, stop = free_port(), threading.Event()
        body_bytes_max = Settings().load_balancer.body_bytes_max
        server = Server(
            cast("Flask", self._dispatch), host=HOST, port=port, threads=THREADS, body_bytes_max=body_bytes_max
        )
        thread = threading.Thread(target=server.serve, args=(stop.is_set,))
        thread.start()
        self.stack.callback(thread.join, 20)
        self.stack.callback(stop.set)
        self._address = self.stack.enter_context(in_front(engine, port, folder)).removeprefix("http://")

    def lead_to(self, app: Flask) -> None:
        """From now on who calls the application does so over HTTP."""
        inner = app.wsgi_app
        number = str(id(inner))
        self._applications[number] = inner

        def outer(environ: Environ, start: StartResponse) -> Iterable[bytes]:
            by_client = "REQUEST_URI" in environ  # werkzeug's test client's word, which no server of ours says
            return self._ask(number, environ, start) if by_client else inner(environ, start)

        app.wsgi_app = outer  # type: ignore[method-assign, assignment]

    def _dispatch(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        number = environ.pop("HTTP_" + APPLICATION.upper().replace("-", "_"), None)
        if number is None:  # the engine's checks
            start("200 OK", [("Content-Type", "text/plain")])
            return [b"ready"]
        return cast("Application", self._applications[number])(environ, start)

    def _ask(self, number: str, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        source = (_own_address(environ.get("HTTP_X_FORWARDED_FOR", "")), 0)
        connection = http.client.HTTPConnection(self._address, timeout=SECONDS_MAX, source_address=source)
        try:
            target = quote(str(environ["REQUEST_URI"]).encode("latin-1"), safe="/?&=%#:;,@!$'()*+[]~-._\\^|{}<>\"`")
            connection.putrequest(environ["REQUEST_METHOD"], target, skip_host=True, skip_accept_encoding=True)
            for name, value in _fields(environ):
                connection.putheader(name, value.encode("latin-1"))
            connection.putheader(APPLICATION, number)
            length = int(environ.get("CONTENT_LENGTH") or 0)
            connection.endheaders(environ["wsgi.input"].read(length) if length else None)
            answer = connection.getresponse()
            body = answer.read()
            fields = [(name.title(), value) for name, value in answer.getheaders() if name.lower() not in OF_THE_WAY]
        finally:
            connection.close()
        assert _has_passed(fields, body), f"E2: {environ['REQUEST_METHOD']} {target} did not pass the engine: {fields}"
        start(f"{answer.status} {answer.reason}", [field for field in fields if field[0].lower() != "via"])
        return [body]


def _own_address(claimed: str) -> str:
    """Who is said to come from an address comes from one here, for an engine believes no claim: 127.51.100.8 for 198.51.100.8."""
    parts = claimed.split(".")
    return ".".join(["127", *parts[1:]]) if len(parts) == 4 and all(map(str.isdigit, parts)) else HOST


def _has_passed(fields: list[tuple[str, str]], body: bytes) -> bool:
    """By the marks that every answer gets on its way; what HAProxy's parser refuses has none."""
    ours = PSEUDONYM.decode()
    known = {name.lower(): value for name, value in fields}
    marked = ours in known.get("via", "") or known.get("x-served-by") == "load_balancer"
    return marked or HAPROXY_PARSER in body


def _fields(environ: Environ) -> Iterator[tuple[str, str]]:
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            yield key.removeprefix("HTTP_").replace("_", "-").title(), value
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(key) not in (None, ""):
            yield key.replace("_", "-").title(), str(environ[key])


_ways: list[Way] = []
"""The one of this process, while tests run behind an engine."""


def through_the_engine(app: Flask) -> Flask:
    """The application as tests get it: as it is, or behind the engine of this run."""
    for way in _ways:
        way.lead_to(app)
    return app


@contextlib.contextmanager
def all_applications_behind(engine: str, folder: Path) -> Iterator[None]:
    way = Way(engine, folder)
    _ways.append(way)
    try:
        yield
    finally:
        _ways.remove(way)
        way.stack.close()
