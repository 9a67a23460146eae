"""Reading forms: each field once, quantities in plain digits, the way back only into this shop."""

import re

from flask import request

from customers.errors import EmailTaken, InvalidInput
from customers.languages import gettext as _
from customers.numbers import COUNT, ROW_ID

QUANTITY = re.compile(COUNT)
TEXT_MAX = 2_000
QUANTITY_LENGTH_MAX = 6
NUMBER = re.compile(f"0|{ROW_ID}")
REPEATABLE = frozenset({"form_token", "quantity", "other", "back"})  # what a page may write into a form again

# Pages that signing in may lead back to: a path of ours, no scheme, no host, no backslash, no control character.
_WAY_BACK = re.compile(rf"/(?:|cart|checkout|account|orders|orders/{ROW_ID}|product/{ROW_ID}(?:\?want={COUNT})?)")


def text(name: str, length_max: int = TEXT_MAX) -> str:
    """A field's text as it was typed, "" if it was not sent; raises InvalidInput when it was sent twice."""
    values = request.form.getlist(name)
    if len(values) > 1:
        raise InvalidInput.of(name, _("give it only once"))
    value = values[0] if values else ""
    if len(value) > length_max:
        raise InvalidInput.of(name, _("is too long"))
    return value


def sent_again() -> dict[str, str] | None:
    """The fields of a form that a page may offer once more as it came; None where somebody typed what no page repeats."""
    if request.method != "POST" or not REPEATABLE.issuperset(request.form):
        return None
    return request.form.to_dict()


def quantity() -> int:
    typed = text("quantity")
    if not QUANTITY.fullmatch(typed):
        raise InvalidInput.of("quantity", _("use a whole number, 1 or more, in plain digits"))
    return int(typed)


def row_id(name: str) -> int:
    """The number of a row that the page named; raises InvalidInput."""
    typed = text(name)
    if not NUMBER.fullmatch(typed):
        raise InvalidInput.of(name, _("is not one that a page of this shop names"))
    return int(typed)


def way_back(target: str | None) -> str:
    """Where to go after signing in: the page that was asked for, or the catalogue for anything suspicious."""
    return target if target and _WAY_BACK.fullmatch(target) else "/"


def by_field(error: InvalidInput | EmailTaken) -> dict[str, str]:
    """Field name to message, for the page to show beside the field: a phrase, without a full stop."""
    if isinstance(error, EmailTaken):
        return {"email": str(error).rstrip(".")}
    return {one.field: one.message for one in error.errors}
