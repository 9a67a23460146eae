"""What the head of a request means: pure functions of its bytes, and the memory of what they said before (requests.R6).

Browsers repeat their heads nearly word for word, and a shop has few addresses: what was judged once is remembered, by
all connections together: whole heads, and where they differ, the request line, the block of lines in front of those that
a browser changes from page to page, each field line, and what the few telling lines mean together. All of it stays
below some 16 MB, whatever clients send.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from load_balancer.http1.events import Framing, Lines, Request, RequestFacts, RequestFields, Reserved
from load_balancer.http1.grammar import (
    REQUEST_LINE,
    HeadLimits,
    MalformedError,
    valid_host,
)
from load_balancer.http1.headers import request_opening, request_passes, via
from load_balancer.http1.heads import (
    NO_BLOCK,
    Block,
    KnownLines,
    block,
    body_length,
    connection_options,
    is_chunked,
    kept_behind,
    telling_lines,
    values_by_name,
)
from load_balancer.http1.memory import Memory
from load_balancer.http1.targets import read_target, reserved, same_authority
from load_balancer.http1.traces import PARENT, STATE, trace_lines
from load_balancer.http1.upgrades import asks, protocol

METHODS: Final = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
_KNOWN_METHODS: Final = frozenset(METHODS)
_METHODS_WITH_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
_METHODS_NOT_ALLOWED: Final = frozenset({b"CONNECT", b"TRACE", b"QUERY"})
_NONE: Final = Framing.NONE  # asked for with every request; an enum's member is found more slowly
_new: Final = tuple.__new__  # what the class' own, written in Python, calls
_TELLING: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"via", b"upgrade", PARENT, STATE}
)


class RequestLine(NamedTuple):
    """A request line that was judged: what of it counts."""

    method: bytes
    minor: int
    path: bytes
    authority: bytes | None
    reserved: Reserved | None


def read_line(text: bytes) -> RequestLine:
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
    return RequestLine(method, 1 if minor == b"1" else 0, target.path, target.authority, reserved(target.path))


KNOWN_LINES = KnownLines(request_passes, _TELLING)


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
        trace=b"" if PARENT in options else trace_lines(found),
        upgrade=protocol(found, options),
    )


_HEAD_BYTES_MAX: Final = 2_048
_known_request_lines: Memory[RequestLine] = Memory(2_048, 256)
# What stands in front of the first of these is the same on all pages of a shop.
_CHANGING: Final = (b"\r\nCookie: ", b"\r\nReferer: ")  # the one that browsers write last comes first here
_known_blocks: Memory[Block] = Memory(128, 1_024)
_known_facts = lru_cache(maxsize=256)(_read_facts)


def forget() -> None:
    """Begin with nothing remembered, as a new process does."""
    HEADS.memory.clear()
    _known_request_lines.clear()
    _known_blocks.clear()
    _known_facts.cache_clear()
    KNOWN_LINES.clear()


def fields_of_lines(lines: Lines, before: Block = NO_BLOCK, *, short: bool = False) -> RequestFields:
    """Those of ``before``, then ``lines``. ``short``: what they mean together may be remembered; raises MalformedError."""
    telling = before.telling + telling_lines(lines)
    facts = _known_facts(telling) if short else _read_facts(telling)
    return _new(RequestFields, (before.lines + lines, facts, kept_behind(before, lines, facts.options)))


def _split(head: bytes, start: int, lines_max: int) -> tuple[Block, Lines]:
    """The field lines behind the request line, which ends at ``start``: the steady ones, and the others.

    Raises MalformedError for a wrong one, and instead of reading more than ``lines_max`` of either.
    """
    end = len(head) - 4  # of the last line
    cut = end
    for changing in _CHANGING:
        found = head.rfind(changing, start, cut)
        if found >= 0:
            cut = found
    text = head[start + 2 : cut]
    steady = _known_blocks.known.get(text)
    if steady is None:
        steady = block(_read(text, lines_max)) if text else NO_BLOCK
        _known_blocks.offer(text, steady)
    return steady, _read(head[cut + 2 : end], lines_max) if cut < end else ()


def _read(text: bytes, lines_max: int) -> Lines:
    texts = text.split(b"\r\n")
    if len(texts) > lines_max:
        raise MalformedError(431, "too many field lines")
    return KNOWN_LINES.read(texts)


class RequestHeads:
    """Heads within these limits, and the memory of whole ones: what another limit would refuse is not remembered here."""

    __slots__ = ("_field_lines_max", "_line_bytes_max", "limits", "memory")

    def __init__(self, limits: HeadLimits) -> None:
        self.limits = limits
        self._line_bytes_max, _, self._field_lines_max = limits
        self.memory: Memory[Request] = Memory(1_024, _HEAD_BYTES_MAX)

    def whole(self, head: bytes) -> Request | None:
        """The request that this whole head begins; its empty line, the only one, ends it.

        None for any head that is not right, and a few that are: the caller must find out what is wrong line by line.
        """
        request = self.memory.known.get(head)
        if request is not None:
            return request
        start = head.find(b"\r\n")
        text = head[:start]
        if start > self._line_bytes_max:
            return None
        try:
            line = _known_request_lines.known.get(text)
            if line is None:
                line = read_line(text)
                _known_request_lines.offer(text, line)
            steady, lines = _split(head, start, self._field_lines_max)
            fields = fields_of_lines(lines, steady, short=len(head) <= _HEAD_BYTES_MAX)
            if len(fields.all) > self._field_lines_max:
                return None
            request = judge(line, fields)
        except MalformedError:
            return None
        self.memory.offer(head, request)
        return request


HEADS: Final = RequestHeads(HeadLimits())  # the defaults


def judge(line: RequestLine, fields: RequestFields) -> Request:
    """What a request line and field lines mean together; raises MalformedError if that is not one single thing."""
    method, minor, path, authority, is_reserved = line
    host, given_length, chunked, options, expects_continue, _, _, upgrade = fields.facts
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
        framing = _NONE
    keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    awaits = expects_continue and minor == 1 and framing is not _NONE
    complete = not length and not chunked
    opening = request_opening(method, path, host, fields)
    if upgrade and is_reserved is None and asks(method, minor, framing):
        is_reserved = Reserved.UPGRADE
    return Request(
        method, path, host, minor, fields, framing, length, keep_alive, awaits, complete, is_reserved, opening
    )
