"""/healthz, /readyz and /metrics: for the load balancer, the supervisor and Prometheus, never for shoppers."""

import time

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from customers.instance import instance
from customers.readiness import NOT_CURRENT

RETRY_AFTER_SECONDS = 1  # the database is asked as often

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def alive() -> Response:
    return jsonify(alive=True, name=instance().name)


@blueprint.get("/readyz")
def ready() -> tuple[Response, int]:
    here = instance()
    now = time.monotonic()
    if not here.draining.readiness_asked(now):
        return jsonify(ready=False, reason="draining"), 503
    reason = here.readiness.reason()
    response = jsonify(ready=reason is None, reason=reason)
    # To a balancer that has nobody else: what is asked now is answered all the same. Not with another version's schema.
    if reason not in (None, NOT_CURRENT):
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response, 200 if reason is None else 503


@blueprint.get("/metrics")
def metrics() -> Response:
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)
