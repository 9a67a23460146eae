"""Templates whose texts are in the reader's language already when they are compiled: one environment for each language.

A page has a hundred texts that depend on the language and on nothing else. Looked up and joined for every page, they were a
third of what it cost; written into the compiled template, they are part of the text around them.

F1  A template says the same as if every text were looked up when the page is made: only calls of ``FOLDED`` with constants
    are done beforehand, and a text with named places is parted where its values come in, which are escaped as ever.
F2  A page is made in one language from beginning to end: that of its reader (current.py).
"""

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

from flask import Flask, current_app
from flask.templating import Environment
from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from customers.languages.current import language, speaking
from customers.languages.messages import CATALOGUES, LANGUAGES

EXTENSION = "shop_templates"
FOLDED = frozenset({"_", "gettext", "language", "plural_forms", "times", "asset"})
"""Functions of templates that give the same for the same arguments in the same language, as long as the process lives."""

_TEXTS = frozenset({"_", "gettext"})
_PLACE = re.compile(r"%\((\w+)\)s")


class LanguageEnvironment(Environment):
    """Flask's, and in ``code`` its language; None for the one that the application has, which looks up every text."""

    code: str | None = None

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """All templates have the same ones: looking them up in one place instead of two is a tenth of a page."""
        return super().make_globals(d) if d else self.globals

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template = super()._parse(source, name, filename)
        if self.code is not None:
            with speaking(self.code):
                _Folding(self, self.code).visit(template)
        return template


def render_template(name: str, /, **values: Any) -> str:
    """What Flask's does, with the texts in the template already (F2), and without its signals, which nobody listens to."""
    app: Flask = current_app
    app.update_template_context(values)
    return environment(app).get_template(name).render(values)


def macros(name: str) -> Any:
    """The macros of a template that stand by themselves, in the language of this request."""
    return environment(current_app).get_template(name).module


def environment(app: Flask) -> LanguageEnvironment:
    """For the language of this request."""
    known: dict[str, LanguageEnvironment] = app.extensions.setdefault(EXTENSION, {})
    code = language()
    found = known.get(code)
    if found is None:
        found = known.setdefault(code, _made(app, code))
    return found


def _made(app: Flask, code: str) -> LanguageEnvironment:
    """The application's own, with templates of its own."""
    if code not in LANGUAGES:
        message = f"{code!r} is no language of the shop"
        raise ValueError(message)
    made: LanguageEnvironment = app.jinja_env.overlay()  # type: ignore[assignment]  # of the same class
    made.code = code
    made.autoescape = True  # all are HTML; asked by each template for each page
    return made


class _Folding(NodeTransformer):
    """F1"""

    def __init__(self, of: LanguageEnvironment, code: str) -> None:
        self._functions: dict[str, Any] = {name: of.globals[name] for name in FOLDED if name in of.globals}
        self._messages = CATALOGUES[code]

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        name = _name_of(node)
        if name not in self._functions or not _has_constants_only(node):
            return node
        values = {keyword.key: keyword.value.value for keyword in node.kwargs}  # type: ignore[attr-defined]
        return nodes.Const(
            self._functions[name](*(argument.value for argument in node.args), **values),  # type: ignore[attr-defined]
            lineno=node.lineno,
            environment=node.environment,
        )

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.nodes = [part for child in node.nodes for part in self._parted(child)]
        return node

    def _parted(self, node: nodes.Expr) -> Iterator[nodes.Expr]:
        """A text with places as its pieces, with the values between them; anything else as it is."""
        message = self._message_with_places(node)
        if message is None:
            yield node
            return
        values = {keyword.key: keyword.value for keyword in node.kwargs}  # type: ignore[attr-defined]
        for position, piece in enumerate(_PLACE.split(message)):
            if position % 2:
                yield values[piece]
            elif piece:
                yield nodes.TemplateData(piece.replace("%%", "%"), lineno=node.lineno, environment=node.environment)

    def _message_with_places(self, node: nodes.Node) -> str | None:
        """In the language; None for what is no text, or has other places than those that are given."""
        if not isinstance(node, nodes.Call) or _name_of(node) not in _TEXTS or node.dyn_args or node.dyn_kwargs:
            return None
        if len(node.args) != 1 or not isinstance(node.args[0], nodes.Const) or not node.kwargs:
            return None
        message = self._messages.gettext(node.args[0].value)
        rest = _PLACE.sub("", message).replace("%%", "")
        is_known = {keyword.key for keyword in node.kwargs}.issuperset(_PLACE.findall(message))
        return message if is_known and "%" not in rest else None


def _name_of(node: nodes.Call) -> str:
    return node.node.name if isinstance(node.node, nodes.Name) else ""


def _has_constants_only(node: nodes.Call) -> bool:
    given = [*node.args, *(keyword.value for keyword in node.kwargs)]
    return not node.dyn_args and not node.dyn_kwargs and all(isinstance(one, nodes.Const) for one in given)
