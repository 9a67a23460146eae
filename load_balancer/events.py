"""What the parsers say: values that never change. Tuples, for one is made for every message and every piece of body."""

from enum import Enum
from typing import NamedTuple


class Framing(Enum):
    """How the end of a body is found."""

    NONE = "none"  # there is no body
    LENGTH = "length"  # Content-Length
    CHUNKED = "chunked"  # Transfer-Encoding: chunked
    CLOSE = "close"  # until the connection ends; responses only


class Field(NamedTuple):
    """One field line; ``key`` is the name in lower case."""

    key: bytes
    name: bytes
    value: bytes


class Fields(NamedTuple):
    """The field lines of a head, and those facts about them that framing and the connection need."""

    all: tuple[Field, ...]
    hosts: tuple[bytes, ...]
    lengths: tuple[bytes, ...]
    transfer_codings: tuple[bytes, ...]
    connection: frozenset[bytes]
    expectations: tuple[bytes, ...]

    def first(self, key: bytes) -> bytes:
        """The value of the first line with this (lower case) name, or nothing."""
        return next((field.value for field in self.all if field.key == key), b"")


class Request(NamedTuple):
    """A request whose head is valid. ``target`` is in origin form (or ``*``); ``host`` is empty only with HTTP/1.0."""

    method: bytes
    target: bytes
    host: bytes
    minor: int
    fields: Fields
    framing: Framing
    length: int
    keep_alive: bool
    expects_continue: bool


class Response(NamedTuple):
    """A final response whose head is valid. ``reusable``: its server keeps the connection open."""

    status: int
    reason: bytes
    minor: int
    fields: Fields
    framing: Framing
    length: int
    reusable: bool


class Body(NamedTuple):
    """A piece of a body, decoded."""

    data: bytes


class End(NamedTuple):
    """The message is complete."""


class Rejected(NamedTuple):
    """The client's bytes are refused; nothing that follows on this connection has a meaning."""

    status: int
    reason: str


class Broken(NamedTuple):
    """The server's bytes cannot be trusted, or its answer was cut off; its connection is of no further use."""

    reason: str


END = End()
RequestEvent = Request | Body | End | Rejected
ResponseEvent = Response | Body | End | Broken
