"""Field lines, and those facts about framing that requests and responses have in common.

N1  A line's verdict is a pure function of its bytes, so lines that were read once are remembered: clients and servers
    repeat nearly all of theirs. What is remembered is bounded in number and in bytes, came at least twice (but for names,
    which are few), and never changes an answer (as in memory.py; this one is a dict of its own, so that all lines of a
    head are looked up in one call).
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from load_balancer.http1.events import Field, Lines
from load_balancer.http1.grammar import CONTENT_LENGTH, OWS, TOKEN, MalformedError
from load_balancer.http1.lines import parse_field_line

# N1: lines up to this length, that many of them; some 3 MB at the worst. Longer ones (cookies) seldom come twice.
REMEMBERED_LINE_BYTES_MAX: Final = 256
REMEMBERED_LINES_MAX: Final = 2_048
REMEMBERED_NAME_BYTES_MAX: Final = 64
REMEMBERED_NAMES_MAX: Final = 512

_KEEP_ALIVE: Final = frozenset({b"keep-alive"})
_NOTHING: Final[frozenset[bytes]] = frozenset()


class KnownLines(dict[bytes, Field]):
    """Lines without their CR LF, read on first sight; raises MalformedError, and remembers nothing that is wrong."""

    def __init__(self, passes: Callable[[bytes], bool], telling: frozenset[bytes]) -> None:
        """``passes``: whether a field of this (lower case) name is passed on; ``telling``: names that say more."""
        super().__init__()
        self._passes = passes
        self._telling = telling
        self._seen: set[int] = set()
        self._names: dict[
            bytes, tuple[bytes, bool, bool]
        ] = {}  # as they are written: key, whether it passes, and tells

    def __missing__(self, text: bytes) -> Field:
        name, value = parse_field_line(text)
        key, passes, telling = self._names.get(name) or self._judge_name(name)
        field = Field(key, name, value, b"%b: %b\r\n" % (name, value) if passes else b"", telling)
        if len(text) <= REMEMBERED_LINE_BYTES_MAX:
            self._remember(text, field)
        return field

    def _judge_name(self, name: bytes) -> tuple[bytes, bool, bool]:
        key = name.lower()
        verdict = (key, self._passes(key), key in self._telling)
        if len(name) <= REMEMBERED_NAME_BYTES_MAX:
            if len(self._names) >= REMEMBERED_NAMES_MAX:
                self._names.clear()
            self._names[name] = verdict
        return verdict

    def _remember(self, text: bytes, field: Field) -> None:
        """Once it comes a second time."""
        mark = hash(text)
        if mark in self._seen:
            if len(self) >= REMEMBERED_LINES_MAX:
                self.clear()
            self[text] = field
        else:
            if len(self._seen) >= REMEMBERED_LINES_MAX:
                self._seen.clear()
            self._seen.add(mark)

    def read(self, texts: Sequence[bytes]) -> Lines:
        """All of these; raises MalformedError for a wrong one."""
        return tuple(map(self.__getitem__, texts))

    def clear(self) -> None:
        """As new."""
        super().clear()
        self._names.clear()


_TELLING = attrgetter("telling")
_KEPT = attrgetter("kept")


def telling_lines(lines: Lines) -> Lines:
    return tuple(filter(_TELLING, lines))


class Block(NamedTuple):
    """Field lines that follow each other: all, those that say more, and what is passed on of them by their own names."""

    lines: Lines
    telling: Lines
    kept: bytes


NO_BLOCK: Final = Block((), (), b"")


def block(lines: Lines) -> Block:
    return Block(lines, telling_lines(lines), b"".join(map(_KEPT, lines)))


def kept_behind(before: Block, lines: Lines, options: frozenset[bytes]) -> bytes:
    """What is passed on of a block and the lines behind it, without those that Connection nominates."""
    if options <= _KEEP_ALIVE:
        return before.kept + b"".join(map(_KEPT, lines))
    return kept_lines(before.lines + lines, options)


def values_by_name(lines: Lines) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for line in lines:
        found.setdefault(line.key, []).append(line.value)
    return found


def kept_lines(lines: Lines, options: frozenset[bytes]) -> bytes:
    """What is passed on of these lines, without those that Connection nominates."""
    if options <= _KEEP_ALIVE:  # a field Keep-Alive is never kept
        return b"".join(map(_KEPT, lines))
    return b"".join([line.kept for line in lines if line.key not in options])


def connection_options(found: Mapping[bytes, Sequence[bytes]]) -> frozenset[bytes]:
    """What Connection names, in lower case; raises MalformedError if it is not a list of tokens."""
    given = found.get(b"connection")
    if given is None:
        return _NOTHING
    if given == [b"keep-alive"]:
        return _KEEP_ALIVE
    options = frozenset(part.strip(OWS).lower() for value in given for part in value.split(b","))
    if not all(TOKEN.fullmatch(option) for option in options if option):
        raise MalformedError(400, "Connection is not a list of tokens")
    return options


def body_length(found: Mapping[bytes, Sequence[bytes]]) -> int | None:
    """What Content-Length says; None without one. Two of them are refused even where they agree (an attack of 2026)."""
    given = found.get(b"content-length")
    if given is None:
        return None
    if len(given) > 1:
        raise MalformedError(400, "more than one Content-Length")
    if not CONTENT_LENGTH.fullmatch(given[0]):
        raise MalformedError(400, "Content-Length is not a plain number")
    return int(given[0])


def is_chunked(found: Mapping[bytes, Sequence[bytes]]) -> bool:
    """Whether Transfer-Encoding says chunked and nothing else; raises 501 for other codings, 400 for nonsense."""
    given = found.get(b"transfer-encoding")
    if given is None:
        return False
    if len(given) > 1:
        raise MalformedError(400, "more than one Transfer-Encoding")
    codings = [coding.strip(OWS).lower() for coding in given[0].split(b",")]
    if codings == [b"chunked"]:
        return True
    if not all(TOKEN.fullmatch(coding) for coding in codings):
        raise MalformedError(400, "Transfer-Encoding is not a list of tokens")
    if b"chunked" in codings and codings.index(b"chunked") != len(codings) - 1:
        raise MalformedError(400, "chunked is not the last transfer coding")
    raise MalformedError(501, "transfer coding not supported")
