"""Both carriers for tests, each behind a wire that can be cut, silenced and unplugged."""

import contextlib
import json
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pika
import psycopg

from broker import STOCK_DEPLETED, Carrier, Handler, Message
from broker.postgres import PostgresCarrier
from broker.rabbitmq import Access, Names, RabbitCarrier
from settings.model import Broker
from tests.conftest import INSTALLATION, PATIENCE_SECONDS, free_port, plain, wait_until

KINDS = ["rabbitmq", "postgres"]
NAMES = Names(INSTALLATION)


class Wire:
    """A TCP forwarder on a port of its own in front of a real server."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener: socket.socket | None = None
        self.port = free_port()
        self.plug()

    def plug(self) -> None:
        """Accept connections (again, on the same port)."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def unplug(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> int:
        """Reset every open connection; how many sockets that were."""
        with self._lock:
            cut, self._sockets = self._sockets, []
        for end in cut:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        return len(cut)

    def silence(self) -> None:
        """Let connections open and live, but pass nothing on."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self.resume()
        self.unplug()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            with self._lock:
                self._sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._flowing.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def make_carrier(kind: str, url: str, settings: dict[str, Any]) -> Carrier:
    """``settings`` are not validated: a heartbeat of 1 s is too short to use, but long enough to test. Nor does
    `declare` wait until new queues are on disk: only the test that kills the broker needs that.
    """
    broker = Broker.model_construct(**{**Broker().model_dump(), **settings})
    return (
        RabbitCarrier(Access(url, broker, NAMES), settle_seconds=0.0)
        if kind == "rabbitmq"
        else PostgresCarrier(url, broker)
    )


@dataclass
class World:
    """One carrier, queues that no other test uses, and a wire to the broker."""

    kind: str
    direct_url: str
    settings: dict[str, Any]
    wire: Wire
    recipients: list[str] = field(default_factory=lambda: [f"{uuid.uuid4().hex[:8]}{place}" for place in "ab"])

    @classmethod
    def make(cls, kind: str, direct_url: str, **settings: Any) -> "World":
        parts = urlsplit(direct_url)
        return cls(kind, direct_url, settings, Wire((parts.hostname or "", parts.port or 0)))

    @property
    def url(self) -> str:
        parts = urlsplit(self.direct_url)
        return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{self.wire.port}"))

    @property
    def recipient(self) -> str:
        return self.recipients[0]

    def carrier(self, **settings: Any) -> Carrier:
        """By the wire."""
        return make_carrier(self.kind, self.url, self.settings | settings)

    @property
    def admin(self) -> Carrier:
        """Past the wire."""
        return make_carrier(self.kind, self.direct_url, self.settings)

    def description(self, recipients: list[str]) -> str:
        """What another process needs to consume these queues."""
        return json.dumps(
            {"kind": self.kind, "url": self.direct_url, "settings": self.settings, "recipients": recipients}
        )

    def message(self, recipient: str | None = None, **body: Any) -> Message:
        return Message(uuid.uuid4(), STOCK_DEPLETED, recipient or self.recipient, body)

    def put_raw(self, raw: bytes, message_id: str = "", content_type: str | None = "application/json") -> None:
        """Bytes straight into the first queue, as somebody might who is not our publisher."""
        if self.kind == "rabbitmq":
            properties = pika.BasicProperties(message_id=message_id or None, content_type=content_type)
            with self.amqp() as connection:
                connection.channel().basic_publish("", NAMES.queue_of(self.recipient), raw, properties)
        else:
            with psycopg.connect(plain(self.direct_url), autocommit=True) as connection:
                connection.execute(
                    "INSERT INTO broker.message (recipient, message_id, raw) VALUES (%s, %s, %s)",
                    [self.recipient, message_id, raw],
                )

    @contextlib.contextmanager
    def amqp(self) -> Iterator[pika.BlockingConnection]:
        connection = pika.BlockingConnection(pika.URLParameters(self.direct_url))
        try:
            yield connection
        finally:
            if connection.is_open:
                connection.close()

    def wait_depth(self, expected: int, recipient: str | None = None) -> None:
        name = recipient or self.recipient
        wait_until(lambda: self.admin.depth([name]) == {name: expected}, 20, f"{expected} messages wait for {name}")


class Consuming:
    """A consumer at work in a thread; ends with the ``with`` block, and re-raises what ended it before."""

    def __init__(self, carrier: Carrier, recipients: list[str], handler: Handler | None = None) -> None:
        self.messages: list[Message] = []
        self.stop = threading.Event()
        self._handler = handler
        self._error: BaseException | None = None
        self._run: Callable[[], None] = lambda: carrier.consumer(recipients).run(self._handle, self.stop)
        self.thread = threading.Thread(target=self._guarded, daemon=True)

    def _guarded(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - shown by the test that owns this thread
            self._error = error

    def _handle(self, message: Message) -> None:
        if self._handler is not None:
            self._handler(message)
        self.messages.append(message)

    def wait_for(self, count: int, seconds: float = 20) -> None:
        wait_until(lambda: len(self.messages) >= count, seconds, f"{count} messages are handled")

    def __enter__(self) -> "Consuming":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(PATIENCE_SECONDS)
        if self._error is not None:
            raise self._error
        if self.thread.is_alive():
            raise AssertionError("the consumer did not stop")
