"""Responses of servers: bytes in, events out. Servers are trusted no more than clients.

A1  The events depend on the bytes, never on how they were split.
A2  After Broken no further event comes; whoever has seen the head of that answer must not end it cleanly.
A3  An answer is complete only by its own framing; a connection that ends early is Broken.
A4  Bytes behind a complete answer belong to nobody: ``surplus`` says so, and the connection is dropped.
"""

from enum import Enum

from load_balancer.http1.chunks import ChunkedDecoder
from load_balancer.http1.events import END, Body, Broken, Framing, Lines, Response, ResponseEvent, ResponseFields
from load_balancer.http1.grammar import HEAD_BYTES_MAX, STATUS_LINE, MalformedError
from load_balancer.http1.heads import body_length, connection_options, is_chunked, lines_of_block, values
from load_balancer.http1.lines import next_line

INFORMATIONAL_MAX = 10  # more interim answers than that are an attack or a loop (as nginx and HAProxy limit them)
_HEAD_TOO_LONG = MalformedError(502, "head too long")
_SWITCHING_PROTOCOLS = 101
_BODILESS = frozenset({204, 304})


class _At(Enum):
    IDLE = "no answer is expected"
    HEAD = "in a head"
    LENGTH = "in a body of known length"
    CHUNKED = "in a chunked body"
    CLOSE = "in a body that lasts until the connection ends"
    BROKEN = "nothing that follows has a meaning"


class ResponseParser:
    """``expect`` an answer, ``receive`` bytes; one answer at a time."""

    __slots__ = ("_at", "_buffer", "_chunks", "_for_head", "_informational", "_known_block", "_known_fields", "_left")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = _At.IDLE
        self._for_head = False
        self._left = 0
        self._informational = 0
        self._chunks = ChunkedDecoder(None)
        self._known_block = b""
        self._known_fields = ResponseFields((), None, False, frozenset())

    def expect(self, *, for_head: bool) -> None:
        """The next bytes answer a request; ``for_head``: its method was HEAD, so there is no body."""
        self._for_head = for_head
        self._informational = 0
        self._at = _At.HEAD

    @property
    def surplus(self) -> bool:
        """Whether bytes lie there that belong to no answer."""
        return bool(self._buffer)

    def receive(self, data: bytes) -> list[ResponseEvent]:
        """The events that these bytes complete."""
        self._buffer = self._buffer + data if self._buffer else data
        events: list[ResponseEvent] = []
        try:
            if self._at is _At.HEAD:
                self._read_heads(events)
            if self._at is not _At.HEAD:
                self._read_body(events)
        except MalformedError as error:
            self._break(events, error.reason)
        return events

    def receive_eof(self) -> list[ResponseEvent]:
        """The server closed its side in good order."""
        events: list[ResponseEvent] = []
        if self._at is _At.CLOSE:
            self._end(events)
        elif self._at is not _At.IDLE:
            self._break(events, "the connection ended within an answer")
        return events

    def _break(self, events: list[ResponseEvent], reason: str) -> None:
        if self._at is not _At.BROKEN:
            events.append(Broken(reason))
        self._at = _At.BROKEN

    def _end(self, events: list[ResponseEvent]) -> None:
        events.append(END)
        self._at = _At.IDLE

    def _read_heads(self, events: list[ResponseEvent]) -> None:
        """Swallow interim answers, then take the final one's head."""
        while True:
            response = self._read_head()
            if response is None:
                return
            if response.status >= 200:
                events.append(response)
                self._prepare(response, events)
                return
            self._informational += 1
            if response.status == _SWITCHING_PROTOCOLS:
                raise MalformedError(502, "the server switched protocols though nobody asked for it")
            if self._informational > INFORMATIONAL_MAX:
                raise MalformedError(502, "too many interim answers")

    def _read_head(self) -> Response | None:
        end = self._buffer.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
        if end < 0:
            self._refuse_early()
            return None
        line, _, block = self._buffer[: end + 2].partition(b"\r\n")
        status_line = STATUS_LINE.fullmatch(line)
        if status_line is None:
            raise MalformedError(502, "not a status line")
        if block != self._known_block:
            lines = lines_of_block(block)
            if lines is None:
                raise MalformedError(502, "a field line is malformed, or there are too many")
            self._known_fields = _facts(lines)
            self._known_block = block
        minor = 1 if status_line[1] == b"1" else 0
        response = _judge(
            minor, int(status_line[2]), status_line[3] or b"", self._known_fields, for_head=self._for_head
        )
        self._buffer = self._buffer[end + 4 :]
        return response

    def _refuse_early(self) -> None:
        """A head that is wrong already is not waited for."""
        if not b"HTTP/1.".startswith(self._buffer[:7]):
            raise MalformedError(502, "not a status line")
        start = 0
        while found := next_line(self._buffer, start, HEAD_BYTES_MAX - start - 2, _HEAD_TOO_LONG):
            start = found[1]

    def _prepare(self, response: Response, events: list[ResponseEvent]) -> None:
        match response.framing:
            case Framing.CHUNKED:
                self._chunks = ChunkedDecoder(None)
                self._at = _At.CHUNKED
            case Framing.CLOSE:
                self._at = _At.CLOSE
            case Framing.LENGTH if response.length:
                self._left = response.length
                self._at = _At.LENGTH
            case _:
                self._end(events)

    def _read_body(self, events: list[ResponseEvent]) -> None:
        buffer = self._buffer
        if not buffer:
            return
        match self._at:
            case _At.LENGTH:
                data = buffer[: self._left]
                self._buffer = buffer[len(data) :]
                self._left -= len(data)
                events.append(Body(data))
                if not self._left:
                    self._end(events)
            case _At.CLOSE:
                self._buffer = b""
                events.append(Body(buffer))
            case _At.CHUNKED:
                self._read_chunks(buffer, events)
            case _At.BROKEN:
                self._buffer = b""
            case _:
                pass

    def _read_chunks(self, buffer: bytes, events: list[ResponseEvent]) -> None:
        position = 0
        try:
            while True:
                event, position = self._chunks.step(buffer, position)
                if event is END:
                    self._end(events)
                    return
                if event is None:
                    return
                events.append(event)
        finally:
            self._buffer = buffer[position:]


_FACTS = frozenset({b"content-length", b"transfer-encoding", b"connection"})


def _facts(lines: Lines) -> ResponseFields:
    """What the field lines say about framing; raises MalformedError if that is not one single thing."""
    telling = tuple([line for line in lines if line.key in _FACTS])
    length = body_length(values(telling, b"content-length"))
    chunked = is_chunked(values(telling, b"transfer-encoding"))
    if chunked and length is not None:
        raise MalformedError(502, "both Content-Length and Transfer-Encoding")
    return ResponseFields(lines, length, chunked, connection_options(values(telling, b"connection")))


def _judge(minor: int, status: int, reason: bytes, fields: ResponseFields, *, for_head: bool) -> Response:
    if fields.chunked and minor == 0:
        raise MalformedError(502, "Transfer-Encoding in an HTTP/1.0 response")
    if for_head or status < 200 or status in _BODILESS:
        framing = Framing.NONE
    elif fields.chunked:
        framing = Framing.CHUNKED
    else:
        framing = Framing.CLOSE if fields.length is None else Framing.LENGTH
    reusable = minor == 1 and framing is not Framing.CLOSE and b"close" not in fields.options
    return Response(status, reason, minor, fields, framing, fields.length or 0, reusable)
