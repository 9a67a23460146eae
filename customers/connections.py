"""What one connection to an instance may cost: uvicorn's protocol with limits that it does not have.

C1  A head of more than ``HEADER_BYTES_MAX`` is refused (431) without being kept, however slowly it comes.
C2  A connection on which no request is being worked on ends after ``IDLE_SECONDS_MAX`` without a byte, also one that never
    sent a whole request.
C3  More than ``CONNECTIONS_MAX`` connections are closed as they come, before the system runs out of descriptors: the load
    balancer then asks another instance.
C4  What cannot be understood is answered only if no answer to an earlier request of that connection is still to come.
"""

import asyncio
import logging
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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


class _HeadTooLarge(Exception):
    """Ends the parser's work on what was received."""


class Connection(HttpToolsProtocol):
    """``_received``: bytes since the packet in which the present head began."""

    _is_in_head = False
    _received = 0
    _packet = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        if len(self.connections) > CONNECTIONS_MAX:
            transport.close()
        else:
            self._wait_for_more()

    def data_received(self, data: bytes) -> None:
        self._packet = len(data)
        self._received += self._packet
        super().data_received(data)
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
