"""/healthz, /readyz and /metrics: for the load balancer, the supervisor and Prometheus, never for shoppers."""

import time

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from customers.instance import instance

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def alive() -> Response:
    return jsonify(alive=True, name=instance().name)


@blueprint.get("/readyz")
def ready() -> tuple[Response, int]:
    shop = instance()
    now = time.monotonic()
    if not shop.draining.readiness_asked(now):
        return jsonify(ready=False, reason="draining"), 503
    reason = shop.readiness.reason_against(shop.health_engine, now)
    return jsonify(ready=reason is None, reason=reason), 200 if reason is None else 503


@blueprint.get("/metrics")
def metrics() -> Response:
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)
