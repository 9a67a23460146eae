"""`python -m customers.api > docs/problems.md`: the registry of problems as a document; a test keeps it up to date."""

import json
import sys

from customers.api.balancer_answers import ANSWERS
from customers.api.calls import PREFIX
from customers.api.problems import KINDS, Kind

HEAD = """# Problems

Every error of the shop's API is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). Its
`type` is one of these and never changes; `title` and `detail` follow `Accept-Language`. `instance` is the path that was
asked for, `request_id` the number that the shop's logs know the request by (also in `X-Request-Id`); answers that an
idempotency key keeps have no `request_id`, for they stay the same.

What [the load balancer](#the-load-balancer) answers by itself comes last.

This list is made by `python -m customers.api > docs/problems.md`; the page `/api` of every shop has it too.
"""

BALANCER_HEAD = """## The load balancer

Any call may be answered by the load balancer itself: a request that it passes on to no server, or servers that fail. Then
`X-Served-By` is `load_balancer`, the type `about:blank`, there is no `instance`, and `detail` is in English. With
`X-Not-Dispatched: 1` no server got the request, so that nothing was done.
"""


def whole() -> str:
    return "\n".join([HEAD, _table(), *map(_chapter, KINDS), _of_the_balancer()])


def _table() -> str:
    rows = [f"| {kind.status} | [`{kind.uri}`](#{kind.type}) | {kind.title} |" for kind in KINDS]
    return "\n".join(["| status | type | title |", "|---|---|---|", *rows, ""])


def _chapter(kind: Kind) -> str:
    example = json.dumps(kind.example(PREFIX), indent=2, ensure_ascii=False)
    return f"## {kind.type}\n\n{kind.meaning} {kind.advice}\n\n```json\n{example}\n```\n"


def _of_the_balancer() -> str:
    rows = [f"| {own.status} | {own.title} | {own.meaning} {own.advice} |" for own in ANSWERS]
    return "\n".join([BALANCER_HEAD, "| status | title | what it means, and what to do |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    sys.stdout.write(whole())
