"""Texts in the reader's language, in Python and in templates.

T1  A message's named places are filled only when values are given, so that a "%" in a plain message stays one.
T2  In templates the values are escaped, the messages are not: they are ours.
"""

from typing import Any

from flask import Flask

from customers.languages.current import EXTENSION, Choose, language
from customers.languages.messages import CATALOGUES


def gettext(message: str, **values: Any) -> str:
    text = CATALOGUES[language()].gettext(message)
    return text % values if values else text


def ngettext(singular: str, plural: str, number: int, **values: Any) -> str:
    """``%(num)s`` is the number unless ``values`` says how it is written."""
    return _plural(singular, plural, number) % ({"num": number} | values)


class Lazy:
    """A message whose language is decided when it is shown."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __str__(self) -> str:
        return gettext(self._message)


def lazy_gettext(message: str) -> Lazy:
    return Lazy(message)


def install(app: Flask, choose: Choose) -> None:
    """`_`, `ngettext` and `{% trans %}` in templates, in the language that ``choose`` gives for a request."""
    app.extensions[EXTENSION] = choose
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    app.jinja_env.add_extension("jinja2.ext.i18n")
    # Jinja fills the places itself, after it marked the message as safe (T2).
    app.jinja_env.install_gettext_callables(gettext, _plural, newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.globals["language"] = language


def _plural(singular: str, plural: str, number: int) -> str:
    return CATALOGUES[language()].ngettext(singular, plural, number)
