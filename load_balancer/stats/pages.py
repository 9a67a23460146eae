"""What the admin port shows of the figures: ``/stats``, ``/stats;csv``, ``/metrics``, ``/events``."""

import base64
import hashlib
import json
import time
from collections.abc import Callable
from typing import Final

from load_balancer.proxy.replies import Reply, security_lines
from load_balancer.stats.figures import Figures
from load_balancer.stats.haproxy_csv import haproxy_csv
from load_balancer.stats.page import stats_page
from load_balancer.stats.page_style import STYLE
from load_balancer.stats.prometheus import render

_HTML: Final = b"text/html; charset=utf-8"
_CSV: Final = b"text/plain; charset=utf-8"  # as HAProxy has it, so that browsers show it
_METRICS: Final = b"text/plain; version=0.0.4; charset=utf-8"
_SECURITY: Final = security_lines(base64.b64encode(hashlib.sha256(STYLE.encode()).digest()))

PATHS: Final = ("/stats", "/stats;csv", "/metrics", "/events")


def page(target: str, figures: Callable[[], Figures]) -> Reply | None:
    """The page of this target; None if it is none of ours. ``figures`` are taken only for one that is."""
    path, _, query = target.partition("?")
    path, *parameters = path.split(";")
    if path == "/":
        return Reply(302, _CSV, b"/stats\n", b"Location: /stats\r\n")
    if path == "/metrics":
        return Reply(200, _METRICS, render(figures()).encode())
    if path == "/events":
        return Reply(200, b"application/json", json.dumps(_events(figures())).encode() + b"\n")
    if path != "/stats":
        return None
    if "csv" in parameters:
        return Reply(200, _CSV, haproxy_csv(figures()).encode())
    still = "still" in query.split("&") or "norefresh" in parameters
    return Reply(200, _HTML, stats_page(figures(), still=still).encode(), security=_SECURITY)


def _events(figures: Figures) -> list[dict[str, object]]:
    """Newest first; times in RFC 3339."""
    return [
        event._asdict()
        | {"at": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(event.at))}.{int(event.at % 1 * 1e3):03d}Z"}
        for event in reversed(figures.events)
    ]
