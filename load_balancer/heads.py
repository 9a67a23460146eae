"""The field lines of a head, and what they say about framing. Used by both parsers; holds no state."""

from load_balancer.events import Field, Fields
from load_balancer.grammar import CONTENT_LENGTH, FIELD_LINE, FIELD_LINES_MAX, OWS, TOKEN, MalformedError

_EMPTY = Fields((), (), (), (), frozenset(), ())


def fields_of_block(block: bytes) -> Fields | None:
    """All field lines at once; None if any of them is wrong or there are too many: then read them line by line."""
    if not block:
        return _EMPTY
    pairs = FIELD_LINE.findall(block)
    if len(pairs) != block.count(b"\n") or len(pairs) > FIELD_LINES_MAX:
        return None
    return gather([(name, value.rstrip(OWS)) for name, value in pairs])


def gather(pairs: list[tuple[bytes, bytes]]) -> Fields:
    """Field lines, with the facts that framing needs picked out."""
    found: dict[bytes, list[bytes]] = {key: [] for key in _FACTS}
    fields = []
    for name, value in pairs:
        key = name.lower()
        fields.append(Field(key, name, value))
        if key in _FACTS:
            found[key].append(value)
    options = [part.strip(OWS).lower() for value in found[b"connection"] for part in value.split(b",")]
    return Fields(
        all=tuple(fields),
        hosts=tuple(found[b"host"]),
        lengths=tuple(found[b"content-length"]),
        transfer_codings=tuple(found[b"transfer-encoding"]),
        connection=frozenset(option for option in options if option),
        expectations=tuple(found[b"expect"]),
    )


_FACTS = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"})


def check_connection(fields: Fields) -> None:
    if not all(TOKEN.fullmatch(option) for option in fields.connection):
        raise MalformedError(400, "Connection is not a list of tokens")


def body_length(fields: Fields) -> int | None:
    """What Content-Length says; None without one. Two of them are refused even where they agree (an attack of 2026)."""
    if not fields.lengths:
        return None
    if len(fields.lengths) > 1:
        raise MalformedError(400, "more than one Content-Length")
    if not CONTENT_LENGTH.fullmatch(fields.lengths[0]):
        raise MalformedError(400, "Content-Length is not a plain number")
    return int(fields.lengths[0])


def is_chunked(fields: Fields) -> bool:
    """Whether Transfer-Encoding says chunked and nothing else; raises 501 for other codings, 400 for nonsense."""
    if not fields.transfer_codings:
        return False
    if len(fields.transfer_codings) > 1:
        raise MalformedError(400, "more than one Transfer-Encoding")
    codings = [coding.strip(OWS).lower() for coding in fields.transfer_codings[0].split(b",")]
    if codings == [b"chunked"]:
        return True
    if not all(TOKEN.fullmatch(coding) for coding in codings):
        raise MalformedError(400, "Transfer-Encoding is not a list of tokens")
    if b"chunked" in codings and codings.index(b"chunked") != len(codings) - 1:
        raise MalformedError(400, "chunked is not the last transfer coding")
    raise MalformedError(501, "transfer coding not supported")
