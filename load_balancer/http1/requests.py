"""Requests: bytes in, events out. Written for requests only; responses have a parser of their own.

R1  The events depend on the bytes, never on how they were split.
R2  After Rejected (or the end of the input) no further event comes.
R3  A head is accepted only if every byte of it was matched by the grammar; there is no tolerant mode.
R4  A request has at most one framing, and a body only with POST, PUT or PATCH.
R5  No more than one request's events are given out at a time: the caller asks for the next one when it wants it.
R6  What is remembered of heads that came before is a pure function of their bytes: it changes no event, only its price.

States: head -> (length | chunked) -> head …; any -> over.
The quick path takes a head that lies there whole at once; whatever it does not accept is read line by line, which finds
the first offence. A test holds them against each other.
"""

from enum import Enum
from typing import Final

from load_balancer.http1.chunks import ChunkedDecoder
from load_balancer.http1.events import END, Body, Field, Framing, Rejected, Request, RequestEvent
from load_balancer.http1.grammar import (
    LEADING_EMPTY_LINES_MAX,
    TOKEN,
    MalformedError,
)
from load_balancer.http1.lines import next_line
from load_balancer.http1.request_heads import (
    HEADS,
    KNOWN_LINES,
    RequestHeads,
    RequestLine,
    fields_of_lines,
    judge,
    read_line,
)

_LINE_TOO_LONG = MalformedError(414, "request line too long")
_HEAD_TOO_LONG = MalformedError(431, "head too long")
_TOO_MANY_LINES = MalformedError(431, "too many field lines")


class _At(Enum):
    HEAD = "before or in a head"
    LENGTH = "in a body of known length"
    CHUNKED = "in a chunked body"
    END = "behind a body whose end was not yet told"
    OVER = "nothing more will come"


_HEAD: Final = _At.HEAD  # asked for with every request; an enum's member is found more slowly


class RequestParser:
    """``feed`` bytes, then take events with ``next_event`` until it gives None."""

    __slots__ = (
        "_at",
        "_body_bytes_max",
        "_buffer",
        "_chunks",
        "_eof",
        "_heads",
        "_left",
        "_line",
        "_lines",
        "_position",
        "_read",
        "_skipped",
    )

    def __init__(self, body_bytes_max: int, heads: RequestHeads = HEADS) -> None:
        """``heads``: shared by all connections that have the same limits."""
        self._body_bytes_max = body_bytes_max
        self._heads = heads
        self._buffer = b""
        self._position = 0
        self._at = _HEAD
        self._eof = False
        self._left = 0
        self._chunks: ChunkedDecoder | None = None
        # Of the head that is being read line by line: up to where, its request line, its field lines.
        self._read = 0
        self._skipped = 0
        self._line: RequestLine | None = None
        self._lines: list[Field] | None = None

    def feed(self, data: bytes) -> None:
        position = self._position
        self._buffer = self._buffer[position:] + data if self._buffer else data
        self._read -= position
        self._position = 0

    def take_whole(self, data: bytes) -> Request | None:
        """The request that ``data`` is, if it is a whole one without a body; else nothing is taken, and ``feed`` it."""
        if self._at is not _HEAD or self._buffer or self._skipped:
            return None
        heads = self._heads
        request = heads.memory.known.get(data)
        if request is None:
            end = data.find(b"\r\n\r\n", 0, heads.limits.head_bytes)
            if end < 0 or end + 4 != len(data):
                return None
            request = heads.whole(data)
        return request if request is not None and request.complete else None

    def feed_eof(self) -> None:
        """The client will send nothing more."""
        self._eof = True

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were fed and not used yet."""
        return len(self._buffer) - self._position

    def take_waiting(self) -> bytes:
        """Those bytes, when they are no requests: the connection has become something else. Nothing is read here any more."""
        data = self._buffer[self._position :]
        self._use(len(self._buffer))
        self._at = _At.OVER
        return data

    @property
    def within_message(self) -> bool:
        """Whether a message has begun and is not complete."""
        return self._at is not _HEAD or self.waiting_bytes > 0 or self._line is not None

    def next_event(self) -> RequestEvent | None:
        """The next event, or None until more bytes (or the end of the input) are fed."""
        at = self._at
        try:
            if at is _HEAD:
                event: RequestEvent | None = self._next_head() if self._buffer else None
            elif at is _At.LENGTH:
                event = self._next_of_length()
            elif at is _At.CHUNKED and self._chunks is not None:
                event, position = self._chunks.step(self._buffer, self._position)
                self._use(position)
                if event is END:
                    self._at = _HEAD
            elif at is _At.END:
                self._at = _HEAD
                event = END
            else:
                event = None
        except MalformedError as error:
            return self._reject(error.status, error.reason)
        if event is None and self._eof and self._at is not _At.OVER:
            if self.within_message:
                return self._reject(400, "the input ended within a request")
            self._at = _At.OVER
        return event

    def _reject(self, status: int, reason: str, request: Request | None = None) -> Rejected:
        self._at = _At.OVER
        self._buffer = b""
        self._position = 0
        return Rejected(status, reason, request)

    def _use(self, position: int) -> None:
        """The buffer is used up to here; an empty one holds no memory."""
        if position == len(self._buffer):
            self._buffer = b""
            self._position = 0
        else:
            self._position = position

    def _next_of_length(self) -> RequestEvent | None:
        if not self._buffer:
            return None
        data = self._buffer[self._position : self._position + self._left]
        self._use(self._position + len(data))
        self._left -= len(data)
        if not self._left:
            self._at = _At.END
        return Body(data)

    def _next_head(self) -> Request | Rejected | None:
        if self._line is None:
            request = self._whole_head()
            if request is not None:
                return self._begin(request)
            if not self._skip_empty_lines():
                return None
        return self._head_line_by_line(self._position)

    def _whole_head(self) -> Request | None:
        """The quick path. None for any head that is not right (and a few that are): the slow path decides on it."""
        end = self._buffer.find(b"\r\n\r\n", self._position, self._position + self._heads.limits.head_bytes)
        if end < 0:
            return None
        request = self._heads.whole(self._buffer[self._position : end + 4])
        if request is not None:
            self._use(end + 4)
        return request

    def _skip_empty_lines(self) -> bool:
        """Old clients send a CR LF after a body. True if a request line may begin here."""
        while True:
            first = self._buffer[self._position : self._position + 2]
            if first == b"\r\n":
                self._use(self._position + 2)
                self._skipped += 1
                if self._skipped > LEADING_EMPTY_LINES_MAX:
                    raise MalformedError(400, "too many empty lines before the request")
                continue
            if not first or first == b"\r":
                return False
            if not TOKEN.match(first):
                raise MalformedError(400, "not a request line")
            return True

    def _head_line_by_line(self, start: int) -> Request | Rejected | None:
        if self._line is None or self._lines is None:
            self._read = start
            self._lines = []
        limits = self._heads.limits
        while True:
            limit = limits.head_bytes - (self._read - start) - 2
            if self._line is None:
                found = next_line(self._buffer, self._read, limits.request_line_bytes, _LINE_TOO_LONG)
            else:
                found = next_line(self._buffer, self._read, limit, _HEAD_TOO_LONG)
            if found is None:
                return None
            text, self._read = found
            if self._line is None:
                self._line = read_line(text)
            elif text:
                if len(self._lines) == limits.field_lines:
                    raise _TOO_MANY_LINES
                self._lines.append(KNOWN_LINES[text])
            else:
                request = judge(self._line, fields_of_lines(tuple(self._lines)))
                self._use(self._read)
                return self._begin(request)

    def _begin(self, request: Request) -> Request | Rejected:
        """Make ready for the body of this request."""
        self._line = None
        self._skipped = 0
        self._lines = None
        if request.complete:
            return request
        if request.framing is Framing.CHUNKED:
            self._chunks = ChunkedDecoder(self._body_bytes_max)
            self._at = _At.CHUNKED
            return request
        if request.length > self._body_bytes_max:
            return self._reject(413, "body too large", request)
        self._left = request.length
        self._at = _At.LENGTH
        return request
