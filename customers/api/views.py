"""The blueprint: which function answers which call, who may call it, and what all answers have in common."""

import datetime as dt

from flask import Blueprint, Response, request

from customers import vary
from customers.api import account_views, shop_views
from customers.api.calls import CALLS, PREFIX
from customers.api.openapi import encoded
from customers.api.parameters import QUERY_PARAMETERS
from customers.errors import FieldError, InvalidInput, PreconditionFailed
from customers.instance import customer, instance
from customers.json_input import FIELD_LENGTH_MAX, MISTAKES_MAX
from customers.languages import gettext as _
from customers.rate_limits import requests as rate_limits

DESCRIPTION = "describe"
PUBLIC = frozenset({call.name for call in CALLS if call.public} | {DESCRIPTION})
CONDITIONAL = frozenset({call.name for call in CALLS if call.conditional} | {DESCRIPTION})

_QUERY_PARAMETERS = {call.name: frozenset(call.parameters) & QUERY_PARAMETERS for call in CALLS}

blueprint = Blueprint("api", __name__, url_prefix=PREFIX)


@blueprint.before_request
def _guard() -> None:
    """Every call but the public ones needs a living session; a parameter that a call does not know is a mistake."""
    if request.method == "OPTIONS":
        return  # Flask answers with the methods; nothing is told of anybody's things
    name = _call_name()
    if name not in PUBLIC:
        customer()
    unknown = request.args.keys() - _QUERY_PARAMETERS.get(name, frozenset())
    if unknown:
        names = sorted(parameter[:FIELD_LENGTH_MAX] for parameter in unknown)
        raise InvalidInput([FieldError(parameter, _("is not a known parameter")) for parameter in names[:MISTAKES_MAX]])
    rate_limits.check()
    if request.method not in {"GET", "HEAD"} and request.headers.get("If-Match", "*").strip() != "*":
        raise PreconditionFailed


@blueprint.after_request
def _make_conditional(response: Response) -> Response:
    """Who has this very answer already gets 304 and no body. The tag is weak, so that compressing keeps it true."""
    name = _call_name()
    if name not in CONDITIONAL or response.status_code != 200:
        return response
    response.add_etag(weak=True)
    if name in PUBLIC and not (instance().shop.carts_hold and "Authorization" in request.headers):
        response.headers["Cache-Control"] = "no-cache"
    else:
        response.headers["Cache-Control"] = "private, no-cache"
        vary.add(response, "Authorization")
    response.make_conditional(request)
    return response


def _call_name() -> str:
    return (request.endpoint or "").rpartition(".")[2]


@blueprint.get("/openapi.json", endpoint=DESCRIPTION)
def describe() -> Response:
    limits = instance().runtime.settings.cart
    month = dt.datetime.now(dt.UTC).date().replace(day=1)
    return Response(encoded(limits.lines_max, limits.quantity_max, month), content_type="application/json")


def _add_calls() -> None:
    """One route a row of the description, so that neither can have what the other lacks."""
    for call in CALLS:
        view = getattr(account_views, call.name, None) or getattr(shop_views, call.name)
        path = call.path.replace("{", "<id:").replace("}", ">")
        blueprint.add_url_rule(path, call.name, view, methods=[call.method.upper()])


_add_calls()
