"""The number by which a request is found in logs, in answers and on error pages."""

import re
import secrets

_GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_BYTES = 8


def chosen(given: str) -> str:
    """The one that came along (the load balancer's), if it looks like one; else a new one."""
    return given if _GIVEN.fullmatch(given) else secrets.token_hex(_BYTES)
