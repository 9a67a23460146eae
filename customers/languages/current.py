"""The language of the answer that is being made.

C1  It is decided once a request, when the first text is needed: a file or a number costs nothing.
C2  Outside of a request everything is English, also in a thread that has just answered in another language.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from flask import Flask, current_app, has_request_context

from customers.languages.messages import DEFAULT

EXTENSION = "shop_languages"

Choose = Callable[[], str]

# Flask's `g` would do, at fifteen times the cost; every text of a page asks.
_chosen: ContextVar[str | None] = ContextVar("chosen_language", default=None)


def language() -> str:
    """The code of the reader's language."""
    code = _chosen.get()
    return _decided() if code is None else code


def _decided() -> str:
    choose: Choose | None = current_app.extensions.get(EXTENSION) if has_request_context() else None
    if choose is None:
        return DEFAULT
    code = choose()
    _chosen.set(code)
    return code


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Texts are in this language within, whoever reads them."""
    before = _chosen.set(code)
    try:
        yield
    finally:
        _chosen.reset(before)


def follow(app: Flask, choose: Choose) -> None:
    """Ask ``choose`` once in every request of the application."""
    app.extensions[EXTENSION] = choose
    app.teardown_request(_forget)


def _forget(_error: BaseException | None) -> None:
    _chosen.set(None)
