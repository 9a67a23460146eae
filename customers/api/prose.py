"""What the description says of all calls together, in CommonMark; the page at /api shows the same paragraphs."""

PARAGRAPHS = (
    (
        "Sign in with `POST /api/v1/session` and send the token with every call that needs it: "
        "`Authorization: Bearer TOKEN`. Cookies are not looked at."
    ),
    (
        "Bodies are JSON objects in UTF-8, `application/json`, at most 512 KiB. They are read strictly: an unknown field, a "
        "number as text, a key that is there twice is a mistake. Whole numbers are written without a fraction: `1`, not "
        "`1.0`. `Accept` is not looked at: there is one form of every answer."
    ),
    "Money is a whole number of minor units and an ISO 4217 currency. Times are RFC 3339 in UTC.",
    (
        "Every error is `application/problem+json` (RFC 9457). Tell errors apart by `type`: it never changes, while `title` "
        "and `detail` are in English or Polish, as `Accept-Language` asks. The list of all types is in docs/problems.md and "
        "on the page /api. An answer whose `X-Served-By` is `load_balancer` comes from the load balancer itself (type "
        "`about:blank`); with `X-Not-Dispatched: 1` no server got the request."
    ),
    (
        "A purchase is safe to repeat: `POST /api/v1/orders` with the same `Idempotency-Key` and the same body gets the same "
        "answer again, whatever happened to the first one. Without an answer nobody knows whether it happened, so ask again "
        "with the same key."
    ),
    (
        "Lists come in pages (`page`, `per_page`), with their number of items as `total` and the header `Link` (RFC 8288). "
        "Answers with an `ETag` can be asked for with `If-None-Match`: 304 without a body means that nothing changed. "
        "`HEAD` works wherever `GET` does; `OPTIONS` tells the methods in `Allow`."
    ),
)
DESCRIPTION = "\n\n".join(PARAGRAPHS)
