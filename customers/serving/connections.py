"""What one connection to an instance may cost: uvicorn's protocol with limits that it does not have.

C1  A head of more than ``HEADER_BYTES_MAX`` is refused (431) without being kept, however slowly it comes.
C2  A connection on which no request is being worked on ends after ``IDLE_SECONDS_MAX`` without a byte, also one that never
    sent a whole request.
C3  More than ``CONNECTIONS_MAX`` connections are closed as they come, before the system runs out of descriptors: the load
    balancer then asks another instance.
C4  What cannot be understood is answered only if no answer to an earlier request of that connection is still to come.
C5  What `ByHead` answers never reaches the parser. It is asked only between two requests, when all bytes of the last one
    were read and its answer was given, and answers only what is one whole head and nothing else.
C6  An answer leaves in one piece: each piece by itself wakes up whoever reads it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEADER_BYTES_MAX = 32_768  # RFC 9110 names no number; 8 KB lines and a few of them
IDLE_SECONDS_MAX = 120  # the load balancer's are 20 (ours), 60 (nginx's default): who closes first must not be we
CONNECTIONS_MAX = 4_000  # the load balancer's 8,000 shared by two instances
DESCRIPTORS_SPARE = 100  # database, log, files being read

logger = logging.getLogger(__name__)

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


def raise_descriptor_limit() -> None:
    """A shell's usual limit of 1,024 open files is too low (C3)."""
    try:
        import resource
    except ImportError:  # not on Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + DESCRIPTORS_SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            logger.warning("only %d open files are allowed; %d may be needed", allowed, wanted)


HEAD = "head"
"""In the scope of a request that came by itself in one piece: all its bytes; else None."""
ByHead = Callable[[bytes], bytes | None]
"""From what came to the whole answer, which has no body, without its Date and the empty line; None: not known."""


def nothing_by_head(_head: bytes) -> None:
    """The parser reads every request."""


class _HeadTooLarge(Exception):
    """Ends the parser's work on what was received."""


class _InOnePiece:
    """What uvicorn writes an answer to (C6): as much of a transport as that needs, which keeps a head until its body comes."""

    def __init__(self, cycle: RequestResponseCycle, transport: asyncio.Transport) -> None:
        self._cycle = cycle
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """The first piece of an answer is its head. To HEAD there is no other, and "100 Continue" is no answer yet."""
        if self._head or not self._cycle.response_started or self._cycle.scope["method"] == "HEAD":
            self._transport.write(self._head + data)
            self._head = b""
        else:
            self._head = data

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        """A head whose body failed to come is not sent: half an answer is none."""
        self._transport.close()


class Connection(HttpToolsProtocol):
    """``_received``: bytes since the packet in which the present head began."""

    _is_in_head = False
    _received = 0
    _packet = 0
    _head: bytes | None = None
    """What is being parsed, if it is one whole head and nothing else."""
    _heard_at = float("-inf")
    """When the last request came that did not reach the parser, by the loop's clock."""

    def __init__(self, *, by_head: ByHead = nothing_by_head, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._by_head = by_head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        if len(self.connections) > CONNECTIONS_MAX:
            transport.close()
        else:
            self._wait_for_more()

    def data_received(self, data: bytes) -> None:
        if self._is_between_requests():
            answer = self._by_head(data)
            if answer is not None:
                self._heard_at = self.loop.time()
                self.transport.write(b"%b%b\r\n" % (answer, self._fields_of_all()))
                return
            self._head = data if _is_one_head(data) else None
        self._packet = len(data)
        self._received += self._packet
        super().data_received(data)
        self._head = None
        if self._is_in_head and self._received > HEADER_BYTES_MAX and not self.transport.is_closing():
            self._refuse(_TOO_LARGE)
        if self.timeout_keep_alive_task is None and not self._is_answering():
            self._wait_for_more()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self._received = self._packet

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self._received > HEADER_BYTES_MAX and self._head_bytes() > HEADER_BYTES_MAX:
            raise _HeadTooLarge
        super().on_headers_complete()
        cast("dict[str, Any]", self.scope)[HEAD] = self._head
        cycle = self.cycle
        cycle.transport = cast("asyncio.Transport", _InOnePiece(cycle, self.transport))

    def send_400_response(self, msg: str) -> None:
        if self._received > HEADER_BYTES_MAX and self._head_bytes() > HEADER_BYTES_MAX:
            self._refuse(_TOO_LARGE)
        elif self._is_answering():
            self.transport.close()
        else:
            super().send_400_response(msg)

    def is_busy(self) -> bool:
        """Whether a request is worked on, or an answer has not left our buffers."""
        cycle = self.cycle
        return (cycle is not None and not cycle.response_complete) or self.transport.get_write_buffer_size() > 0

    def timeout_keep_alive_handler(self) -> None:
        """C2, also for requests that the parser never saw: for them no timer is set anew."""
        rest = self._heard_at + IDLE_SECONDS_MAX - self.loop.time()
        if rest > 0:
            self.timeout_keep_alive_task = self.loop.call_later(rest, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _is_between_requests(self) -> bool:
        """C5"""
        if self._is_in_head or self.transport.is_closing() or self.flow.write_paused:
            return False
        cycle = self.cycle
        return cycle is None or (cycle.response_complete and not cycle.more_body)

    def _fields_of_all(self) -> bytes:
        """Uvicorn's, such as Date."""
        return b"".join(b"%b: %b\r\n" % field for field in self.server_state.default_headers)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _is_answering(self) -> bool:
        """Whether the last request is whole, and its answer is not."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _refuse(self, answer: bytes) -> None:
        if not self._is_answering():
            self.transport.write(answer)
        self.transport.close()

    def _wait_for_more(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(IDLE_SECONDS_MAX, self.timeout_keep_alive_handler)


def _is_one_head(data: bytes) -> bool:
    """Lines with CRLF, of which only the last one is empty, and nothing after it."""
    return data.find(b"\r\n\r\n") == len(data) - 4 and data.count(b"\n") == data.count(b"\r") == data.count(b"\r\n")
