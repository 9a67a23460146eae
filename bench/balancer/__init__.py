"""The load balancer beside HAProxy, nginx and a plain aiohttp proxy: same servers, same client, one core each, one run."""

from bench.balancer.comparison import run

__all__ = ["run"]
