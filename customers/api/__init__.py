"""The shop for programs: JSON under /api/v1, described by /api/v1/openapi.json.

Promises: bodies are read strictly; every refusal is application/problem+json and names the field; the same
Idempotency-Key gets the same answer (P3). Signs in by bearer token only, never by cookie.
"""

from customers.api.views import blueprint

__all__ = ["blueprint"]
