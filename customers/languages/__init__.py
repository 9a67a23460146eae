"""The shop's languages: which one a reader gets, its messages, and how it writes numbers, money and times.

Templates use `_("…")` and `{% trans %}`, Python `from customers.languages import gettext as _`. The English text is the
message's name; what is decided once at import, before there is a reader, is a `lazy_gettext`. Texts are whole sentences
with named places: `_("%(count)s left", count=…)`. `deploy/messages` brings the catalogues up to date.
"""

from customers.languages.current import language
from customers.languages.messages import DEFAULT, LANGUAGES
from customers.languages.templates import LanguageEnvironment, macros, render_template
from customers.languages.texts import Lazy, gettext, install, lazy_gettext, ngettext

__all__ = [
    "DEFAULT",
    "LANGUAGES",
    "LanguageEnvironment",
    "Lazy",
    "gettext",
    "install",
    "language",
    "lazy_gettext",
    "macros",
    "ngettext",
    "render_template",
]
