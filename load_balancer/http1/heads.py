"""Field lines, and those facts about framing that requests and responses have in common. Holds no state."""

from collections.abc import Sequence

from load_balancer.http1.events import Field, Lines
from load_balancer.http1.grammar import CONTENT_LENGTH, FIELD_LINE, FIELD_LINES_MAX, OWS, TOKEN, MalformedError


def lines_of_block(block: bytes) -> Lines | None:
    """All field lines of a block of whole lines at once; None if any of them is wrong or there are too many."""
    pairs = FIELD_LINE.findall(block)
    if len(pairs) != block.count(b"\n") or len(pairs) > FIELD_LINES_MAX:
        return None
    return tuple([Field(name.lower(), name, value.rstrip(OWS)) for name, value in pairs])


def values(lines: Lines, key: bytes) -> list[bytes]:
    return [line.value for line in lines if line.key == key]


def connection_options(given: Sequence[bytes]) -> frozenset[bytes]:
    """What Connection names, in lower case; raises MalformedError if it is not a list of tokens."""
    options = frozenset(part.strip(OWS).lower() for value in given for part in value.split(b","))
    if not all(TOKEN.fullmatch(option) for option in options if option):
        raise MalformedError(400, "Connection is not a list of tokens")
    return options


def body_length(given: Sequence[bytes]) -> int | None:
    """What Content-Length says; None without one. Two of them are refused even where they agree (an attack of 2026)."""
    if not given:
        return None
    if len(given) > 1:
        raise MalformedError(400, "more than one Content-Length")
    if not CONTENT_LENGTH.fullmatch(given[0]):
        raise MalformedError(400, "Content-Length is not a plain number")
    return int(given[0])


def is_chunked(given: Sequence[bytes]) -> bool:
    """Whether Transfer-Encoding says chunked and nothing else; raises 501 for other codings, 400 for nonsense."""
    if not given:
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
