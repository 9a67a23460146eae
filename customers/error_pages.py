"""Every error's way out: application/problem+json for programs, a designed page for people. One place for both."""

import json
import logging
from typing import Any
from urllib.parse import quote

from flask import Response, g, make_response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from customers import purchase
from customers.errors import (
    PROBLEM_PREFIX,
    PROBLEM_TYPE,
    Refusal,
    Rule,
    TooManyAttempts,
    detail,
    details,
    retry_after_seconds,
    rule_of,
)
from customers.identity import is_api
from customers.languages import lazy_gettext as _
from customers.languages import render_template
from customers.rate_limits import requests as rate_limits

FAULT = Refusal(
    Rule(500, "fault", _("Something went wrong on our side")),
    _("The request was not understood by our own code; it is noted under the request's number."),
)
REFUSED_BY_FLASK = {
    400: Refusal(
        Rule(400, "malformed-request", _("Bad request")),
        _("The browser or program sent something that cannot be read."),
    ),
    404: Refusal(Rule(404, "not-found", _("Not found")), _("There is nothing at this address.")),
    405: Refusal(
        Rule(405, "method-not-allowed", _("Method not allowed")), _("This address cannot be asked in this way.")
    ),
    413: Refusal(
        Rule(413, "body-too-large", _("Request entity too large")),
        _("That is more than this shop takes at once."),
    ),
}
"""In our words, by status."""

logger = logging.getLogger(__name__)


def answer(error: Exception) -> Response:
    """Flask's error handler for everything."""
    if isinstance(error, RequestRedirect):
        return make_response(error.get_response())
    if isinstance(error, TooManyAttempts):
        rate_limits.note_refusal(error)
    rule = rule_of(error)
    if rule is not None:
        seconds = retry_after_seconds(error, rule)
        response = _render(rule, detail(error), details(error), seconds)
        if seconds is not None:
            response.headers["Retry-After"] = str(seconds)
        purchase.tell(response, getattr(error, "contention", None))
        return response
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return _render_http(error)
    logger.error("request %s %s %s failed", g.request_id, request.method, request.path, exc_info=error)
    return _render(FAULT.rule, str(FAULT.detail), {})


def problem(rule: Rule, text: str, members: dict[str, Any], *, is_kept: bool = False) -> Response:
    """RFC 9457; ``members`` are its extension members. ``is_kept``: by an idempotency key, so it is the same every time."""
    body = {"type": PROBLEM_PREFIX + rule.type, "title": str(rule.title), "status": rule.status, "detail": text}
    body |= {"instance": quote(request.path)} | ({"request_id": g.request_id} if not is_kept else {}) | members
    response = Response(json.dumps(body, separators=(",", ":")), status=rule.status, content_type=PROBLEM_TYPE)
    if rule.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _render_http(error: HTTPException) -> Response:
    """What Flask itself refuses: no such path, method not allowed, body too large, form unreadable."""
    status = error.code or 400
    other = Rule(status, error.name.lower().replace(" ", "-"), _("Refused"))
    refused = REFUSED_BY_FLASK.get(status, Refusal(other, _("The request was refused.")))
    response = _render(refused.rule, str(refused.detail), {})
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _render(rule: Rule, text: str, members: dict[str, Any], retry_after: int | None = None) -> Response:
    if is_api(request):
        return problem(rule, text, members)
    page = render_template("error.html", rule=rule, detail=text, members=members, retry_after=retry_after)
    return make_response(page, rule.status)
