"""The blueprint: which function answers which call, and who may call it."""

from flask import Blueprint, jsonify, request
from werkzeug.wrappers import Response

from customers.api import account_views, shop_views
from customers.api.openapi import CALLS, QUERY_PARAMETERS, document
from customers.errors import FieldError, InvalidInput
from customers.instance import customer, instance
from customers.json_input import FIELD_LENGTH_MAX, MISTAKES_MAX
from customers.languages import gettext as _
from customers.rate_limits import requests as rate_limits

PREFIX = "/api/v1"
PUBLIC = frozenset({call.name for call in CALLS if call.public} | {"describe"})

_QUERY_PARAMETERS = {call.name: frozenset(call.parameters) & QUERY_PARAMETERS for call in CALLS}

blueprint = Blueprint("api", __name__, url_prefix=PREFIX)


@blueprint.before_request
def _guard() -> None:
    """Every call but the public ones needs a living session; a parameter that a call does not know is a mistake."""
    name = (request.endpoint or "").rpartition(".")[2]
    if name not in PUBLIC:
        customer()
    unknown = request.args.keys() - _QUERY_PARAMETERS.get(name, frozenset())
    if unknown:
        names = sorted(parameter[:FIELD_LENGTH_MAX] for parameter in unknown)
        raise InvalidInput([FieldError(parameter, _("is not a known parameter")) for parameter in names[:MISTAKES_MAX]])
    rate_limits.check()


@blueprint.get("/openapi.json")
def describe() -> Response:
    limits = instance().runtime.settings.cart
    response = jsonify(document(limits.lines_max, limits.quantity_max))
    response.add_etag()
    response.headers["Cache-Control"] = "no-cache"
    return response.make_conditional(request)


def _add_calls() -> None:
    """One route a row of the description, so that neither can have what the other lacks."""
    for call in CALLS:
        view = getattr(account_views, call.name, None) or getattr(shop_views, call.name)
        path = call.path.replace("{", "<id:").replace("}", ">")
        blueprint.add_url_rule(path, call.name, view, methods=[call.method.upper()])


_add_calls()
