"""Every error's way out: application/problem+json for programs, a designed page for people. One place for both."""

import json
import logging
from typing import Any

from flask import Response, g, make_response, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from customers.errors import PROBLEM_PREFIX, Rule, details, retry_after_seconds, rule_of
from customers.identity import is_api

PROBLEM_TYPE = "application/problem+json"
FAULT = Rule(500, "fault", "Something went wrong on our side")

logger = logging.getLogger(__name__)


def answer(error: Exception) -> Response:
    """Flask's error handler for everything."""
    if isinstance(error, RequestRedirect):
        return make_response(error.get_response())
    rule = rule_of(error)
    if rule is not None:
        response = _render(rule, str(error), details(error))
        seconds = retry_after_seconds(error, rule)
        if seconds is not None:
            response.headers["Retry-After"] = str(seconds)
        return response
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return _render_http(error)
    logger.error("request %s %s %s failed", g.request_id, request.method, request.path, exc_info=error)
    return _render(FAULT, "The request was not understood by our own code; it is noted under the request's number.", {})


def problem(rule: Rule, detail: str, members: dict[str, Any]) -> Response:
    """RFC 9457; ``members`` are its extension members."""
    body = {"type": PROBLEM_PREFIX + rule.type, "title": rule.title, "status": rule.status, "detail": detail}
    body |= {"request_id": g.request_id} | members
    response = Response(json.dumps(body, separators=(",", ":")), status=rule.status, content_type=PROBLEM_TYPE)
    if rule.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _render_http(error: HTTPException) -> Response:
    """What Flask itself refuses: no such path, method not allowed, body too large, form unreadable."""
    rule = Rule(error.code or 400, error.name.lower().replace(" ", "-"), error.name.capitalize())
    detail = error.description or error.name
    if error.code == 404:
        detail = "There is nothing at this address."
    response = _render(rule, detail, {})
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _render(rule: Rule, detail: str, members: dict[str, Any]) -> Response:
    if is_api(request):
        return problem(rule, detail, members)
    page = render_template("error.html", rule=rule, detail=detail, members=members)
    return make_response(page, rule.status)
