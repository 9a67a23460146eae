"""Reading Accept-Language (RFC 9110, 12.5.4) as browsers write it and as nobody should.

Q1  Whatever the header holds, there is an answer, after work bounded by ``LENGTH_MAX`` and ``RANGES_MAX``.
Q2  A language with q=0 is never chosen while another one is left.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

LENGTH_MAX = 1_000  # characters looked at; a browser with twenty languages sends 250
RANGES_MAX = 50

_RANGE = re.compile(r"([A-Za-z]{1,8}|\*)((?:-[A-Za-z0-9]{1,8})*)(?:;q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?")


@lru_cache(maxsize=512)
def best(header: str, offered: Sequence[str], default: str) -> str:
    """The offered language with the highest quality; the one named first among equals; ``default`` if none is wanted."""
    wanted = _qualities(header, offered)
    acceptable = [code for code in wanted if wanted[code] > 0]
    if acceptable:
        return max(acceptable, key=lambda code: wanted[code])
    return next((code for code in (default, *offered) if wanted.get(code) != 0), default)


def _qualities(header: str, offered: Sequence[str]) -> dict[str, float]:
    """Offered language -> its quality, in the order of the header; a range that cannot be read is passed over (Q1)."""
    named: dict[str, float] = {}
    any_other: float | None = None
    for part in header[:LENGTH_MAX].split(",")[:RANGES_MAX]:
        match = _RANGE.fullmatch("".join(part.split()))
        if match is None:
            continue
        code, quality = match[1].lower(), float(match[3] or 1)
        if code == "*":
            any_other = quality
        elif code in offered:
            named[code] = max(quality, named.get(code, 0.0))
    if any_other is not None:
        named |= {code: any_other for code in offered if code not in named}
    return named
