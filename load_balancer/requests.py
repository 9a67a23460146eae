"""Requests: bytes in, events out. Written for requests only; responses have a parser of their own.

R1  The events depend on the bytes, never on how they were split.
R2  After Rejected (or the end of the input) no further event comes.
R3  A head is accepted only if every byte of it was matched by the grammar; there is no tolerant mode.
R4  A request has at most one framing, and a body only with POST, PUT or PATCH.
R5  No more than one request's events are given out at a time: the caller asks for the next one when it wants it.

States: head -> (length | chunked) -> head …; any -> over.
The quick path reads a head that lies there whole with two regular expressions; whatever it does not accept is read
line by line, which finds the first offence. A test holds them against each other.
"""

import re
from enum import Enum

from load_balancer.chunks import ChunkedDecoder
from load_balancer.events import END, Body, Fields, Framing, Rejected, Request, RequestEvent
from load_balancer.grammar import (
    FIELD_LINES_MAX,
    HEAD_BYTES_MAX,
    LEADING_EMPTY_LINES_MAX,
    REQUEST_LINE,
    REQUEST_LINE_BYTES_MAX,
    TOKEN,
    MalformedError,
    valid_host,
)
from load_balancer.heads import body_length, check_connection, fields_of_block, gather, is_chunked
from load_balancer.lines import next_line, parse_field_line
from load_balancer.targets import Target, read_target, same_authority

METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
_KNOWN_METHODS = frozenset(METHODS)
_METHODS_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})
_METHODS_NOT_ALLOWED = frozenset({b"CONNECT", b"TRACE"})
_LINE_TOO_LONG = MalformedError(414, "request line too long")
_HEAD_TOO_LONG = MalformedError(431, "head too long")
_TOO_MANY_LINES = MalformedError(431, "too many field lines")


class _At(Enum):
    HEAD = "before or in a head"
    LENGTH = "in a body of known length"
    CHUNKED = "in a chunked body"
    END = "behind a body whose end was not yet told"
    OVER = "nothing more will come"


class _Line:
    """A request line that was judged: what of it counts."""

    __slots__ = ("method", "minor", "target")

    def __init__(self, match: re.Match[bytes]) -> None:
        if match[3] != b"1" or match[4] not in (b"0", b"1"):
            raise MalformedError(505, "HTTP version not supported")
        self.method = match[1]
        if self.method not in _KNOWN_METHODS:
            if self.method in _METHODS_NOT_ALLOWED:
                raise MalformedError(405, "method not allowed")
            raise MalformedError(501, "method not known")
        self.minor = 1 if match[4] == b"1" else 0
        self.target = read_target(self.method, match[2])


class RequestParser:
    """``feed`` bytes, then take events with ``next_event`` until it gives None."""

    __slots__ = (
        "_at",
        "_body_bytes_max",
        "_buffer",
        "_chunks",
        "_eof",
        "_known_block",
        "_known_fields",
        "_left",
        "_line",
        "_pairs",
        "_position",
        "_read",
        "_skipped",
    )

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._buffer = b""
        self._position = 0
        self._at = _At.HEAD
        self._eof = False
        self._left = 0
        self._chunks = ChunkedDecoder(None)
        # Of the head that is being read line by line: up to where, its request line, its field lines.
        self._read = 0
        self._skipped = 0
        self._line: _Line | None = None
        self._pairs: list[tuple[bytes, bytes]] = []
        # The last block of field lines and what it meant: browsers repeat theirs word for word.
        self._known_block = b""
        self._known_fields = gather([])

    def feed(self, data: bytes) -> None:
        position = self._position
        if position == len(self._buffer):
            self._buffer = data
        else:
            self._buffer = self._buffer[position:] + data
        self._read -= position
        self._position = 0

    def feed_eof(self) -> None:
        """The client will send nothing more."""
        self._eof = True

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were fed and not used yet."""
        return len(self._buffer) - self._position

    @property
    def within_message(self) -> bool:
        """Whether a message has begun and is not complete."""
        return self._at is not _At.HEAD or self.waiting_bytes > 0 or self._line is not None

    def next_event(self) -> RequestEvent | None:
        """The next event, or None until more bytes (or the end of the input) are fed."""
        try:
            event = self._next()
        except MalformedError as error:
            return self._reject(error.status, error.reason)
        if event is None and self._eof and self._at is not _At.OVER:
            if self.within_message:
                return self._reject(400, "the input ended within a request")
            self._at = _At.OVER
        return event

    def _reject(self, status: int, reason: str) -> Rejected:
        self._at = _At.OVER
        self._buffer = b""
        self._position = 0
        return Rejected(status, reason)

    def _next(self) -> RequestEvent | None:
        match self._at:
            case _At.HEAD:
                return self._next_head()
            case _At.LENGTH:
                return self._next_of_length()
            case _At.CHUNKED:
                event, self._position = self._chunks.step(self._buffer, self._position)
                if event is END:
                    self._at = _At.HEAD
                return event
            case _At.END:
                self._at = _At.HEAD
                return END
            case _At.OVER:
                return None

    def _next_of_length(self) -> RequestEvent | None:
        if self._position == len(self._buffer):
            return None
        data = self._buffer[self._position : self._position + self._left]
        self._position += len(data)
        self._left -= len(data)
        if not self._left:
            self._at = _At.END
        return Body(data)

    def _next_head(self) -> Request | None:
        if self._line is None and not self._skip_empty_lines():
            return None
        start = self._position
        end = self._buffer.find(b"\r\n\r\n", start)
        if end >= 0 and end + 4 - start <= HEAD_BYTES_MAX:
            request = self._whole_head(self._buffer[start : end + 2])
            if request is not None:
                self._position = end + 4
                return self._begin(request)
        return self._head_line_by_line(start)

    def _skip_empty_lines(self) -> bool:
        """Old clients send a CR LF after a body. True if a request line may begin here."""
        while True:
            first = self._buffer[self._position : self._position + 2]
            if first == b"\r\n":
                self._position += 2
                self._skipped += 1
                if self._skipped > LEADING_EMPTY_LINES_MAX:
                    raise MalformedError(400, "too many empty lines before the request")
                continue
            if not first or first == b"\r":
                return False
            if not TOKEN.match(first):
                raise MalformedError(400, "not a request line")
            return True

    def _whole_head(self, head: bytes) -> Request | None:
        line_end = head.find(b"\r\n")
        if line_end > REQUEST_LINE_BYTES_MAX:
            return None
        line = REQUEST_LINE.fullmatch(head, 0, line_end)
        if line is None:
            return None
        block = head[line_end + 2 :]
        if block == self._known_block:
            fields = self._known_fields
        else:
            found = fields_of_block(block)
            if found is None:
                return None
            self._known_block = block
            self._known_fields = fields = found
        return _judge(_Line(line), fields)

    def _head_line_by_line(self, start: int) -> Request | None:
        if self._line is None:
            self._read = start
        while True:
            limit = HEAD_BYTES_MAX - (self._read - start) - 2
            if self._line is None:
                found = next_line(self._buffer, self._read, REQUEST_LINE_BYTES_MAX, _LINE_TOO_LONG)
            else:
                found = next_line(self._buffer, self._read, limit, _HEAD_TOO_LONG)
            if found is None:
                return None
            text, self._read = found
            if self._line is None:
                match = REQUEST_LINE.fullmatch(text)
                if match is None:
                    raise MalformedError(400, "not a request line")
                self._line = _Line(match)
            elif text:
                if len(self._pairs) == FIELD_LINES_MAX:
                    raise _TOO_MANY_LINES
                self._pairs.append(parse_field_line(text))
            else:
                self._position = self._read
                return self._begin(_judge(self._line, gather(self._pairs)))

    def _begin(self, request: Request) -> Request:
        """Make ready for the body of this request."""
        self._line = None
        self._pairs = []
        self._skipped = 0
        match request.framing:
            case Framing.CHUNKED:
                self._chunks = ChunkedDecoder(self._body_bytes_max)
                self._at = _At.CHUNKED
            case Framing.LENGTH if request.length:
                if request.length > self._body_bytes_max:
                    raise MalformedError(413, "body too large")
                self._left = request.length
                self._at = _At.LENGTH
            case _:
                self._at = _At.END
        return request


def _judge(line: _Line, fields: Fields) -> Request:
    """What a request line and field lines mean together; raises MalformedError if that is not one single thing."""
    host = _host(line, fields)
    check_connection(fields)
    framing, length = _framing(line, fields)
    options = fields.connection
    keep_alive = b"close" not in options and (line.minor == 1 or b"keep-alive" in options)
    return Request(
        method=line.method,
        target=line.target.path,
        host=host,
        minor=line.minor,
        fields=fields,
        framing=framing,
        length=length,
        keep_alive=keep_alive,
        expects_continue=bool(fields.expectations) and _expects_continue(line, fields, framing),
    )


def _host(line: _Line, fields: Fields) -> bytes:
    if len(fields.hosts) > 1:
        raise MalformedError(400, "more than one Host")
    if not fields.hosts:
        if line.minor == 1:
            raise MalformedError(400, "no Host")
        return line.target.authority or b""
    host = fields.hosts[0]
    if not valid_host(host):
        raise MalformedError(400, "Host is not a host")
    target: Target = line.target
    if target.authority is not None and not same_authority(target.authority, host):
        raise MalformedError(400, "the target names another host than Host")
    return host


def _framing(line: _Line, fields: Fields) -> tuple[Framing, int]:
    if not fields.transfer_codings and not fields.lengths:
        return (Framing.LENGTH, 0) if line.method in _METHODS_WITH_BODY else (Framing.NONE, 0)
    if fields.transfer_codings:
        if fields.lengths:
            raise MalformedError(400, "both Content-Length and Transfer-Encoding")
        if line.minor == 0:
            raise MalformedError(400, "Transfer-Encoding in an HTTP/1.0 request")
    chunked = is_chunked(fields)
    length = body_length(fields) or 0
    if line.method not in _METHODS_WITH_BODY:
        if chunked or length:
            raise MalformedError(400, "a body where the method has none")
        return Framing.NONE, 0
    return (Framing.CHUNKED, 0) if chunked else (Framing.LENGTH, length)


def _expects_continue(line: _Line, fields: Fields, framing: Framing) -> bool:
    if len(fields.expectations) > 1 or fields.expectations[0].lower() != b"100-continue":
        raise MalformedError(417, "expectation not known")
    return line.minor == 1 and framing is not Framing.NONE
