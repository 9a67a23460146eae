"""Builds one web instance's Flask application. Blueprints: api, pages, health.

A1  Every response names the instance and the request, and forbids what the page does not need.
A2  Nothing about a request is kept after it: Flask's own signed session is switched off.
A3  Every error becomes a problem (API) or a designed page, with the status of the table in errors.py.
"""

import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response, g, request
from flask.sessions import SecureCookieSession, SessionInterface
from flask_login import LoginManager
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter

from customers import (
    api,
    compression,
    error_pages,
    health,
    identity,
    languages,
    metrics,
    pages,
    reader_language,
    request_id,
    security_headers,
    turned_away,
)
from customers.accounts import Guest
from customers.assembly import assembled
from customers.instance import EXTENSION
from customers.numbers import ROW_ID
from customers.rate_limits import requests as rate_limits
from settings import Runtime

BODY_BYTES_MAX = 524_288  # an order of cart.lines_max = 5,000 lines needs about 200 kB
FORM_PARTS_MAX = 100  # no form of ours has more than twenty fields
FORM_FIELD_BYTES_MAX = 262_144  # the cart as it was shown is one field
NO_COOKIE = "=;"  # no cookie can be called so: Flask-Login finds none of its own, which would go before the session


class IdConverter(BaseConverter):
    """A row's id in a path: ASCII digits, no leading zero, within PostgreSQL's bigint."""

    regex = ROW_ID

    def to_python(self, value: str) -> int:
        return int(value)


class ShopFlask(Flask):
    """Asked before each of ten functions in a request whether it is asynchronous; none of ours is."""

    jinja_environment = languages.LanguageEnvironment

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


class NoFlaskSession(SessionInterface):
    """Gives every request an empty session and stores none (A2): a signed cookie could be replayed after a logout."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:  # noqa: ARG002 - Flask's signature
        return SecureCookieSession()

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        """Nothing to store."""


def create_app(runtime: Runtime, instance_name: str) -> Flask:
    """The application of one instance; connects to the database lazily, so that it starts before its schema is there."""
    settings = runtime.settings
    app = ShopFlask(__name__, static_folder=None)
    app.config.update(
        SECRET_KEY=runtime.secrets.session_key,
        MAX_CONTENT_LENGTH=min(BODY_BYTES_MAX, settings.load_balancer.body_bytes_max),
        MAX_FORM_PARTS=FORM_PARTS_MAX,
        MAX_FORM_MEMORY_SIZE=FORM_FIELD_BYTES_MAX,
        REMEMBER_COOKIE_NAME=NO_COOKIE,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.compact = True  # type: ignore[attr-defined]
    app.session_interface = NoFlaskSession()
    app.url_map.merge_slashes = False
    app.url_map.converters["id"] = IdConverter
    app.extensions[EXTENSION] = assembled(runtime, instance_name)
    on_all = [("X-Served-By", instance_name), *security_headers.fields(behind_tls=settings.customers.secure_cookies)]
    guarded = security_headers.OnEveryAnswer(app.wsgi_app, on_all)
    app.wsgi_app = ProxyFix(guarded, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    app.after_request(compression.add)  # asked first, so that Flask does it last
    _add_login(app)
    languages.install(app, reader_language.choose)
    for blueprint in (api.blueprint, pages.blueprint, health.blueprint):
        app.register_blueprint(blueprint)
    app.register_error_handler(Exception, error_pages.answer)
    app.before_request(_begin)
    app.before_request(turned_away.refuse)
    app.after_request(reader_language.announce)
    app.after_request(_finish)
    return app


def _add_login(app: Flask) -> None:
    manager = LoginManager()
    manager.anonymous_user = Guest
    manager.session_protection = None
    manager.request_loader(identity.load)
    manager.init_app(app, add_context_processor=False)


def _begin() -> None:
    g.began = time.perf_counter()
    g.request_id = request_id.chosen(request.headers.get("X-Request-Id", ""))


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    rate_limits.add_headers(response)
    route = request.url_rule.rule if request.url_rule else metrics.UNMATCHED
    metrics.request_answered(route, request.method, response.status_code, time.perf_counter() - g.began)
    return response
