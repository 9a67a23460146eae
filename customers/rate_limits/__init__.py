"""Rate limits: how often one customer or one network address may ask for what is costly or can be abused.

Promises: beyond a quota a request is refused with 429 before anything costly is done, and the answer says how long to wait;
each answer of a limited call says what is left (draft-ietf-httpapi-ratelimit-headers).
"""

from customers.rate_limits.limits import Limited, RateLimits
from customers.rate_limits.quota import Quota, Standing

__all__ = ["Limited", "Quota", "RateLimits", "Standing"]
