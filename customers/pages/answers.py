"""What a view gives back, and the answers that several of them give."""

from flask import redirect, request
from werkzeug.wrappers import Response

from customers.errors import Overloaded, TooManyAttempts, rule_of
from customers.rate_limits import requests as rate_limits
from distributor.errors import Busy, DatabaseUnavailable

Page = str | tuple[str, int] | tuple[str, int, dict[str, str]] | Response
"""As Flask takes it: text, then perhaps its status, then perhaps fields of the answer's head."""

NOT_NOW = (Overloaded, Busy, DatabaseUnavailable)

PART_FIELD = "HX-Request-Type"
"""The field by which a script (htmx) says what it does with the answer; what depends on it says so in Vary."""


def wants_part() -> bool:
    """Whether a script asks, which puts a part of the answer into its page, and stays on it (static/forms.js, F4)."""
    return request.headers.get(PART_FIELD) == "partial"


def go_on(address: str) -> Response:
    """To the page that follows a form that was carried out; a script is told where that is, for it would only see it."""
    return Response(status=204, headers={"HX-Redirect": address}) if wants_part() else redirect(address, 303)


def not_now(page: str, error: Exception) -> Page:
    """The form's own page with what was typed, for an error after which nothing was done (`NOT_NOW`)."""
    rule = rule_of(error)
    if rule is None:
        raise error
    return page, rule.status, {"Retry-After": str(rule.retry_after_seconds)}


def refused(address: str, status: int) -> Response:
    """For a script: the page that says why its form was refused."""
    return Response(status=status, headers={"HX-Redirect": address})


def too_often(page: str, error: TooManyAttempts) -> Page:
    """The form's own page, which says so; what is left of the quota and when to come again stand in the head."""
    rate_limits.note_refusal(error)
    return page, 429, {"Retry-After": str(error.retry_after_seconds)}
