"""The states of a client's connection.

idle -> head -> (body) -> exchange -> idle …; body -> streaming -> exchange where a body is too large to be collected;
any -> linger -> gone.
"""

from enum import Enum
from typing import Final


class Phase(Enum):
    """Where a connection is."""

    IDLE = "between two requests"
    HEAD = "a head has begun"
    BODY = "a body is collected"
    EXCHANGE = "a complete request is with a server"
    STREAMING = "a request is with a server, its body still arrives"
    LINGER = "all is said; the client may still read"
    GONE = "the connection is lost"


WANTS_EVENTS: Final = frozenset({Phase.IDLE, Phase.HEAD, Phase.BODY, Phase.STREAMING})
