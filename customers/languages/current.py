"""The language of the answer that is being made.

C1  It is decided once a request, when the first text is needed: a file or a number costs nothing.
C2  Outside of a request everything is English.
"""

from collections.abc import Callable

from flask import current_app, g, has_request_context

from customers.languages.messages import DEFAULT

EXTENSION = "shop_languages"

Choose = Callable[[], str]


def language() -> str:
    """The code of the reader's language; ``current_app.extensions[EXTENSION]`` decides it."""
    if not has_request_context():
        return DEFAULT
    chosen: str | None = g.get("language")
    if chosen is None:
        choose: Choose | None = current_app.extensions.get(EXTENSION)
        chosen = g.language = choose() if choose else DEFAULT
    return chosen
