"""Responses of servers: bytes in, what they say out. Servers are trusted no more than clients.

A1  What is said depends on the bytes, never on how they were split.
A2  After a broken answer nothing more is said; whoever has seen the head of that answer must not end it cleanly.
A3  An answer is complete only by its own framing; a connection that ends early is broken.
A4  Bytes behind a complete answer belong to nobody: ``surplus`` says so, and the connection is dropped (but for a 101).
A5  What is remembered of an earlier head is a pure function of its bytes: it changes nothing that is said.
"""

from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from load_balancer.http1.chunks import ChunkedDecoder
from load_balancer.http1.events import END, Body, Framing, Lines, Received, Response, ResponseFacts, ResponseFields
from load_balancer.http1.grammar import FIELD_LINES_MAX, HEAD_BYTES_MAX, STATUS_LINE, MalformedError
from load_balancer.http1.headers import response_passes, via
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

INFORMATIONAL_MAX = 10  # more interim answers than that are an attack or a loop (as nginx and HAProxy limit them)
_HEAD_TOO_LONG = MalformedError(502, "head too long")
_SWITCHING_PROTOCOLS = 101
_BODILESS = frozenset({204, 304})
_NOTHING: Final = Received(None, b"", False, None)
_new: Final = tuple.__new__  # what the class' own, written in Python, calls


class _At(Enum):
    IDLE = "no answer is expected"
    HEAD = "in a head"
    LENGTH = "in a body of known length"
    CHUNKED = "in a chunked body"
    CLOSE = "in a body that lasts until the connection ends"
    BROKEN = "nothing that follows has a meaning"


# Asked for with every answer; an enum's member is found more slowly.
_IDLE: Final = _At.IDLE
_HEAD: Final = _At.HEAD
_LENGTH: Final = Framing.LENGTH


class ResponseParser:
    """``expect`` an answer, ``receive`` bytes; one answer at a time."""

    __slots__ = (
        "_at",
        "_buffer",
        "_chunks",
        "_for_head",
        "_informational",
        "_known",
        "_known_head",
        "_left",
        "may_switch",
    )

    def __init__(self) -> None:
        self._buffer = b""
        self._at = _IDLE
        self._for_head = False
        self._left = 0
        self._informational = 0
        self._chunks: ChunkedDecoder | None = None
        # A5: the last head of an answer with a body, and its bytes.
        self._known_head = b""
        self._known: Response | None = None
        self.may_switch = False  # whether 101 may answer: it then comes as a complete answer, with a surplus

    def expect(self, *, for_head: bool) -> None:
        """The next bytes answer a request; ``for_head``: its method was HEAD, so there is no body."""
        self._for_head = for_head
        self._informational = 0
        self._at = _HEAD

    @property
    def surplus(self) -> bool:
        """Whether bytes lie there that belong to no answer."""
        return bool(self._buffer)

    def take_surplus(self) -> bytes:
        """The bytes behind a 101: they are of another protocol."""
        data, self._buffer = self._buffer, b""
        return data

    def receive(self, data: bytes) -> Received:
        """What these bytes say, together with those that came before."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        head = None
        try:
            if self._at is _HEAD:
                if self._known is not None and not self._for_head and data.startswith(self._known_head):
                    head, data = self._known, data[len(self._known_head) :]
                else:
                    head, data = self._read_heads(data)
                    if head is None:
                        self._buffer = data
                        return _NOTHING
                if head.framing is _LENGTH:
                    if len(data) == head.length:  # most answers arrive whole
                        self._at = _IDLE
                        return _new(Received, (head, data, True, None))
                    self._left = head.length
                    self._at = _At.LENGTH
                else:
                    self._prepare(head)
            return self._read_body(head, data)
        except MalformedError as error:
            return self._break(head, error.reason)

    def receive_eof(self) -> Received:
        """The server closed its side in good order."""
        if self._at is _At.CLOSE:
            self._at = _IDLE
            return Received(None, b"", True, None)
        if self._at is not _IDLE:
            return self._break(None, "the connection ended within an answer")
        return _NOTHING

    def _break(self, head: Response | None, reason: str, data: bytes = b"") -> Received:
        """``data``: what of the body was good."""
        if self._at is _At.BROKEN:
            return _NOTHING
        self._at = _At.BROKEN
        return Received(head, data, False, reason)

    def _read_heads(self, data: bytes) -> tuple[Response | None, bytes]:
        """Swallow interim answers, then take the final one's head; and the bytes behind what was taken."""
        while True:
            response, data = self._read_head(data)
            if response is None or response.status >= 200:
                return response, data
            self._informational += 1
            if response.status == _SWITCHING_PROTOCOLS:
                if self.may_switch:
                    return response, data
                raise MalformedError(502, "the server switched protocols though nobody asked for it")
            if self._informational > INFORMATIONAL_MAX:
                raise MalformedError(502, "too many interim answers")

    def _read_head(self, data: bytes) -> tuple[Response | None, bytes]:
        end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
        if end < 0:
            _refuse_early(data)
            return None, data
        text, *texts = data[:end].split(b"\r\n")
        status_line = _status_line_of(text)
        if len(texts) > FIELD_LINES_MAX:
            raise MalformedError(502, "too many field lines")
        fields = _fields(_KNOWN_LINES.read(texts), short=end <= _HEAD_BYTES_MAX)
        response = _judge(status_line, fields, for_head=self._for_head)
        if response.status >= 200 and not self._for_head:
            self._known_head, self._known = data[: end + 4], response
        return response, data[end + 4 :]

    def _prepare(self, response: Response) -> None:
        match response.framing:
            case Framing.CHUNKED:
                self._chunks = ChunkedDecoder(None)
                self._at = _At.CHUNKED
            case Framing.CLOSE:
                self._at = _At.CLOSE
            case _:
                self._at = _IDLE

    def _read_body(self, head: Response | None, data: bytes) -> Received:
        """``head``: if it came with these bytes."""
        match self._at:
            case _At.LENGTH:
                size = len(data)
                if size < self._left:
                    self._left -= size
                    return Received(head, data, False, None)
                if size > self._left:
                    self._buffer = data[self._left :]
                    data = data[: self._left]
                self._at = _IDLE
                return Received(head, data, True, None)
            case _At.CLOSE:
                return Received(head, data, False, None)
            case _At.CHUNKED if self._chunks is not None:
                return self._read_chunks(self._chunks, head, data)
            case _At.BROKEN:
                return _NOTHING
            case _:
                self._buffer = data
                return Received(head, b"", head is not None, None)

    def _read_chunks(self, chunks: ChunkedDecoder, head: Response | None, data: bytes) -> Received:
        """All the pieces that came at once, as one."""
        pieces: list[bytes] = []
        position = 0
        try:
            while True:
                event, position = chunks.step(data, position)
                if isinstance(event, Body):
                    pieces.append(event.data)
                    continue
                if event is END:
                    self._at = _IDLE
                self._buffer = data[position:]
                return Received(head, b"".join(pieces), event is END, None)
        except MalformedError as error:
            return self._break(head, error.reason, b"".join(pieces))


def _refuse_early(data: bytes) -> None:
    """A head that is wrong already is not waited for."""
    if not b"HTTP/1.".startswith(data[:7]):
        raise MalformedError(502, "not a status line")
    start = 0
    while found := next_line(data, start, HEAD_BYTES_MAX - start - 2, _HEAD_TOO_LONG):
        start = found[1]


class _StatusLine(NamedTuple):
    minor: int
    status: int
    reason: bytes


_known_status_lines: Memory[_StatusLine] = Memory(128, 128)


def _status_line_of(text: bytes) -> _StatusLine:
    known = _known_status_lines.known.get(text)
    if known is not None:
        return known
    match = STATUS_LINE.fullmatch(text)
    if match is None:
        raise MalformedError(502, "not a status line")
    line = _StatusLine(1 if match[1] == b"1" else 0, int(match[2]), match[3] or b"")
    _known_status_lines.offer(text, line)
    return line


_TELLING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"via", b"date", b"x-served-by"})
_KNOWN_LINES = KnownLines(response_passes, _TELLING)


def _read_facts(telling: Lines) -> ResponseFacts:
    """What they say about framing; raises MalformedError if that is not one single thing."""
    found = values_by_name(telling)
    length = body_length(found)
    chunked = is_chunked(found)
    if chunked and length is not None:
        raise MalformedError(502, "both Content-Length and Transfer-Encoding")
    options = connection_options(found)
    return ResponseFacts(
        length=length,
        chunked=chunked,
        options=options,
        via=via(found.get(b"via", ())),
        dated=b"date" in found and b"date" not in options,
        named=b"x-served-by" in found and b"x-served-by" not in options,
    )


# A5: pages differ in length, and once a second in Date; short heads only, so that it stays below 1 MB.
_HEAD_BYTES_MAX: Final = 2_048
_known_facts = lru_cache(maxsize=512)(_read_facts)


def _fields(lines: Lines, *, short: bool) -> ResponseFields:
    telling = telling_lines(lines)
    facts = _known_facts(telling) if short else _read_facts(telling)
    return ResponseFields(lines, facts, kept_lines(lines, facts.options))


def _judge(line: _StatusLine, fields: ResponseFields, *, for_head: bool) -> Response:
    minor, status, reason = line
    facts = fields.facts
    if facts.chunked and minor == 0:
        raise MalformedError(502, "Transfer-Encoding in an HTTP/1.0 response")
    if for_head or status < 200 or status in _BODILESS:
        framing = Framing.NONE
    elif facts.chunked:
        framing = Framing.CHUNKED
    else:
        framing = Framing.CLOSE if facts.length is None else Framing.LENGTH
    reusable = minor == 1 and framing is not Framing.CLOSE and b"close" not in facts.options
    return Response(status, reason, minor, fields, framing, facts.length or 0, reusable)
