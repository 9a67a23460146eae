"""What a page says of goods that it shows although the database is away: how old they are.

Noted while the page's values are fetched, told by its template (as_of.html); it belongs to one request.
"""

from flask import g, has_request_context


def note(seconds: float) -> None:
    """Something that is shown is so old; of several the oldest counts. 0: nothing is, but the reader is not known."""
    if has_request_context():
        g.as_of_seconds = max(seconds, g.get("as_of_seconds", 0.0))


def seconds() -> float | None:
    """None: all is as it is now."""
    told: float | None = g.get("as_of_seconds")
    return told
