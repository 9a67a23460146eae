"""Lines end with CR LF, and with nothing else.

The verdict depends on the bytes only, never on how they were split: the earliest offence decides, a limit included.
"""

import re
from typing import Final

from load_balancer.http1.grammar import FIELD_LINE, OWS, MalformedError

_LINE_END: Final = re.compile(rb"\n|\r(?=[^\n])")


def next_line(buffer: bytes, start: int, bytes_max: int, too_long: MalformedError) -> tuple[bytes, int] | None:
    """The line at ``start`` and where the next one starts; None if it is not whole yet.

    Raises ``too_long`` if it has more than ``bytes_max`` bytes before its CR LF, MalformedError for a bare CR or LF.
    """
    window_end = start + bytes_max + 2
    match = _LINE_END.search(buffer, start, window_end)
    if match is None:
        if len(buffer) >= window_end:
            raise too_long
        return None
    end = match.start()
    if buffer[end] == 0x0D:
        raise MalformedError(400, "bare CR")
    if end == start or buffer[end - 1] != 0x0D:
        raise MalformedError(400, "bare LF")
    return buffer[start : end - 1], end + 1


def parse_field_line(line: bytes) -> tuple[bytes, bytes]:
    """Name and value of a field line without its CR LF; raises MalformedError."""
    match = FIELD_LINE.fullmatch(line)
    if match is None:
        raise MalformedError(400, "not a field line")
    return match[1], match[2].rstrip(OWS)
