"""What signed in, roughly, so that people recognise their own sessions: a browser and a system from closed lists.

B1  Nothing of a User-Agent header is kept but names of ours: it is text that anybody may write anything into.
"""

from typing import NamedTuple

USER_AGENT_READ_MAX = 400  # browsers send about 120 characters


class Client(NamedTuple):
    """Both None for programs and for browsers that hide what they are."""

    browser: str | None
    system: str | None


UNKNOWN = Client(None, None)

# Mark in the header -> name, the more special first: every browser also claims to be those before it.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def recognised(user_agent: str) -> Client:
    """The client that a User-Agent header names."""
    text = user_agent[:USER_AGENT_READ_MAX]
    if not text.startswith("Mozilla/5.0 ("):
        return UNKNOWN
    return Client(_named(text, _BROWSERS), _named(text, _SYSTEMS))


def _named(text: str, marks: tuple[tuple[str, str], ...]) -> str | None:
    return next((name for mark, name in marks if mark in text), None)
