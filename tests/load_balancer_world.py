"""A balancer in this process, servers that play a script and record every byte, and clients that send raw bytes."""

import asyncio
import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import uvloop

from load_balancer.balancing.members import ServerOptions
from load_balancer.options import Address, Check, Options, ServerAddress, Timeouts
from load_balancer.proxy.balancer import Balancer
from load_balancer.proxy.frontend import Client
from load_balancer.service import Service, serving
from tests.conftest import free_port
from tests.load_balancer_clients_world import SECONDS_MAX, Answer, RawClient

Result = TypeVar("Result")


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SECONDS_MAX)

    def call(self, function: Callable[[], Result]) -> Result:
        async def inside() -> Result:
            return function()

        return self.run(inside())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS_MAX)
        self._loop.close()


@dataclass(frozen=True)
class Send:
    """A step of a script: these bytes go out."""

    data: bytes


class Close:
    """A step of a script: the connection ends in good order."""


class Reset:
    """A step of a script: the connection is reset."""


class Tunnel:
    """A step of a script: from now on the connection carries bytes, which are collected."""


class Silence:
    """A step of a script: nothing, and the connection stays open."""


Script = list[Send | Close | Reset | Silence | Tunnel]


def ok(body: bytes = b"ok", fields: bytes = b"") -> Script:
    return [Send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), fields, body))]


def echo(request: bytes) -> Script:
    """Answers with the request, as JSON text that holds each byte."""
    return ok(json.dumps(request.decode("latin-1")).encode())


@dataclass
class ScriptedServer:
    """``script``: request -> steps. Checks are answered apart, by ``check_status``, and not recorded."""

    name: str
    script: Callable[[bytes], Script] = echo
    check_status: int | None = 200
    check_fields: bytes = b""
    requests: list[bytes] = field(default_factory=list)
    stray: list[bytes] = field(default_factory=list)
    tunnelled: bytearray = field(default_factory=bytearray)
    ends: int = 0  # of tunnels, as clients ended them
    goes_on: bool = False  # after such an end
    resets: int = 0
    connections: set["_Connection"] = field(default_factory=set)
    port: int = 0

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> None:
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), host, port, backlog=1024)
        self._server = server
        self.port = server.sockets[0].getsockname()[1]

    def vanish(self) -> None:
        """Like kill -9: nobody listens, all connections are reset."""
        self._server.close()
        for connection in tuple(self.connections):
            connection.reset()

    def say(self, data: bytes, world: "World") -> None:
        """Send on every open connection, asked or not."""

        def say_all() -> None:
            for connection in self.connections:
                connection.transport.write(data)

        world.loop.call(say_all)

    def each(self, what: Callable[[asyncio.Transport], None], world: "World") -> None:
        """Do this with every open connection."""

        def all_of_them() -> None:
            for connection in tuple(self.connections):
                what(connection.transport)

        world.loop.call(all_of_them)

    def unsent(self) -> int:
        """Bytes that wait for a client to read; to be asked in the loop."""
        return sum(connection.transport.get_write_buffer_size() for connection in self.connections)

    @property
    def paths(self) -> list[str]:
        return [request.split(b" ")[1].decode() for request in self.requests]


class _Connection(asyncio.Protocol):
    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self._buffer = b""
        self._tunnel = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._server.resets += error is not None
        if self._buffer:
            self._server.stray.append(self._buffer)

    def eof_received(self) -> bool:
        self._server.ends += self._tunnel
        return self._tunnel and self._server.goes_on

    def data_received(self, data: bytes) -> None:
        if self._tunnel:
            self._server.tunnelled += data
            return
        self._buffer += data
        while (end := self._end_of_request()) is not None:
            request, self._buffer = self._buffer[:end], self._buffer[end:]
            if b"\r\nuser-agent: health-check\r\n" in request.lower():  # HAProxy writes all names small
                if self._server.check_status is not None:
                    answer = self._server.check_status, self._server.check_fields
                    self.transport.write(b"HTTP/1.1 %d X\r\n%bContent-Length: 0\r\n\r\n" % answer)
                continue
            self._server.requests.append(request)
            self._play(self._server.script(request))

    def _end_of_request(self) -> int | None:
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return None
        if b"\r\nTransfer-Encoding: chunked\r\n" in self._buffer[: head + 2]:
            last = self._buffer.find(b"\r\n0\r\n\r\n", head + 2)
            return None if last < 0 else last + 7
        match = re.search(rb"\r\nContent-Length: (\d+)\r\n", self._buffer[: head + 2])
        end = head + 4 + (int(match[1]) if match else 0)
        return end if len(self._buffer) >= end else None

    def _play(self, script: Script) -> None:
        for step in script:
            if isinstance(step, Send):
                self.transport.write(step.data)
            elif isinstance(step, Tunnel):
                self._tunnel = True
                self._server.tunnelled += self._buffer
                self._buffer = b""
            elif isinstance(step, Close):
                self.transport.close()
            elif isinstance(step, Reset):
                self.reset()

    def reset(self) -> None:
        descriptor = self.transport.get_extra_info("socket").fileno()
        with contextlib.suppress(OSError):
            duplicate = socket.socket(fileno=socket.dup(descriptor))
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            duplicate.close()
        self.transport.abort()


class World:
    """A balancer, its servers, and raw clients."""

    def __init__(self, loop: Loop, servers: list[ScriptedServer], service: Service) -> None:
        self.loop = loop
        self.servers = servers
        self.service = service
        self.host, self.port = service.listener.sockets[0].getsockname()[:2]

    @property
    def balancer(self) -> Balancer:
        return self.service.balancer

    @property
    def requests(self) -> list[bytes]:
        return [request for server in self.servers for request in server.requests]

    def until(self, condition: Callable[[], object], what: str, seconds: float = SECONDS_MAX) -> None:
        deadline = time.monotonic() + seconds
        while not self.loop.call(condition):
            if time.monotonic() > deadline:
                raise AssertionError(f"after {seconds} s still not true: {what}")
            time.sleep(0.005)

    def hurry(self, **timeouts: float) -> None:
        """From now on these deadlines hold, for what begins then: until then nothing was ended that a busy machine delayed."""

        def change() -> None:
            options = self.balancer.options
            self.balancer.options = replace(options, timeouts=replace(options.timeouts, **timeouts))

        self.loop.call(change)

    def most_that_waits(self, server: ScriptedServer) -> int:
        """Until the server, which has more to say than all buffers on the way can take, gets nothing rid any more: the most
        bytes that waited in the balancer's memory for its clients."""
        most: list[int] = []
        unsent: list[int] = []

        def stopped() -> bool:
            clients = cast("set[Client]", self.balancer.clients)
            most.append(sum(client._transport.get_write_buffer_size() for client in clients))
            unsent.append(server.unsent())
            return len(unsent) > 20 and unsent[-20] == unsent[-1] > 0

        self.until(stopped, "the server cannot send any more")
        return max(most)

    def connect(self, source: str = "") -> "RawClient":
        """``source``: the address that it comes from."""
        client = RawClient(self.port, self.host, source)
        tls = self.balancer.options.tls
        if tls is not None:
            client.secure(tls)
        return client

    def ask(self, data: bytes, *, for_head: bool = False) -> "Answer":
        """One request on a connection of its own, and its answer."""
        with self.connect() as client:
            client.send(data)
            return client.answer(for_head=for_head)


# Longer than any test: whoever needs one of them to be over replaces that one, so that a busy machine ends nothing else.
PATIENT = Timeouts(
    connect_seconds=60.0,
    server_seconds=60.0,
    client_seconds=60.0,
    http_request_seconds=60.0,
    queue_seconds=60.0,
    keep_alive_seconds=60.0,
    client_fin_seconds=60.0,
    drain_seconds=60.0,
)
QUICK_CHECK = Check(path="/readyz", inter_seconds=0.1, timeout_seconds=30.0)
PATIENT_CHECK = Check(path="/readyz", inter_seconds=60.0, timeout_seconds=30.0)


@contextlib.contextmanager
def world(
    count: int = 1, lines: Mapping[str, ServerOptions] | None = None, host: str = "127.0.0.1", **changes: Any
) -> Iterator[World]:
    """A balancer in front of ``count`` scripted servers, all on ``host`` and UP; ``changes`` go into its Options.

    ``lines``: what stands behind a server's address, by the name of the server (s1, s2, …).
    """
    loop = Loop()
    stack = contextlib.AsyncExitStack()
    servers = [ScriptedServer(f"s{number}") for number in range(1, count + 1)]
    try:
        for server in servers:
            loop.run(server.listen(host))
        settings: dict[str, Any] = {"timeouts": PATIENT, "check": QUICK_CHECK} | changes
        options = Options(
            listen=Address(host, free_port(host=host)),
            servers=tuple(
                ServerAddress(server.name, Address(host, server.port), (lines or {}).get(server.name, ServerOptions()))
                for server in servers
            ),
            **settings,
        )
        running = World(loop, servers, loop.run(stack.enter_async_context(serving(options))))
        running.until(lambda: running.balancer.ready_servers == count, "all servers are UP")
        yield running
    finally:
        loop.run(stack.aclose())
        loop.stop()
