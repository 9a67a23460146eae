"""HAProxy with our settings, in front of servers that play a script: what it does as our own engine does it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from load_balancer.admin import commands
from load_balancer.balancing.servers import Rules
from load_balancer.engines import launch
from load_balancer.http1.traces import trace_id
from load_balancer.options import AccessLogOptions, Address, Check, Options, ServerAddress, Timeouts
from load_balancer.stats.haproxy_csv import HEADER
from settings import Runtime, Secrets, Settings
from settings.addresses import Addresses
from tests.conftest import PATIENCE_SECONDS, ROOT, free_port, require, wait_until
from tests.load_balancer_clients_world import Answer, RawClient
from tests.load_balancer_world import Loop, Reset, ScriptedServer, Silence, echo

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello"
PAGE = b"Accept: text/html\r\n\r\n"


class Engine:
    """A running HAProxy, its servers, and raw clients."""

    def __init__(self, loop: Loop, servers: list[ScriptedServer], port: int, admin: int, log: Path) -> None:
        self.loop = loop
        self.servers = servers
        self.port = port
        self.admin = admin
        self.log = log

    def ask(self, data: bytes, *, for_head: bool = False) -> Answer:
        with RawClient(self.port) as client:
            client.send(data)
            return client.answer(for_head=for_head)

    def asked_of_admin(self, path: str) -> Answer:
        with RawClient(self.admin) as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            return client.answer()

    def up(self) -> int:
        try:
            return self.asked_of_admin("/stats;csv").body.decode().count(",UP,") - 1  # the backend's own row has it too
        except OSError:
            return 0


@pytest.fixture(scope="module")
def haproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    require("haproxy")
    state, loop = tmp_path_factory.mktemp("state"), Loop()
    servers = [ScriptedServer(f"s{number}") for number in (1, 2)]
    for server in servers:
        loop.run(server.listen())
    port, admin = free_port(), free_port()
    options = Options(
        listen=Address("127.0.0.1", port),
        servers=tuple(ServerAddress(server.name, Address("127.0.0.1", server.port)) for server in servers),
        admin=Address("127.0.0.1", admin),
        check=Check("/readyz", inter_seconds=0.2, timeout_seconds=10.0, rules=Rules(2, 1)),
        timeouts=Timeouts(connect_seconds=10.0, server_seconds=2.0, client_seconds=30.0),
        access_log=AccessLogOptions(state / "access.log", "json"),
    )
    with (state / "log").open("wb") as log:
        process = subprocess.Popen(launch.prepare(options, state), stdout=log, stderr=log)
    engine = Engine(loop, servers, port, admin, state / "log")
    try:
        wait_until(lambda: engine.up() == 2, 10.0, "both servers are UP")
        yield engine
    finally:
        process.send_signal(signal.SIGUSR1)
        assert process.wait(PATIENCE_SECONDS) == 0
        loop.stop()


@pytest.fixture(autouse=True)
def echoing(haproxy: Engine) -> Iterator[None]:
    yield
    for server in haproxy.servers:
        server.script, server.check_status = echo, 200
    wait_until(lambda: haproxy.up() == 2, 10.0, "both servers are UP")


def fields_of(request: bytes) -> dict[str, str]:
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def test_servers_and_clients_get_the_fields_that_ours_gives(haproxy: Engine) -> None:
    """H1."""
    answer = haproxy.ask(
        b"GET /a?b=c HTTP/1.1\r\nHost: Shop:8000\r\nForwarded: x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Port: 1\r\n"
        b"X-Real-IP: 1.2.3.4\r\nX-Request-Id: theirs\r\nX_Forwarded_For: 1\r\nProxy: x\r\nProxy-Foo: x\r\ntracestate: a=1\r\n"
        b"traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\nCookie: a=b\r\n\r\n"
    )
    fields = fields_of(answer.echoed)
    assert trace_id(fields.pop("traceparent").encode()) is not None
    assert fields == {
        "host": "Shop:8000",
        "cookie": "a=b",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "Shop:8000",
        "via": "1.1 cds-load-balancer",
        "x-request-id": answer.field("X-Request-Id"),
    }
    assert answer.field("X-Served-By") in ("s1", "s2")
    assert answer.field("Via") == "1.1 cds-load-balancer"
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    kept = fields_of(haproxy.ask(GET[:-2] + f"traceparent: {parent}\r\ntracestate: a=1\r\n\r\n".encode()).echoed)
    assert (kept["traceparent"], kept["tracestate"]) == (parent, "a=1")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /%72eadyz HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /x/../internal/a HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 204),
    ],
)
def test_what_stays_inside_stays_inside(haproxy: Engine, request_bytes: bytes, status: int) -> None:
    """H2."""
    for server in haproxy.servers:
        server.requests.clear()
    assert haproxy.ask(request_bytes).status == status
    assert [server.requests for server in haproxy.servers] == [[], []]


def test_errors_are_our_pages_and_our_problem_documents(haproxy: Engine) -> None:
    hidden = GET.replace(b"/a", b"/metrics")
    document = haproxy.ask(hidden)
    assert document.field("Content-Type") == "application/problem+json"
    assert json.loads(document.body)["request_id"] == document.field("X-Request-Id")
    page = haproxy.ask(hidden[:-2] + PAGE)
    assert page.field("Content-Type") == "text/html; charset=utf-8"
    assert f"404 · request {page.field('X-Request-Id')}" in page.body.decode()
    for answer in (document, page):
        assert answer.field("X-Served-By") == "load_balancer"
        assert answer.field("X-Not-Dispatched") == "1"
        assert "default-src 'none'" in (answer.field("Content-Security-Policy") or "")


def test_a_get_is_asked_again_and_a_post_is_not(haproxy: Engine) -> None:
    """H3."""
    haproxy.servers[0].requests.clear()
    haproxy.servers[0].script = lambda _: [Reset()]
    assert {haproxy.ask(GET).status for _ in range(2)} == {200}
    assert haproxy.servers[0].requests
    for server in haproxy.servers:
        server.requests.clear()
        server.script = lambda _: [Reset()]
    answer = haproxy.ask(POST)
    assert (answer.status, answer.field("X-Not-Dispatched")) == (502, None)
    assert len([request for server in haproxy.servers for request in server.requests]) == 1


def test_a_late_answer_is_a_504_and_no_server_at_all_a_503_that_says_so(haproxy: Engine) -> None:
    """H4."""
    for server in haproxy.servers:
        server.script = lambda _: [Silence()]
    assert haproxy.ask(POST).status == 504
    for server in haproxy.servers:
        server.check_status = 503
    wait_until(lambda: haproxy.asked_of_admin("/readyz").status == 503, 10.0, "no server is UP")
    answer = haproxy.ask(POST[:-7] + PAGE + b"hello")
    assert (answer.status, answer.field("X-Not-Dispatched"), answer.field("Retry-After")) == (503, "1", "1")
    assert '<p lang="pl">' in answer.body.decode()


def test_every_answer_has_a_line_without_its_query(haproxy: Engine) -> None:
    answer = haproxy.ask(
        b'GET /b?token=secret HTTP/1.1\r\nHost: a\r\nUser-Agent: a"b\r\nReferer: http://a/c?token=x\r\n\r\n'
    )
    request_id = answer.field("X-Request-Id") or "none"

    def lines() -> list[str]:
        return [line for line in haproxy.log.read_text().splitlines() if request_id in line]

    wait_until(lines, 5.0, "the line is written")
    told = json.loads(lines()[0])
    assert (told["status"], told["method"], told["target"], told["server"]) == (
        200,
        "GET",
        "/b",
        answer.field("X-Served-By"),
    )
    assert (told["referer"], told["user_agent"]) == ("http://a/c", 'a"b')
    assert "token" not in haproxy.log.read_text()


def test_our_csv_has_the_columns_that_haproxy_itself_prints(haproxy: Engine) -> None:
    """In their order; behind them HAProxy has those of its modules, and later versions put new ones at the end."""
    header = haproxy.asked_of_admin("/stats;csv").body.decode().partition("\n")[0]
    assert header.startswith(HEADER.rstrip(","))


class Life:
    """HAProxy as the supervisor starts it: it shows its sockets, which a later life inherits."""

    def __init__(self, state: Path, held: Sequence[int] = ()) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "load_balancer", "--state", str(state), "--notify-fd", str(theirs.fileno())]
        command += ["--listen-fds", ",".join(map(str, held))] if held else []
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, pass_fds=[theirs.fileno(), *held])
        theirs.close()
        with ours:
            ours.settimeout(20)
            self.sockets = socket.recv_fds(ours, 64, 8)[1]

    def end(self, sent: signal.Signals) -> int:
        self.process.send_signal(sent)
        with self.process:
            return self.process.wait(PATIENCE_SECONDS)

    def leave_nothing(self) -> None:
        self.process.kill()
        self.process.wait(10)
        for number in self.sockets:
            os.close(number)


def test_a_systems_balancer_becomes_haproxy_and_nobody_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """E1, E2: as the supervisor starts it; SIGUSR1 is what it is stopped with. Its words to people: R1, R2."""
    require("haproxy")
    settings = Settings.model_validate({"load_balancer": {"engine": "haproxy"}})
    addresses = Addresses(26_200)
    secrets = Secrets.read_or_make(tmp_path, ["m1"])
    Runtime(
        tmp_path, settings, addresses, "postgresql+psycopg://", "postgres", broker_is_ours=False, secrets=secrets
    ).write()
    first = Life(tmp_path)
    request.addfinalizer(first.leave_nothing)
    wait_until(lambda: _status(addresses.shop) == 200, 20.0, "it is alive")
    assert commands.set_state(tmp_path, "web-2", "drain") == commands.set_weight(tmp_path, "web-1", 7) == 0
    capsys.readouterr()
    assert commands.servers(tmp_path, as_json=True) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["web-2"]["admin"], rows["web-1"]["weight"]) == ("drain", 7)
    assert rows["web-1"]["address"] == f"127.0.0.1:{addresses.web(1)}"
    assert (commands.set_state(tmp_path, "web-9", "drain"), commands.set_state(tmp_path, "web-1", "gone")) == (1, 1)
    assert "no server is called 'web-9'" in capsys.readouterr().err

    first.end(signal.SIGKILL)
    with RawClient(addresses.shop) as waiting:
        waiting.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        second = Life(tmp_path, first.sockets)
        request.addfinalizer(second.leave_nothing)
        assert waiting.answer().status == 200
    third = Life(tmp_path, second.sockets)
    request.addfinalizer(third.leave_nothing)
    assert second.end(signal.SIGUSR1) == 0
    assert _status(addresses.shop) == 200, "the sockets outlive a graceful end"
    assert third.end(signal.SIGUSR1) == 0


def _status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
