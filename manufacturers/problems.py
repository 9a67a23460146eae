"""Every error of the API as ``application/problem+json`` (RFC 9457), the framework's own errors too."""

import http
import json
import logging
import sqlite3
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from manufacturers.authentication import NotAuthenticated
from manufacturers.ledger import OfferRefused
from manufacturers.strict_json import MalformedJson

RETRY_AFTER_SECONDS = "2"
logger = logging.getLogger(__name__)


class InvalidParameter(Exception):
    """A parameter of the path or query is not what it should be; the text names it."""


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"type": "about:blank", "title": http.HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/problem+json", headers=headers or {}
    )


@web.middleware
async def errors_as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What is neither the framework's error nor in the table is a mistake of ours: logged and answered with 500."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        kept = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return problem(error.status, _detail(error), kept)
    except tuple(ANSWERS) as error:
        return next(answer for kind, answer in ANSWERS.items() if isinstance(error, kind))(error)
    except Exception:
        logger.exception("%s failed", request.method)
        return problem(500, "an error of ours; it was logged")


def _not_authenticated(_error: Exception) -> web.Response:
    return problem(401, "the request is not signed rightly", {"WWW-Authenticate": "HMAC-SHA256"})


def _ledger_unavailable(error: Exception) -> web.Response:
    logger.warning("the ledger cannot be used now: %s", error)
    return problem(503, "the ledger cannot be used at the moment", {"Retry-After": RETRY_AFTER_SECONDS})


ANSWERS: dict[type[Exception], Callable[[Exception], web.Response]] = {
    NotAuthenticated: _not_authenticated,
    MalformedJson: lambda error: problem(400, str(error)),
    InvalidParameter: lambda error: problem(422, str(error)),
    OfferRefused: lambda error: problem(409, str(error)),
    sqlite3.OperationalError: _ledger_unavailable,  # busy, disk full: nothing was changed, ask again
}


def _detail(error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPNotFound):
        return "there is nothing at this address"
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"this address takes {', '.join(sorted(error.allowed_methods))}"
    return error.text or error.reason
