"""How a client's connection is watched while it reads its answer, and how it is ended without looking complete."""

import asyncio
import socket
import struct
from typing import Final

WRITE_PROGRESS_BYTES_MIN: Final = 16_384  # a client that reads less than this within the client timeout is cut off
_NOT_MEASURED: Final = 1 << 62  # more than any buffer holds: the first measurement always counts as progress
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class ReaderPace:
    """Whether a client reads what waits for it, and fast enough to be waited for."""

    __slots__ = ("_unwritten",)

    def __init__(self) -> None:
        self._unwritten = _NOT_MEASURED

    def begin(self, unwritten: int = _NOT_MEASURED) -> None:
        self._unwritten = unwritten

    def reads(self, transport: asyncio.Transport) -> bool:
        """Whether bytes wait and enough of them were read since the last look."""
        unwritten = transport.get_write_buffer_size()
        progress = self._unwritten - unwritten
        enough = progress >= min(WRITE_PROGRESS_BYTES_MIN, self._unwritten // 2)
        self._unwritten = unwritten
        return unwritten > 0 and enough


def reset(transport: asyncio.Transport) -> None:
    """End with a reset: where the end of the connection is the end of the body, a clean one would be a lie."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def own_authority(transport: asyncio.Transport) -> bytes:
    """What stands for Host where an HTTP/1.0 client named none: the address that it reached."""
    host, port = transport.get_extra_info("sockname")[:2]
    host = host.partition("%")[0]  # a zone is our own affair
    return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode("ascii")
