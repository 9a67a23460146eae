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

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from load_balancer.http1.chunks import ChunkedDecoder
from load_balancer.http1.events import (
    END,
    Body,
    Framing,
    Rejected,
    Request,
    RequestEvent,
    RequestFields,
    Reserved,
)
from load_balancer.http1.grammar import (
    FIELD_LINES_MAX,
    HEAD_BYTES_MAX,
    LEADING_EMPTY_LINES_MAX,
    REQUEST_LINE,
    REQUEST_LINE_BYTES_MAX,
    TOKEN,
    MalformedError,
    valid_host,
)
from load_balancer.http1.headers import request_opening, request_passes, via
from load_balancer.http1.heads import (
    KnownLines,
    Line,
    body_length,
    connection_options,
    is_chunked,
    kept_lines,
    telling_values,
)
from load_balancer.http1.lines import next_line
from load_balancer.http1.targets import read_target, reserved, same_authority

METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
_KNOWN_METHODS = frozenset(METHODS)
_METHODS_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})
_TELLING = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"via"})
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


_HEAD: Final = _At.HEAD  # asked for with every request; an enum's member is found more slowly


class _Line(NamedTuple):
    """A request line that was judged: what of it counts."""

    method: bytes
    minor: int
    path: bytes
    authority: bytes | None
    reserved: Reserved | None


def _read_line(text: bytes) -> _Line:
    """Judge a request line; raises MalformedError."""
    match = REQUEST_LINE.fullmatch(text)
    if match is None:
        raise MalformedError(400, "not a request line")
    method, raw, major, minor = match.groups()
    if major != b"1" or minor not in (b"0", b"1"):
        raise MalformedError(505, "HTTP version not supported")
    if method not in _KNOWN_METHODS:
        if method in _METHODS_NOT_ALLOWED:
            raise MalformedError(405, "method not allowed")
        raise MalformedError(501, "method not known")
    target = read_target(method, raw)
    return _Line(method, 1 if minor == b"1" else 0, target.path, target.authority, reserved(target.path))


_KNOWN_LINES = KnownLines(request_passes, _TELLING)


def _facts(lines: Sequence[Line]) -> RequestFields:
    """What the field lines say about host, framing and connection; raises MalformedError if that is not one thing."""
    found = telling_values(lines)
    hosts = found.get(b"host")
    if hosts is not None and len(hosts) > 1:
        raise MalformedError(400, "more than one Host")
    if hosts is not None and not valid_host(hosts[0]):
        raise MalformedError(400, "Host is not a host")
    options = connection_options(found)
    if b"transfer-encoding" in found and b"content-length" in found:
        raise MalformedError(400, "both Content-Length and Transfer-Encoding")
    expectations = found.get(b"expect")
    if expectations is not None and [expectation.lower() for expectation in expectations] != [b"100-continue"]:
        raise MalformedError(417, "expectation not known")
    return RequestFields(
        all=tuple([line.field for line in lines]),
        host=None if hosts is None else hosts[0],
        length=body_length(found),
        chunked=is_chunked(found),
        options=options,
        expects_continue=expectations is not None,
        kept=kept_lines(lines, options),
        via=via(found.get(b"via", ())),
    )


def _fields_of_block(block: bytes) -> RequestFields | None:
    lines = _KNOWN_LINES.of_block(block)
    return None if lines is None else _facts(lines)


# R6. Browsers repeat their heads nearly word for word, and a shop has few addresses: what was judged once is remembered,
# by all connections together. Short ones only, so that all of it stays below some 10 MB, whatever clients send.
_REMEMBERED_LINE_BYTES_MAX = 256
_REMEMBERED_HEAD_BYTES_MAX = 2_048
_REMEMBERED_HEADS_MAX = 1_024
_remembered_line = lru_cache(maxsize=2_048)(_read_line)
_remembered_fields = lru_cache(maxsize=512)(_fields_of_block)
_remembered_heads: dict[bytes, Request] = {}


def _remember(head: bytes, request: Request) -> None:
    if len(head) <= _REMEMBERED_HEAD_BYTES_MAX:
        if len(_remembered_heads) >= _REMEMBERED_HEADS_MAX:
            _remembered_heads.clear()
        _remembered_heads[head] = request


class RequestParser:
    """``feed`` bytes, then take events with ``next_event`` until it gives None."""

    __slots__ = (
        "_at",
        "_body_bytes_max",
        "_buffer",
        "_chunks",
        "_eof",
        "_left",
        "_line",
        "_lines",
        "_position",
        "_read",
        "_skipped",
    )

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._buffer = b""
        self._position = 0
        self._at = _HEAD
        self._eof = False
        self._left = 0
        self._chunks: ChunkedDecoder | None = None
        # Of the head that is being read line by line: up to where, its request line, its field lines.
        self._read = 0
        self._skipped = 0
        self._line: _Line | None = None
        self._lines: list[Line] | None = None

    def feed(self, data: bytes) -> None:
        position = self._position
        self._buffer = self._buffer[position:] + data if self._buffer else data
        self._read -= position
        self._position = 0

    def take_whole(self, data: bytes) -> Request | None:
        """The request that ``data`` is, if it is one without a body that came before; else ``feed`` it."""
        if self._at is _HEAD and not self._buffer and not self._skipped:
            return _remembered_heads.get(data)
        return None

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

    def _reject(self, status: int, reason: str) -> Rejected:
        self._at = _At.OVER
        self._buffer = b""
        self._position = 0
        return Rejected(status, reason)

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

    def _next_head(self) -> Request | None:
        if self._line is None and not self._skip_empty_lines():
            return None
        start = self._position
        end = self._buffer.find(b"\r\n\r\n", start)
        if end >= 0 and end + 4 - start <= HEAD_BYTES_MAX:
            request = self._whole_head(self._buffer[start : end + 2])
            if request is not None:
                if request.complete and not start and end + 4 == len(self._buffer):
                    _remember(self._buffer, request)
                self._use(end + 4)
                return self._begin(request)
        return self._head_line_by_line(start)

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

    def _whole_head(self, head: bytes) -> Request | None:
        """The quick path. None for any head that is not right (and a few that are): the slow path decides on it."""
        line_end = head.find(b"\r\n")
        if line_end > REQUEST_LINE_BYTES_MAX:
            return None
        text, block = head[:line_end], head[line_end + 2 :]
        try:
            line = _remembered_line(text) if line_end <= _REMEMBERED_LINE_BYTES_MAX else _read_line(text)
            short = len(block) <= _REMEMBERED_HEAD_BYTES_MAX
            fields = _remembered_fields(block) if short else _fields_of_block(block)
            return None if fields is None else _judge(line, fields)
        except MalformedError:
            return None

    def _head_line_by_line(self, start: int) -> Request | None:
        if self._line is None or self._lines is None:
            self._read = start
            self._lines = []
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
                self._line = _read_line(text)
            elif text:
                if len(self._lines) == FIELD_LINES_MAX:
                    raise _TOO_MANY_LINES
                self._lines.append(_KNOWN_LINES[text])
            else:
                request = _judge(self._line, _facts(self._lines))
                self._use(self._read)
                return self._begin(request)

    def _begin(self, request: Request) -> Request:
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
            raise MalformedError(413, "body too large")
        self._left = request.length
        self._at = _At.LENGTH
        return request


def _judge(line: _Line, fields: RequestFields) -> Request:
    """What a request line and field lines mean together; raises MalformedError if that is not one single thing."""
    method, minor, path, authority, is_reserved = line
    host = fields.host
    if host is None:
        if minor:
            raise MalformedError(400, "no Host")
        host = authority or b""
    elif authority is not None and not same_authority(authority, host):
        raise MalformedError(400, "the target names another host than Host")
    length = fields.length or 0
    if fields.chunked and not minor:
        raise MalformedError(400, "Transfer-Encoding in an HTTP/1.0 request")
    if method in _METHODS_WITH_BODY:
        framing = Framing.CHUNKED if fields.chunked else Framing.LENGTH
    elif fields.chunked or length:
        raise MalformedError(400, "a body where the method has none")
    else:
        framing = Framing.NONE
    options = fields.options
    return Request(
        method=method,
        target=path,
        host=host,
        minor=minor,
        fields=fields,
        framing=framing,
        length=length,
        keep_alive=b"close" not in options and (minor == 1 or b"keep-alive" in options),
        expects_continue=fields.expects_continue and minor == 1 and framing is not Framing.NONE,
        complete=not length and not fields.chunked,
        reserved=is_reserved,
        opening=request_opening(method, path, host, fields),
    )
