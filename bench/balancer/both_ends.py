"""Client and servers in one process on one core: how long a proxy keeps what is sent to it at a rate of so many a second.

wrk asks only when it was answered, only on full milliseconds, and shares its core with the servers: whoever of the two
computes keeps the other waiting for a slice of the scheduler's, some milliseconds, and that counts as the proxy's time.

E1  Requests are sent at random moments (a Poisson process), whatever became of those before.
E2  The kernel stamps what arrives, so nobody waits for this process; what it is late with its own sending is told.
E3  What a request spends here as the server's is taken off: the server writes it into the answer.

So a request's time is the proxy's: from its sending to its arrival at the server, and from the answer's sending to its
arrival at the client. ``python -m bench.balancer.both_ends SERVER_PORT…`` serves; a line `PORT RATE SECONDS` on its
input has it ask the proxy at that port, and one line of JSON tells the percentiles in milliseconds.
"""

import gc
import itertools
import json
import random
import select
import socket
import struct
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from typing import Any, Final

from bench.balancer.client import PAGES, VISITORS, visitors_heads

CONNECTIONS: Final = 256  # more cannot be under way at a time; a request that finds none is late
_SO_TIMESTAMPNS: Final = 35  # of Linux (asm-generic/socket.h); Python has no name for it
_STAMP: Final = struct.Struct("qq")  # what comes with it: a timespec
_STAMP_ROOM: Final = 64
_READ_BYTES: Final = 65_536
_SENT_IN_A_ROW_MAX: Final = 4  # before it looks for what has come
_PATIENCE_SECONDS: Final = 2.0  # for the last answers
_PAUSE_SECONDS: Final = 0.1  # in which the new connections are accepted
_WARMING_SECONDS: Final = 0.2  # of requests that are not counted, while proxies connect to servers
_DIGITS: Final = 12  # E3, in nanoseconds
_FILLING: Final = b"x" * 988 + b"</p>"
_OK: Final = b"HTTP/1.1 200 "
_FIELDS: Final = (
    "Content-Type: text/html\r\nConnection: keep-alive\r\nCache-Control: private, no-store\r\n"
    "X-Content-Type-Options: nosniff\r\n"
)


class Servers:
    """All of them: one answer for every request."""

    def __init__(self, poll: select.epoll, ports: Iterable[int]) -> None:
        self._poll = poll
        self._listening: dict[int, socket.socket] = {}
        self._connections: dict[int, socket.socket] = {}
        self._heads: dict[int, bytes] = {}  # that are not complete
        self._opening = b""
        self.second = 0
        for port in ports:
            listening = socket.create_server(("127.0.0.1", port), backlog=1024)
            listening.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # for what comes before ``accept``
            self._listening[listening.fileno()] = listening
            poll.register(listening, select.EPOLLIN)

    def take(self, descriptor: int) -> None:
        """Something came here."""
        listening = self._listening.get(descriptor)
        if listening is not None:
            connection = _ready(listening.accept()[0], self._poll)
            self._connections[connection.fileno()] = connection
            return
        connection = self._connections[descriptor]
        try:
            data, stamp, _, _ = connection.recvmsg(_READ_BYTES, _STAMP_ROOM)
        except BlockingIOError:
            return  # what came was for another connection that had this descriptor before
        except ConnectionResetError:
            data, stamp = b"", []
        if not data:
            self._poll.unregister(connection)
            del self._connections[descriptor]
            self._heads.pop(descriptor, None)
            connection.close()
        elif not data.endswith(b"\r\n\r\n"):
            self._heads[descriptor] = self._heads.get(descriptor, b"") + data
        else:
            self._heads.pop(descriptor, None)
            here = time.time() - _seconds(stamp)
            connection.send(b"%b<p>%0*d%b" % (self._opening, _DIGITS, max(0, int(here * 1e9)), _FILLING))

    def new_second(self, now: float) -> None:
        """Answers have another Date."""
        self.second = int(now) + 1
        length = len(b"<p>") + _DIGITS + len(_FILLING)
        date = formatdate(now, usegmt=True)
        self._opening = f"HTTP/1.1 200 OK\r\nDate: {date}\r\n{_FIELDS}Content-Length: {length}\r\n\r\n".encode()


class Clients:
    """What is asked of one proxy, and how long it took."""

    def __init__(self, poll: select.epoll, port: int, rate: float, seconds: float) -> None:
        self._poll = poll
        self._port = port
        dice = random.Random(1)  # the same for all proxies
        count = int(rate * seconds)
        self._openings, self._endings = visitors_heads()
        self._pages = array("H", (dice.randrange(PAGES) for _ in range(count)))
        self._visitors = array("H", (dice.randrange(VISITORS) for _ in range(count)))
        gaps = [dice.expovariate(rate) for _ in range(count)]
        self._next = 0
        self._connections: dict[int, socket.socket] = {}
        self._free: deque[socket.socket] = deque()
        self._sent: dict[int, float] = {}
        self._answers: dict[int, bytes] = {}  # that are not complete
        self.taken = array("d")
        self.late = array("d")
        for _ in range(CONNECTIONS):
            self._connect()
        began = time.time() + _PAUSE_SECONDS
        self.counted_from = began + _WARMING_SECONDS
        self._due = array("d", itertools.accumulate(gaps, initial=began))
        self._due[-1] = float("inf")

    def knows(self, descriptor: int) -> bool:
        return descriptor in self._connections

    def done(self, now: float) -> bool:
        """All were answered, or their time is over."""
        all_sent = self._next == len(self._due) - 1
        return (all_sent and not self._sent) or now > self._due[-2] + _PATIENCE_SECONDS

    def send(self, now: float) -> None:
        """What is due (E1)."""
        for _ in range(_SENT_IN_A_ROW_MAX):
            number = self._next
            if self._due[number] > now or not self._free:
                return
            self._next += 1
            connection = self._free.popleft()
            head = self._openings[self._pages[number]] + self._endings[self._visitors[number]]
            now = time.time()
            self._sent[connection.fileno()] = now
            if now > self.counted_from:
                self.late.append(now - self._due[number])
            connection.send(head)

    def take(self, descriptor: int) -> None:
        """Something came here (E2, E3)."""
        connection = self._connections[descriptor]
        try:
            data, stamp, _, _ = connection.recvmsg(_READ_BYTES, _STAMP_ROOM)
        except BlockingIOError:
            return  # as with servers
        if not data:
            raise RuntimeError("the proxy ended a connection without an answer")
        data = self._answers.pop(descriptor, b"") + data
        if not data.startswith(_OK):
            raise RuntimeError(f"the proxy answered {data[:60]!r}")
        if not data.endswith(_FILLING):
            self._answers[descriptor] = data
            return
        end = len(data) - len(_FILLING)
        here = int(data[end - _DIGITS : end]) / 1e9
        sent = self._sent.pop(descriptor)
        if sent > self.counted_from:
            self.taken.append(_seconds(stamp) - sent - here)
        if b"\r\nConnection: close\r\n" in data:
            self._close(connection)
            self._connect()
        else:
            self._free.append(connection)

    def close(self) -> None:
        for connection in tuple(self._connections.values()):
            self._close(connection)

    def _connect(self) -> None:
        connection = _ready(socket.create_connection(("127.0.0.1", self._port), 5), self._poll)
        self._connections[connection.fileno()] = connection
        self._free.append(connection)

    def _close(self, connection: socket.socket) -> None:
        self._poll.unregister(connection)
        del self._connections[connection.fileno()]
        connection.close()


def _ready(connection: socket.socket, poll: select.epoll) -> socket.socket:
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    poll.register(connection, select.EPOLLIN)
    return connection


def _seconds(stamp: Sequence[tuple[int, int, bytes]]) -> float:
    """The kernel's stamp, in seconds since the epoch."""
    seconds, nanoseconds = _STAMP.unpack(stamp[0][2])
    return float(seconds + nanoseconds * 1e-9)


def _percentiles(seconds: Iterable[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    places = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999}
    return {name: round(ordered[int(share * (len(ordered) - 1))] * 1e3, 3) for name, share in places.items()}


def ask(poll: select.epoll, servers: Servers, port: int, rate: float, seconds: float) -> dict[str, Any]:
    """Ask a proxy, and be its servers meanwhile, without a moment of sleep."""
    clients = Clients(poll, port, rate, seconds)
    gc.collect()
    gc.disable()
    while not clients.done(now := time.time()):
        if now >= servers.second:
            servers.new_second(now)
        clients.send(now)
        for descriptor, _ in poll.poll(0):
            if clients.knows(descriptor):
                clients.take(descriptor)
            else:
                servers.take(descriptor)
    passed = time.time() - clients.counted_from
    gc.enable()
    clients.close()
    late = _percentiles(clients.late)
    figures = {"requests": len(clients.taken), "requests_per_second": round(len(clients.taken) / passed)}
    return figures | _percentiles(clients.taken) | {"sent_late_p99_ms": late["p99_ms"]}


def main() -> None:
    poll = select.epoll()
    servers = Servers(poll, [int(port) for port in sys.argv[1:]])
    poll.register(sys.stdin, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        servers.new_second(time.time())
        for descriptor, _ in poll.poll(1):
            if descriptor != sys.stdin.fileno():
                servers.take(descriptor)
                continue
            line = sys.stdin.readline()
            if not line:
                return
            port, rate, seconds = line.split()
            print(json.dumps(ask(poll, servers, int(port), float(rate), float(seconds))), flush=True)


if __name__ == "__main__":
    main()
