"""Reading a JSON body strictly: what two parsers could read differently is refused before anyone looks at the values.

J1  A body that is not exactly one JSON object in UTF-8 is 400: other encodings, byte order mark, trailing text,
    duplicate keys, nesting or digits beyond the parser's limits.
J2  A value of the wrong type is 422 and names its field: no number is taken from text, no text from a number, no
    1 from true; NaN and Infinity are numbers of no field.
J3  No message repeats what was sent: it may be a password or a card number.
"""

import json
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError

from customers.errors import FieldError, InvalidInput, MalformedRequest, UnsupportedContentType
from customers.languages import Lazy, lazy_gettext
from customers.languages import gettext as _

MISTAKES_MAX = 50  # of a thousand wrong lines the first fifty say enough
FIELD_LENGTH_MAX = 100

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Body(BaseModel):
    """A request's body: strict types, no unknown field."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Body)


def read_body(model: type[Model]) -> Model:
    """The request's body as ``model``; raises UnsupportedContentType, MalformedRequest or InvalidInput."""
    raw = request.get_data(cache=False)
    if raw or request.mimetype:
        _require_json()
    return checked(model, parsed(raw))


def _require_json() -> None:
    charset = request.mimetype_params.get("charset", "utf-8")
    if request.mimetype != "application/json" or charset.lower() not in {"utf-8", "utf8"}:
        raise UnsupportedContentType
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        message = _("Send the body as it is, without Content-Encoding.")
        raise UnsupportedContentType(message)


def parsed(raw: bytes) -> dict[str, Any]:
    """One JSON object (J1); raises MalformedRequest."""
    if not raw.strip(b" \t\r\n"):
        message = _("The body is empty; a JSON object is needed.")
        raise MalformedRequest(message)
    if raw.startswith(_BYTE_ORDER_MARK):
        message = _("The body starts with a byte order mark; send plain UTF-8.")
        raise MalformedRequest(message)
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_object_without_duplicates)
    except UnicodeDecodeError:
        message = _("The body is not UTF-8.")
        raise MalformedRequest(message) from None
    except json.JSONDecodeError as error:
        message = _(
            "The body is not JSON: see line %(line)s, column %(column)s.", line=error.lineno, column=error.colno
        )
        raise MalformedRequest(message) from None
    except RecursionError:
        message = _("The body is nested too deeply.")
        raise MalformedRequest(message) from None
    except ValueError:  # an integer of more digits than Python converts
        message = _("The body has a number with too many digits.")
        raise MalformedRequest(message) from None
    if not isinstance(value, dict):
        message = _("The body must be a JSON object.")
        raise MalformedRequest(message)
    return value


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python would keep the last of two equal keys, another parser the first (J1)."""
    result = dict(pairs)
    if len(result) != len(pairs):
        message = _("An object has the same key twice.")
        raise MalformedRequest(message)
    return result


def checked(model: type[Model], value: dict[str, Any]) -> Model:
    """The object as ``model`` (J2); raises InvalidInput."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_input=False)
        raise InvalidInput([_explained(mistake) for mistake in mistakes[:MISTAKES_MAX]]) from None


# pydantic's kind of mistake -> our phrase, and which limit of the context it names.
_PHRASES: dict[str, tuple[Lazy, str | None]] = {
    "extra_forbidden": (lazy_gettext("is not a known field"), None),
    "missing": (lazy_gettext("is missing"), None),
    "string_unicode": (lazy_gettext("contains half of a surrogate pair, which is no character"), None),
    "string_type": (lazy_gettext("must be text"), None),
    "string_too_long": (lazy_gettext("use at most %(count)s characters"), "max_length"),
    "int_type": (lazy_gettext("must be a whole number"), None),
    "bool_type": (lazy_gettext("must be true or false"), None),
    "list_type": (lazy_gettext("must be a list"), None),
    "model_type": (lazy_gettext("must be an object"), None),
    "greater_than_equal": (lazy_gettext("must be %(count)s or more"), "ge"),
    "less_than_equal": (lazy_gettext("must be %(count)s or less"), "le"),
    "too_short": (lazy_gettext("must have at least %(count)s entries"), "min_length"),
    "too_long": (lazy_gettext("must have at most %(count)s entries"), "max_length"),
}
_OTHER_PHRASE = (lazy_gettext("is not right"), None)


def _explained(mistake: Any) -> FieldError:
    field = ".".join(str(part) for part in mistake["loc"])[:FIELD_LENGTH_MAX]
    phrase, limit = _PHRASES.get(mistake["type"], _OTHER_PHRASE)
    return FieldError(field, str(phrase) if limit is None else str(phrase) % {"count": mistake["ctx"][limit]})
