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
from functools import lru_cache
from typing import Final, NamedTuple

from load_balancer.http1.chunks import ChunkedDecoder
from load_balancer.http1.events import (
    END,
    Body,
    Field,
    Framing,
    Lines,
    Rejected,
    Request,
    RequestEvent,
    RequestFacts,
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
    body_length,
    connection_options,
    is_chunked,
    kept_lines,
    telling_lines,
    values_by_name,
)
from load_balancer.http1.lines import next_line
from load_balancer.http1.memory import Memory
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


def _read_facts(telling: Lines) -> RequestFacts:
    """What they say about host, framing and connection; raises MalformedError if that is not one single thing."""
    found = values_by_name(telling)
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
    return RequestFacts(
        host=None if hosts is None else hosts[0],
        length=body_length(found),
        chunked=is_chunked(found),
        options=options,
        expects_continue=expectations is not None,
        via=via(found.get(b"via", ())),
    )


# R6. Browsers repeat their heads nearly word for word, and a shop has few addresses: what was judged once is remembered,
# by all connections together: whole heads, and where they differ, their request line, their block of field lines, each
# line of it, and what the few telling lines mean together. All of it stays below some 15 MB, whatever clients send.
_HEAD_BYTES_MAX = 2_048
_known_heads: Memory[Request] = Memory(1_024, _HEAD_BYTES_MAX)
_known_request_lines: Memory[_Line] = Memory(2_048, 256)
_known_blocks: Memory[RequestFields] = Memory(512, _HEAD_BYTES_MAX)
_known_facts = lru_cache(maxsize=256)(_read_facts)


def _fields(lines: Lines, *, short: bool = False) -> RequestFields:
    telling = telling_lines(lines)
    facts = _known_facts(telling) if short else _read_facts(telling)
    return RequestFields(lines, facts, kept_lines(lines, facts.options))


def _line_of(text: bytes) -> _Line:
    line = _known_request_lines.known.get(text)
    if line is None:
        line = _read_line(text)
        _known_request_lines.offer(text, line)
    return line


def _fields_of(block: bytes) -> RequestFields | None:
    fields = _known_blocks.known.get(block)
    if fields is None:
        lines = _KNOWN_LINES.of_block(block)
        if lines is None:
            return None
        fields = _fields(lines, short=len(block) <= _HEAD_BYTES_MAX)
        _known_blocks.offer(block, fields)
    return fields


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
        self._lines: list[Field] | None = None

    def feed(self, data: bytes) -> None:
        position = self._position
        self._buffer = self._buffer[position:] + data if self._buffer else data
        self._read -= position
        self._position = 0

    def take_whole(self, data: bytes) -> Request | None:
        """The request that ``data`` is, if it is one without a body that came before; else ``feed`` it."""
        if self._at is _HEAD and not self._buffer and not self._skipped:
            return _known_heads.known.get(data)
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
        if self._line is None:
            request = self._whole_head()
            if request is not None:
                return self._begin(request)
            if not self._skip_empty_lines():
                return None
        return self._head_line_by_line(self._position)

    def _whole_head(self) -> Request | None:
        """The quick path. None for any head that is not right (and a few that are): the slow path decides on it."""
        buffer, start = self._buffer, self._position
        end = buffer.find(b"\r\n\r\n", start, start + HEAD_BYTES_MAX)
        if end < 0:
            return None
        line_end = buffer.find(b"\r\n", start)
        if line_end - start > REQUEST_LINE_BYTES_MAX:
            return None
        try:
            line = _line_of(buffer[start:line_end])
            fields = _fields_of(buffer[line_end + 2 : end + 2])
            if fields is None:
                return None
            request = _judge(line, fields)
        except MalformedError:
            return None
        if request.complete and not start and end + 4 == len(buffer):
            _known_heads.offer(buffer, request)
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
                request = _judge(self._line, _fields(tuple(self._lines)))
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
    host, given_length, chunked, options, expects_continue, _ = fields.facts
    if host is None:
        if minor:
            raise MalformedError(400, "no Host")
        host = authority or b""
    elif authority is not None and not same_authority(authority, host):
        raise MalformedError(400, "the target names another host than Host")
    length = given_length or 0
    if chunked and not minor:
        raise MalformedError(400, "Transfer-Encoding in an HTTP/1.0 request")
    if method in _METHODS_WITH_BODY:
        framing = Framing.CHUNKED if chunked else Framing.LENGTH
    elif chunked or length:
        raise MalformedError(400, "a body where the method has none")
    else:
        framing = Framing.NONE
    return Request(
        method=method,
        target=path,
        host=host,
        minor=minor,
        fields=fields,
        framing=framing,
        length=length,
        keep_alive=b"close" not in options and (minor == 1 or b"keep-alive" in options),
        expects_continue=expects_continue and minor == 1 and framing is not Framing.NONE,
        complete=not length and not chunked,
        reserved=is_reserved,
        opening=request_opening(method, path, host, fields),
    )
