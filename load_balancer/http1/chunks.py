"""The chunked coding, one step at a time. Each message has a decoder of its own.

K1  Extensions are checked and forgotten, trailers too: neither is ever passed on.
K2  The decoded size is counted by the sizes that the chunks announce, before their data arrives.
"""

from enum import Enum

from load_balancer.http1.events import END, Body, End
from load_balancer.http1.grammar import (
    CHUNK_LINE,
    CHUNK_LINE_BYTES_MAX,
    FIELD_LINES_MAX,
    TRAILER_BYTES_MAX,
    MalformedError,
)
from load_balancer.http1.lines import next_line, parse_field_line

_LINE_TOO_LONG = MalformedError(400, "chunk line too long")
_TRAILER_TOO_LONG = MalformedError(431, "trailer too long")
_BAD_END = MalformedError(400, "chunk data not followed by CR LF")


class _At(Enum):
    SIZE = "the line with the size"
    DATA = "the data of a chunk"
    DATA_END = "the CR LF after the data"
    TRAILER = "the field lines after the last chunk"


class ChunkedDecoder:
    """``step`` until it gives nothing more; ``bytes_max`` limits the decoded body (None: no limit)."""

    __slots__ = ("_at", "_bytes_max", "_left", "_total", "_trailer_bytes", "_trailer_lines")

    def __init__(self, bytes_max: int | None) -> None:
        self._bytes_max = bytes_max
        self._at = _At.SIZE
        self._left = 0
        self._total = 0
        self._trailer_bytes = 0
        self._trailer_lines = 0

    def step(self, buffer: bytes, start: int) -> tuple[Body | End | None, int]:
        """The next piece or the end (None: more bytes are needed), and the position up to which bytes are used."""
        while start < len(buffer):
            match self._at:
                case _At.DATA:
                    data = buffer[start : start + self._left]
                    self._left -= len(data)
                    if not self._left:
                        self._at = _At.DATA_END
                    return Body(data), start + len(data)
                case _At.DATA_END:
                    used = self._data_end(buffer, start)
                case _At.SIZE:
                    used = self._size(buffer, start)
                case _At.TRAILER:
                    used, done = self._trailer(buffer, start)
                    if done:
                        return END, used
            if used == start:
                return None, start
            start = used
        return None, start

    def _data_end(self, buffer: bytes, start: int) -> int:
        found = buffer[start : start + 2]
        if not b"\r\n".startswith(found):
            raise _BAD_END
        if len(found) < 2:
            return start
        self._at = _At.SIZE
        return start + 2

    def _size(self, buffer: bytes, start: int) -> int:
        found = next_line(buffer, start, CHUNK_LINE_BYTES_MAX, _LINE_TOO_LONG)
        if found is None:
            return start
        match = CHUNK_LINE.fullmatch(found[0])
        if match is None:
            raise MalformedError(400, "not a chunk size")
        self._left = int(match[1], 16)
        self._total += self._left
        if self._bytes_max is not None and self._total > self._bytes_max:
            raise MalformedError(413, "body too large")
        self._at = _At.DATA if self._left else _At.TRAILER
        return found[1]

    def _trailer(self, buffer: bytes, start: int) -> tuple[int, bool]:
        found = next_line(buffer, start, TRAILER_BYTES_MAX - self._trailer_bytes, _TRAILER_TOO_LONG)
        if found is None:
            return start, False
        line, after = found
        if not line:
            return after, True
        self._trailer_bytes += after - start
        self._trailer_lines += 1
        if self._trailer_lines > FIELD_LINES_MAX or self._trailer_bytes > TRAILER_BYTES_MAX:
            raise _TRAILER_TOO_LONG
        parse_field_line(line)
        return after, False
