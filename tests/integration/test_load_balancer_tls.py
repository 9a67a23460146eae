"""TLS at the balancer's own address: what holds without it holds with it, and what only it can get wrong."""

import contextlib
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from load_balancer.options import Address, CertificateFiles, Limits, TlsOptions
from settings import self_signed
from tests.conftest import free_port
from tests.integration.test_load_balancer_tunnels import ASK, accept
from tests.load_balancer_clients_world import RawClient, tls_options, trusting
from tests.load_balancer_world import World, echo, ok, world
from tests.unit.test_load_balancer_requests import ROWS

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"


@pytest.fixture(scope="module")
def secret() -> Iterator[World]:
    redirect = Address("127.0.0.1", free_port())
    with world(1, tls=tls_options(), redirect=redirect, body_bytes_max=1_000, behind_tls=True) as running:
        yield running


def shaken(context: ssl.SSLContext, running: World, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """A client whose handshake is done."""
    plain = socket.create_connection(("127.0.0.1", running.port), 10)
    return context.wrap_socket(plain, server_hostname="localhost", session=session)


def test_servers_are_told_that_the_client_came_over_tls(secret: World) -> None:
    echoed = secret.ask(GET).echoed
    assert b"\r\nX-Forwarded-Proto: https\r\n" in echoed
    assert b"\r\nX-Forwarded-For: 127.0.0.1\r\n" in echoed


def test_every_row_has_the_same_verdict_as_without_tls(secret: World) -> None:
    server = secret.servers[0]
    server.script = echo
    for row in ROWS:
        server.requests.clear()
        with secret.connect() as client:
            client.send(row.data)
            if row.eof:
                client.end()
            answers = [client.answer(for_head=not row.status and row.data.startswith(b"HEAD"))]
            while answers[-1].status in (100, 200) and (row.status or len(answers) < row.requests):
                answers.append(client.answer())
            assert answers[-1].status == (row.status or answers[-1].status), row.name
            assert row.status or answers[-1].status in (100, 200, 204), row.name
            if row.status:
                assert client.closed(), row.name
        assert server.stray == []


def test_our_own_answers_keep_browsers_to_tls(secret: World) -> None:
    answer = secret.ask(b"GET /internal/x HTTP/1.1\r\nHost: shop\r\n\r\n")
    assert answer.status == 404
    assert answer.field("Strict-Transport-Security")


def test_only_modern_tls_and_http_1_1_are_agreed_on(secret: World) -> None:
    """Q1."""
    context = ssl.create_default_context(cafile=tls_options().certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with shaken(context, secret) as client:
        assert (client.version(), client.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(tls_options().certificate)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = old.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shaken(old, secret)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_taken_up_again(secret: World, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=tls_options().certificate)
    context.minimum_version = context.maximum_version = version
    session, reused = None, []
    for _ in range(2):
        with shaken(context, secret, session) as client:
            client.sendall(GET)
            assert client.recv(100)
            session = client.session
            reused.append(client.session_reused)
    assert reused == [False, True]


@pytest.mark.parametrize("said", [GET, b"POST / HTTP/1.1\r\n", b"CONNECT x:443 HTTP/1.1\r\n\r\n"])
def test_who_speaks_plain_http_is_told_so_in_plain_http(secret: World, said: bytes) -> None:
    """Z5."""
    with RawClient(secret.port) as client:
        client.send(said)
        answer = client.answer()
        assert (answer.status, answer.field("X-Not-Dispatched")) == (400, "1")
        assert b"https://" in answer.body
        assert client.closed()


@pytest.mark.parametrize("said", [b"\x00" * 100, b"SSH-2.0-x\r\n", b"\x16\x03\x01\x00\x05hello"])
def test_what_is_no_handshake_just_ends(secret: World, said: bytes) -> None:
    """Z5."""
    before = secret.balancer.own.handshakes_failed
    with RawClient(secret.port) as client:
        client.send(said)
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in client.rest()
    secret.until(lambda: secret.balancer.own.handshakes_failed > before, "it was counted")
    secret.until(lambda: not secret.balancer.clients, "and is gone")


def test_a_half_close_ends_one_direction_only(secret: World) -> None:
    """Z4, T07: by close_notify alone, and by the connection's end alone."""
    server = secret.servers[0]
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = trusting(tls_options().certificate).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", secret.port), 10) as connection:

        def pump(step: object) -> None:
            while True:
                try:
                    step()  # type: ignore[operator]
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65_536))
                else:
                    connection.sendall(outgoing.read())
                    return

        pump(session.do_handshake)
        server.script = lambda _: ok(b"whole")
        session.write(GET)
        with contextlib.suppress(ssl.SSLWantReadError):
            session.unwrap()  # close_notify goes out with the request
        connection.sendall(outgoing.read())
        received = b""
        while not received.endswith(b"whole"):
            incoming.write(connection.recv(65_536))
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                while data := session.read(65_536):
                    received += data
    with secret.connect() as client:
        client.send(GET)
        client.end()
        assert client.answer().body == b"whole"


def test_a_handshake_and_a_request_may_come_byte_by_byte(secret: World) -> None:
    """T12: the same verdict; half a record lies with OpenSSL."""
    secret.servers[0].script = echo
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = trusting(tls_options().certificate).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with RawClient(secret.port) as client:
        while True:
            try:
                session.do_handshake()
            except ssl.SSLWantReadError:
                client.send(outgoing.read(), piece=1)
                incoming.write(client.socket.recv(65_536))
            else:
                break
        session.write(GET[:20])
        session.write(GET[20:])
        client.send(outgoing.read(), piece=1)
        received = b""
        while b"X-Forwarded-Proto: https" not in received:
            incoming.write(client.socket.recv(65_536))
            with contextlib.suppress(ssl.SSLWantReadError):
                received += session.read(65_536)
        assert received.startswith(b"HTTP/1.1 200 ")


def test_what_comes_behind_our_goodbye_is_no_error(secret: World, caplog: pytest.LogCaptureFixture) -> None:
    """D2 over TLS: records, garbage and a change of keys are read and forgotten; nothing can be said any more."""
    for behind in (b"\x17\x03\x03\x00\x20" + b"x" * 32, b"garbage" * 10):
        with secret.connect() as client:
            client.send(b"nonsense\r\n\r\n")
            assert client.answer().status == 400
            socket.socket.sendall(client.socket, behind)  # past the layer of TLS
            secret.until(lambda: not secret.balancer.clients, "it is gone")
    assert not [record for record in caplog.records if record.exc_info]


def test_a_large_answer_arrives_whole_and_a_client_that_does_not_read_is_cut_off() -> None:
    """Z3: nothing but TCP's own write buffer grows."""
    with world(1, tls=tls_options()) as running:
        server = running.servers[0]
        server.script = lambda _: ok(b"a" * 3_000_000)
        assert len(running.ask(GET).body) == 3_000_000
        server.script = lambda _: ok(b"a" * 50_000_000)
        with running.connect() as client:
            client.send(GET)
            assert 0 < running.most_that_waits(server) < 1_500_000
        running.until(lambda: not running.balancer.clients, "it has gone by itself")
        with running.connect() as client:
            running.hurry(client_seconds=0.3)
            client.send(GET)
            running.until(lambda: len(server.requests) == 3, "the server answers")
            running.until(lambda: not running.balancer.clients, "the client was cut off")


def test_a_handshake_has_its_time_and_counts_as_a_connection() -> None:
    """Z1, Z2: who says nothing, or not all, is gone then; who comes beyond a limit is not shaken hands with."""
    tls = TlsOptions(tls_options().certificate, tls_options().key, handshake_seconds=2.0)
    limits = Limits(connections_per_address_max=2, exempt_networks=())
    with world(1, tls=tls, limits=limits) as running:
        with RawClient(running.port) as silent, RawClient(running.port) as slow:
            slow.send(b"\x16\x03\x01\x02\x00\x01")
            running.until(lambda: len(running.balancer.clients) == 2, "both are counted")
            with pytest.raises(OSError):  # noqa: PT011 - reset, or ended within the handshake
                running.connect()
            assert silent.closed()
            assert slow.closed()
        with running.connect() as client:
            client.send(GET)
            assert client.answer().status == 200
        running.until(lambda: running.balancer.admission.places == 0, "nobody is counted any more")


def test_tunnels_run_over_tls(secret: World) -> None:
    server = secret.servers[0]
    server.script = accept
    with secret.connect() as client:
        client.send(ASK)
        assert client.answer().status == 101
        client.send(b"\x81\x00")
        secret.until(lambda: bytes(server.tunnelled) == b"\x81\x00", "bytes arrive")
        server.say(b"pong", secret)
        assert client._exactly(4) == b"pong"
    secret.until(lambda: not secret.balancer.clients, "it is over")


def test_a_drain_ends_idle_clients_and_those_within_a_handshake() -> None:
    with world(1, tls=tls_options()) as running, running.connect() as idle, RawClient(running.port) as silent:
        idle.send(GET)
        idle.answer()
        running.until(lambda: len(running.balancer.clients) == 2, "both are here")
        running.loop.call(running.balancer.drain)
        assert idle.closed()
        assert silent.closed()


def test_a_certificate_is_read_again_for_new_connections_only(tmp_path: Path) -> None:
    """Q2: one that cannot be used changes nothing."""
    mine = self_signed.paths(tmp_path)
    self_signed.ensure(tmp_path, "127.0.0.1")
    with world(1, tls=TlsOptions(*mine)) as running:
        old = running.connect()
        first = old.socket.getpeercert(binary_form=True)  # type: ignore[attr-defined]
        mine[0].unlink()
        shutil.copy(mine[1], tmp_path / "old key")
        self_signed.ensure(tmp_path, "127.0.0.1")
        running.loop.run(running.service.operator.reload())
        context = ssl.create_default_context(cafile=mine[0])
        with shaken(context, running) as new:
            assert new.getpeercert(binary_form=True) != first
        old.send(GET)
        assert old.answer().status == 200
        old.socket.close()
        shutil.copy(tmp_path / "old key", mine[1])
        running.loop.run(running.service.operator.reload())
        event = running.loop.call(running.balancer.figures).events[-1]
        assert (event.server, event.after) == ("certificate", "REFUSED")
        assert "does not belong" in event.reason
        shaken(context, running).close()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[CertificateFiles]:
    """For localhost and a.example, for b.example, for all of c.example; the latter two for localhost, too."""
    files = []
    for host in ("a.example", "b.example", "*.c.example"):
        folder = tmp_path_factory.mktemp("certificates")
        self_signed.ensure(folder, host)
        files.append(CertificateFiles(*self_signed.paths(folder)))
    return files


def shown(running: World, name: str | None, trusted: CertificateFiles, version: ssl.TLSVersion | None = None) -> bytes:
    """The certificate that somebody gets who asks for this name; SSLError if there was no handshake."""
    context = ssl.create_default_context(cafile=trusted.certificate)
    context.check_hostname = name is not None and name != "elsewhere.example"
    context.set_alpn_protocols(["http/1.1"])
    if version is not None:
        context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", running.port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as client,
    ):
        assert client.selected_alpn_protocol() == "http/1.1"
        client.sendall(GET)
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        return client.getpeercert(binary_form=True) or b""


def test_each_client_gets_the_certificate_of_the_name_that_it_asks_for(three: list[CertificateFiles]) -> None:
    """Q3, with both versions of TLS; all certificates are read again together."""
    first, second, third = three
    with world(1, tls=TlsOptions(first.certificate, first.key, further=(second, third))) as running:
        own = shown(running, "a.example", first)
        assert own == shown(running, "localhost", first) == shown(running, None, first)
        assert own == shown(running, "elsewhere.example", first)
        others = {shown(running, "B.example", second, version) for version in (ssl.TLSVersion.TLSv1_2, None)}
        assert len(others | {own, shown(running, "x.c.example", third)}) == 3
        with pytest.raises(ssl.SSLCertVerificationError):
            shown(running, "x.y.c.example", third)
        assert running.balancer.certificate is not None
        assert {"a.example", "b.example", "*.c.example"} <= running.balancer.certificate.names
        assert second.key is not None
        before = {file: file.read_bytes() for file in (second.certificate, second.key)}
        try:
            second.certificate.unlink()
            running.loop.run(running.service.operator.reload())
            assert second.key.exists()
            self_signed.ensure(second.certificate.parent.parent, "b.example")
            running.loop.run(running.service.operator.reload())
            assert shown(running, "b.example", second) not in others
        finally:
            for file, data in before.items():
                file.write_bytes(data)


def test_strict_sni_shakes_hands_with_nobody_else(
    three: list[CertificateFiles], caplog: pytest.LogCaptureFixture
) -> None:
    """Q3: the alert says why; who asks for a name of the default certificate gets it."""
    first, second, _ = three
    caplog.set_level("INFO")
    with world(1, tls=TlsOptions(first.certificate, first.key, further=(second,), strict_sni=True)) as running:
        for name in (None, "elsewhere.example"):
            with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
                shown(running, name, first)
        assert shown(running, "a.example", first) != shown(running, "b.example", second)
    assert caplog.text.count("no certificate is for the name that it asks for") == 2


def test_a_session_is_taken_up_again_with_a_further_certificate(three: list[CertificateFiles]) -> None:
    first, second, _ = three
    context = ssl.create_default_context(cafile=second.certificate)
    with world(1, tls=TlsOptions(first.certificate, first.key, further=(second,))) as running:
        session, reused = None, []
        for _ in range(2):
            plain = socket.create_connection(("127.0.0.1", running.port), 10)
            with context.wrap_socket(plain, server_hostname="b.example", session=session) as client:
                client.sendall(GET)
                assert client.recv(100)
                session = client.session
                reused.append(client.session_reused)
    assert reused == [False, True]


@pytest.mark.parametrize(
    ("request_", "status", "to"),
    [
        (b"GET /a?b=c HTTP/1.1\r\nHost: localhost:8080\r\n\r\n", 308, "localhost"),
        (b"GET /a?b=c HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n", 308, "localhost"),
        (b"GET /a?b=c HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 308, "[::1]"),
        (b"POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello", 308, "127.0.0.1"),
        (b"GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, None),
        (b"GET /a HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 421, None),
        (b"GET http://evil.example/a HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, None),
        (b"GET /internal/a HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, None),
        (b"GET //evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 308, "localhost"),
        (b"GET /a\r\nHost: localhost\r\n\r\n", 400, None),
    ],
)
def test_plain_http_is_led_to_tls_at_our_own_hosts_only(
    secret: World, request_: bytes, status: int, to: str | None
) -> None:
    """J1, J2."""
    redirect = secret.balancer.options.redirect
    assert redirect is not None
    with RawClient(redirect.port) as client:
        client.send(request_)
        answer = client.answer()
        assert answer.status == status
        target = request_.split(b" ")[1].decode()
        assert answer.field("Location") == (None if to is None else f"https://{to}:{secret.port}{target}")
        assert answer.field("Strict-Transport-Security") is None
    assert not [request for request in secret.requests if b"/a" in request and b"evil" in request]
