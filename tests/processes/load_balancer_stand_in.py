"""A server for the tests of the balancer. ``python load_balancer_stand_in.py NAME PORT FILE``.

Answers with its name; writes the body of each POST to FILE, a line each, before it answers, as a shop books an order.
"""

import asyncio
import os
import re
import sys
from typing import cast


class Connection(asyncio.Protocol):
    """One request after the other."""

    def __init__(self, name: bytes, record: int) -> None:
        self._name = name
        self._record = record
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", self._buffer[:head])
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < end:
                return
            if self._buffer.startswith(b"POST"):
                os.write(self._record, self._buffer[head + 4 : end] + b"\n")
            self._buffer = self._buffer[end:]
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(self._name), self._name))


async def serve(name: str, port: int, record: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(name.encode(), record), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)))
