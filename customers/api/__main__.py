"""`python -m customers.api > docs/problems.md`: the registry of problems as a document; a test keeps it up to date."""

import json
import sys

from customers.api.openapi import PREFIX
from customers.api.problems import KINDS, Kind

HEAD = """# Problems

Every error of the shop's API is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). Its
`type` is one of these and never changes; `title` and `detail` follow `Accept-Language`. `instance` is the path that was
asked for, `request_id` the number that the shop's logs know the request by (also in `X-Request-Id`); answers that an
idempotency key keeps have no `request_id`, for they stay the same.

The load balancer's own answers (`X-Served-By: load_balancer`) have the type `about:blank`.

This list is made by `python -m customers.api > docs/problems.md`; the page `/api` of every shop has it too.
"""


def whole() -> str:
    return "\n".join([HEAD, _table(), *map(_chapter, KINDS)])


def _table() -> str:
    rows = [f"| {kind.status} | [`{kind.uri}`](#{kind.type}) | {kind.title} |" for kind in KINDS]
    return "\n".join(["| status | type | title |", "|---|---|---|", *rows, ""])


def _chapter(kind: Kind) -> str:
    example = json.dumps(kind.example(PREFIX), indent=2, ensure_ascii=False)
    return f"## {kind.type}\n\n{kind.meaning} {kind.advice}\n\n```json\n{example}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(whole())
