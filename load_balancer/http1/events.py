"""What the parsers say: values that never change. Tuples, for one is made for every message and every piece of body."""

from enum import Enum
from typing import NamedTuple


class Framing(Enum):
    """How the end of a body is found."""

    NONE = "none"  # there is no body
    LENGTH = "length"  # Content-Length
    CHUNKED = "chunked"  # Transfer-Encoding: chunked
    CLOSE = "close"  # until the connection ends; responses only


class Reserved(Enum):
    """Requests that are not simply passed on: targets that no server is asked for, and what is asked of a connection."""

    HEALTH = "our own health page"
    HIDDEN = "pages of the servers that are not public"
    OURSELVES = "OPTIONS *, which asks about us"
    UPGRADE = "asks for another protocol"
    SWITCH = "asks for another protocol, and may be given it"


class Field(NamedTuple):
    """One field line; ``key`` is the name in lower case.

    ``kept``: the line as it is passed on, nothing if it is not; ``telling``: it says something about framing or the like.
    """

    key: bytes
    name: bytes
    value: bytes
    kept: bytes
    telling: bool


Lines = tuple[Field, ...]


class RequestFacts(NamedTuple):
    """What a request's telling lines say.

    ``host`` is valid where it is given. ``length`` is None without Content-Length. ``options``: what Connection names.
    ``via``: the whole value of Via, with us in it. ``trace``: the lines of a valid trace context, nothing without one.
    ``upgrade``: the one protocol that is asked for, in lower case, or nothing.
    """

    host: bytes | None
    length: int | None
    chunked: bool
    options: frozenset[bytes]
    expects_continue: bool
    via: bytes
    trace: bytes
    upgrade: bytes


class RequestFields(NamedTuple):
    """The field lines of a request; ``kept``: those that are passed on, as they are written."""

    all: Lines
    facts: RequestFacts
    kept: bytes

    def first(self, key: bytes) -> bytes:
        """The value of the first line with this (lower case) name, or nothing."""
        return next((field.value for field in self.all if field.key == key), b"")


class Request(NamedTuple):
    """A request whose head is valid. ``target`` is in origin form (or ``*``); ``host`` is empty only with HTTP/1.0.

    ``complete``: there is no body, so neither Body nor End follows. ``reserved``: it is not simply passed on.
    ``opening``: how it is written to a server, up to what differs by connection, request and body (headers.py).
    """

    method: bytes
    target: bytes
    host: bytes
    minor: int
    fields: RequestFields
    framing: Framing
    length: int
    keep_alive: bool
    expects_continue: bool
    complete: bool
    reserved: Reserved | None
    opening: bytes


class ResponseFacts(NamedTuple):
    """What a response's telling lines say.

    ``options``, ``via``: as with requests. ``dated``: Date is passed on; ``named``: so is X-Served-By.
    """

    length: int | None
    chunked: bool
    options: frozenset[bytes]
    via: bytes
    dated: bool
    named: bool


class ResponseFields(NamedTuple):
    """The field lines of a response; ``kept``: those that are passed on, as they are written."""

    all: Lines
    facts: ResponseFacts
    kept: bytes


class Response(NamedTuple):
    """A final response whose head is valid. ``reusable``: its server keeps the connection open."""

    status: int
    reason: bytes
    minor: int
    fields: ResponseFields
    framing: Framing
    length: int
    reusable: bool


class Body(NamedTuple):
    """A piece of a body, decoded."""

    data: bytes


class End(NamedTuple):
    """The body is complete, and with it the message."""


class Rejected(NamedTuple):
    """The client's bytes are refused; nothing that follows on this connection has a meaning.

    ``request``: the one whose body is refused; None where there is no right head.
    """

    status: int
    reason: str
    request: Request | None = None


class Received(NamedTuple):
    """What bytes of a server said: the head of a final answer, a piece of its body, its end, or why it is broken.

    All of it in one value, for most answers arrive whole. A broken one is of no further use, nor is its connection.
    """

    head: Response | None
    body: bytes
    ended: bool
    broken: str | None


END = End()
RequestEvent = Request | Body | End | Rejected
