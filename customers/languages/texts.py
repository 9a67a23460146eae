"""Texts in the reader's language, in Python and in templates.

T1  In Python a message's named places are filled only when values are given, so that a "%" in a plain message stays one.
    In templates they always are, as Jinja has it: there a "%" is written "%%".
T2  In templates the values are escaped, the messages are not: they are ours.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from flask import Flask
from markupsafe import Markup, escape

from customers.languages import formats
from customers.languages.current import Choose, follow, language
from customers.languages.messages import CATALOGUES, LANGUAGES

TEXTS_KEPT = 2_000 * len(LANGUAGES)  # more than the code has


def gettext(message: str, /, **values: Any) -> str:
    text = CATALOGUES[language()].gettext(message)
    return text % values if values else text


def ngettext(singular: str, plural: str, number: int, /, **values: Any) -> str:
    """``%(num)s`` is the number unless ``values`` says how it is written."""
    return _plural(singular, plural, number) % ({"num": number} | values)


def plural_forms(singular: str, plural: str, /, **values: Any) -> dict[str, str]:
    """All forms by the name that CLDR gives them, for a script that counts on (Intl.PluralRules)."""
    code = language()
    texts = CATALOGUES[code]
    return {form: texts.ngettext(singular, plural, number) % values for form, number in formats.examples(code).items()}


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
    follow(app, choose)
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.newstyle_gettext = True  # type: ignore[attr-defined] # {% trans %} passes its values on, and escapes none
    # Jinja's own wrappers do the same at five times the cost, and a page has a hundred texts.
    app.jinja_env.globals |= {
        "_": _marked_up,
        "gettext": _marked_up,
        "ngettext": _marked_up_plural,
        "language": language,
        "plural_forms": plural_forms,
    }


def _marked_up(message: str, /, **values: Any) -> Markup:
    return _filled(gettext(message), values) if values else _whole(message, language())


def _marked_up_plural(singular: str, plural: str, num: int, /, **values: Any) -> Markup:
    return _filled(_plural(singular, plural, num), {"num": num} | values)


def _filled(text: str, values: Mapping[str, Any]) -> Markup:
    """T2; `Markup % values` would do the same at twice the cost."""
    return Markup(text % {name: escape(value) for name, value in values.items()})  # noqa: S704 - the message is ours


@lru_cache(maxsize=TEXTS_KEPT)
def _whole(message: str, code: str) -> Markup:
    """A text without places (T1)."""
    return Markup(CATALOGUES[code].gettext(message) % {})  # noqa: S704 - the message is ours (T2)


def _plural(singular: str, plural: str, number: int) -> str:
    return CATALOGUES[language()].ngettext(singular, plural, number)
